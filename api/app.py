"""create_app and build_services: the only place where the parts of the service are put together."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import orjson
from flask import Flask, Request, Response, g, request
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
from werkzeug.datastructures import Headers
from werkzeug.routing import BaseConverter

from api.assignment import bundles_of
from api.auth import CallerCache, MemberAccess, check_access
from api.headers import PREFLIGHT_HEADERS, SecureHeaders, cross_origin, parse_origins
from api.language import choose_language
from api.logs import request_logger
from api.member_tokens import TokenReader, TokenRules
from api.metrics import Metrics, RequestFigures, reserve_files
from api.openapi import JSON_MEDIA_TYPE, NAME_CONVERTER, Operation, Reply
from api.own_member import own_body, own_path
from api.problems import (
    INTERNAL_ERROR,
    PROBLEM_MEDIA_TYPE,
    UNSUPPORTED_MEDIA_TYPE,
    FieldError,
    ProblemError,
    problem_of,
)
from api.proxy import TrustedPrefix, parse_networks
from api.rate_limits import RateLimits
from api.reading import read_body, read_idempotency_key, read_path, read_query
from api.routes import OPERATIONS
from api.routes.pages import add_pages
from api.services import Call, Services
from api.serving import Serving, ServingWatch
from api.settings import ServiceSettings
from api.trail import describe_write, note_write
from recommender.bundle import Bundle
from recommender.errors import StoreBusyError
from recommender.exposures import ExposureLog
from recommender.lookup import QuerySource
from recommender.query import Scenario
from recommender.reasons import explain
from recommender.registry import Registry
from recommender.request import SlateRequest
from recommender.storage.database import Database, open_database
from recommender.storage.hashing import HashKey, check_hash_key, read_hash_key
from recommender.storage.keys import ApiKey, find_key, valid_keys
from recommender.storage.live import LiveState
from recommender.storage.stock_keeper import StockKeeper

logger = logging.getLogger(__name__)

WARM_COUNT = 10

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class NameConverter(BaseConverter):
    """A name in a path."""

    regex = "[^/:]+"


def create_app(services: Services) -> Flask:
    """Make the application: a route per operation, one shape for errors, one log line per request."""
    app = Flask("memberwise", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = services.settings.max_body_bytes
    app.url_map.merge_slashes = False
    app.url_map.converters[NAME_CONVERTER] = NameConverter
    for operation in OPERATIONS:
        view = _endpoint(operation, services)
        app.add_url_rule(operation.rule, operation.id, view, methods=[operation.method])
    add_pages(app)
    app.before_request(_starter(services))
    app.after_request(_finisher(services))
    app.register_error_handler(Exception, _answer_error)
    app.wsgi_app = SecureHeaders(app.wsgi_app)  # type: ignore[method-assign]
    proxies = parse_networks(services.settings.trusted_proxies)
    if proxies:
        app.wsgi_app = TrustedPrefix(app.wsgi_app, proxies)  # type: ignore[method-assign]
    return app


def _starter(services: Services) -> Callable[[], Response | None]:
    def start() -> Response | None:
        environ = request.environ
        sent = environ.get("HTTP_X_REQUEST_ID", "")
        request_id = sent if _REQUEST_ID.fullmatch(sent) else os.urandom(16).hex()
        g.call = Call(request_id, services.clock(), time.perf_counter())
        if request.method == "OPTIONS" and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ:
            return Response(status=204)
        return None

    return start


def _endpoint(operation: Operation, services: Services) -> Callable[..., Response]:
    """Wrap a view: authorize, read what was sent, call, write what it returns."""

    def endpoint(**path: str) -> Response:
        call: Call = g.call
        environ = request.environ
        call.operation = operation.id
        if operation.scope is not None:
            moment = time.monotonic()
            caller = call.caller = services.callers.caller(environ.get("HTTP_AUTHORIZATION"), moment)
            call.limit_headers = services.limits.take(caller, moment)
            check_access(caller, operation.scope, operation.member)
            if caller.member_id is not None and operation.member is MemberAccess.PATH:
                own_path(path, caller.member_id)
        if operation.localized:
            call.language = choose_language(environ.get("HTTP_ACCEPT_LANGUAGE"))
        if operation.idempotent:
            call.idempotency_key = read_idempotency_key(environ.get("HTTP_IDEMPOTENCY_KEY"))
        values: dict[str, Any] = dict(path)
        if path:
            read_path(path)
        if operation.query is not None:
            values["query"] = read_query(operation.query, request.args.to_dict(flat=False))
        if operation.body is not None:
            values["body"] = read_body(operation.body, _json_bytes(request))
            if operation.member is MemberAccess.BODY and call.caller is not None and call.caller.member_id is not None:
                values["body"] = own_body(values["body"], call.caller.member_id)
        call.describe = lambda: describe_write(path, values.get("body"))
        call.streamed = operation.streamed
        return _response(operation.view(services, call, **values))

    return endpoint


def _json_bytes(sent: Request) -> bytes:
    if sent.mimetype != JSON_MEDIA_TYPE:
        error = FieldError("Content-Type", UNSUPPORTED_MEDIA_TYPE.title, sent.mimetype or None, JSON_MEDIA_TYPE)
        raise ProblemError(UNSUPPORTED_MEDIA_TYPE, UNSUPPORTED_MEDIA_TYPE.meaning, (error,))
    return sent.get_data(cache=False)


def _response(reply: Reply) -> Response:
    body = reply.body if isinstance(reply.body, bytes) else orjson.dumps(reply.body)
    return Response(body, reply.status, dict(reply.headers), content_type=reply.media_type)


def _answer_error(error: Exception) -> Response:
    call: Call = g.call
    problem = problem_of(error)
    call.notes["problem"] = problem.kind.name
    if problem.kind is INTERNAL_ERROR:
        logger.error("request_failed request_id=%s", call.request_id, exc_info=error)
    body = orjson.dumps(problem.body(call.request_id))
    return Response(body, problem.kind.status, problem.headers, content_type=PROBLEM_MEDIA_TYPE)


def _finisher(services: Services) -> Callable[[Response], Response]:
    log = request_logger(services.settings.log_level)
    metrics = services.metrics
    origins = parse_origins(services.settings.cors_origins)

    def finish(response: Response) -> Response:
        call: Call = g.call
        seconds = time.perf_counter() - call.started
        scenario = str(call.notes.get("scenario", ""))
        metrics.note(RequestFigures(call.operation, scenario, response.status_code, seconds))
        headers = response.headers
        headers["X-Request-Id"] = call.request_id
        for name, value in call.limit_headers.items():
            headers[name] = value
        if origins:
            _allow_origin(headers, origins)
        log.info(
            "request",
            request_id=call.request_id,
            operation=call.operation,
            method=request.method,
            status=response.status_code,
            milliseconds=round(seconds * 1000, 3),
            key_id=call.caller.key_id if call.caller is not None else None,
            **call.notes,
        )
        return response

    return finish


def _allow_origin(headers: Headers, origins: frozenset[str]) -> None:
    """Say whether the page that asks may read the answer, and, before a request, what it may send."""
    allowed = cross_origin(origins, request.environ.get("HTTP_ORIGIN"))
    headers.update(allowed)
    if "Access-Control-Allow-Origin" in allowed and request.method == "OPTIONS":
        headers.update(PREFLIGHT_HEADERS)


def build_services(settings: ServiceSettings) -> Services:
    """Open everything that one process serves with; the promoted bundle is in service when this returns.

    Raises: SettingsError, StoreBusyError.
    """
    threadpool_limits(1)
    database = open_database(settings)
    database.before_commit = note_write
    hash_key = read_hash_key(settings)
    _check_hash_key(database, hash_key)
    reserve_files()
    metrics = Metrics()
    stock = StockKeeper(database, settings.stock_file, settings.database)
    stock.start()
    serving = ServingWatch(
        Registry(settings.models), lambda bundle: _prepare(bundle, database, settings), metrics, _bundles_wanted
    )
    serving.start()
    metrics.start()
    return Services(
        settings=settings,
        database=database,
        callers=_callers(settings, database),
        limits=RateLimits(settings.rate_limit, settings.member_rate_limit, settings.worker_count),
        serving=serving,
        exposures=ExposureLog(settings.spool_folder),
        metrics=metrics,
        channels=frozenset(settings.channel_kinds),
        hash_key=hash_key,
        stock=stock,
        clock=_now,
    )


def close_services(services: Services) -> None:
    """Let go of everything that `build_services` opened."""
    services.serving.stop()
    services.stock.stop()
    services.metrics.stop()
    services.exposures.close()
    services.database.dispose()


def _now() -> datetime:
    return datetime.now(UTC)


def _callers(settings: ServiceSettings, database: Database) -> CallerCache:
    rules = TokenRules(
        settings.jwt_issuer, settings.jwt_audience, settings.jwt_leeway_seconds, settings.jwt_longest_seconds
    )
    tokens = TokenReader(settings.jwt_keys_file, rules)
    callers = CallerCache(lambda digest: _find_key(database, digest), lambda token: tokens.read(token, _now()))
    with database.read() as connection:
        callers.expect(valid_keys(connection, _now()), time.monotonic())
    return callers


def _find_key(database: Database, digest: str) -> ApiKey | None:
    with database.read() as connection:
        return find_key(connection, digest, _now())


def _check_hash_key(database: Database, hash_key: HashKey) -> None:
    try:
        with database.write() as connection:
            check_hash_key(connection, hash_key)
    except StoreBusyError as error:
        logger.warning("hash_key_not_checked reason=%s", error.message)


def _bundles_wanted(serving: Serving) -> frozenset[str]:
    return bundles_of(serving.live.current(_now()))


def _prepare(bundle: Bundle, database: Database, settings: ServiceSettings) -> Serving:
    """Build what answers from a bundle and ask it once for every scenario, so that no request waits for
    it.
    """
    recommender = bundle.recommender()
    live = LiveState(database, recommender.items, settings.zone, stock_file=settings.stock_file)
    source = QuerySource(bundle, database, settings.channel_kinds, settings.house_rules)
    now = _now()
    for scenario in Scenario:
        query, _ = source.query(SlateRequest(scenario, WARM_COUNT), live.current(now), now)
        explain(recommender.recommend([query])[0], query, recommender)
    return Serving(bundle, recommender, live, source)
