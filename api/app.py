"""create_app and build_services: the only place where the parts of the service are put together."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from flask import Flask, Request, Response, g, request
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
from werkzeug.routing import BaseConverter

from api.assignment import bundles_of
from api.auth import CallerCache
from api.coupon_rules import wallet_rules
from api.direct import Direct
from api.exchange import Finisher, Sent, answer, begin, content, refusal
from api.headers import SecureHeaders
from api.member_tokens import TokenReader, TokenRules
from api.metrics import Metrics, reserve_files
from api.openapi import JSON_MEDIA_TYPE, NAME_CONVERTER, Operation, Reply
from api.problems import UNSUPPORTED_MEDIA_TYPE, FieldError, ProblemError
from api.proxy import TrustedPrefix, parse_networks
from api.rate_limits import RateLimits
from api.routes import OPERATIONS
from api.routes.pages import add_pages
from api.services import Services
from api.serving import Serving, ServingWatch
from api.settings import ServiceSettings
from api.trail import note_write
from recommender.bundle import Bundle
from recommender.campaigns.live_features import LiveFeatures
from recommender.coupons.kept_plans import KeptPlans
from recommender.coupons.models import CouponModels
from recommender.coupons.online import OnlineDecider
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
    finisher = Finisher(services)
    app.before_request(_starter(services))
    app.after_request(_ender(finisher))
    app.register_error_handler(Exception, lambda error: _response(refusal(g.call, error)))
    direct = [operation for operation in OPERATIONS if operation.direct]
    app.wsgi_app = SecureHeaders(Direct(app.wsgi_app, direct, services, finisher))  # type: ignore[method-assign]
    proxies = parse_networks(services.settings.trusted_proxies)
    if proxies:
        app.wsgi_app = TrustedPrefix(app.wsgi_app, proxies)  # type: ignore[method-assign]
    return app


def _starter(services: Services) -> Callable[[], Response | None]:
    def start() -> Response | None:
        environ = request.environ
        g.call = begin(services, environ)
        if request.method == "OPTIONS" and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ:
            return Response(status=204)
        return None

    return start


def _endpoint(operation: Operation, services: Services) -> Callable[..., Response]:
    """Return what Flask calls for an operation."""

    def endpoint(**path: str) -> Response:
        sent = Sent(request.environ, path, lambda: request.args.to_dict(flat=False), lambda: _json_bytes(request))
        return _response(answer(operation, services, g.call, sent))

    return endpoint


def _json_bytes(sent: Request) -> bytes:
    if sent.mimetype != JSON_MEDIA_TYPE:
        error = FieldError("Content-Type", UNSUPPORTED_MEDIA_TYPE.title, sent.mimetype or None, JSON_MEDIA_TYPE)
        raise ProblemError(UNSUPPORTED_MEDIA_TYPE, UNSUPPORTED_MEDIA_TYPE.meaning, (error,))
    return sent.get_data(cache=False)


def _response(reply: Reply) -> Response:
    body = reply.body if isinstance(reply.body, Iterator) else content(reply)
    return Response(body, reply.status, dict(reply.headers), content_type=reply.media_type)


def _ender(finisher: Finisher) -> Callable[[Response], Response]:
    def end(response: Response) -> Response:
        for name, value in finisher.finish(g.call, request.environ, response.status_code).items():
            response.headers[name] = value
        return response

    return end


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
        plans=KeptPlans(settings.home),
        audiences=LiveFeatures(settings.home),
        wallet=wallet_rules(settings),
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
    models = CouponModels.from_bundle(bundle)
    decider = None if models is None else OnlineDecider(models, settings.coupon_explore_share, settings.zone)
    return Serving(bundle, recommender, live, source, decider)
