"""API keys: who is let in, what is said to the others, and how long an answer is remembered."""

import hashlib
import re

import pytest
from flask import Flask

from api.app import create_app
from api.auth import CACHE_ENTRIES, CACHE_SECONDS, Caller, CallerCache, Scope, check_access, parse_scopes
from api.openapi import Operation
from api.problems import FORBIDDEN, UNAUTHORIZED, ProblemError
from api.routes import OPERATIONS
from api.services import Services
from recommender.errors import InputError
from recommender.storage.database import Database
from recommender.storage.keys import ApiKey
from tests.api.checked import CheckedClient
from tests.shop import make_key


@pytest.fixture(scope="module")
def app(shared_services: Services) -> Flask:
    return create_app(shared_services)


@pytest.fixture(scope="module")
def database(shared_services: Services) -> Database:
    return shared_services.database


TOKEN = "mw_" + "x" * 43
DIGEST = hashlib.sha256(TOKEN.encode()).hexdigest()


class Keys:
    """The keys that exist, and how often they were looked up."""

    def __init__(self, *scopes: str) -> None:
        self.found: ApiKey | None = ApiKey("k1", "till", DIGEST, frozenset(scopes))
        self.lookups = 0

    def find(self, digest: str) -> ApiKey | None:
        self.lookups += 1
        return self.found if digest == DIGEST else None


def no_tokens(_token: str) -> Caller:
    raise ProblemError(UNAUTHORIZED, "no tokens here")


def authorize(keys: Keys, header: str | None, scope: str) -> Caller:
    caller = CallerCache(keys.find, no_tokens).caller(header, 0.0)
    check_access(caller, scope, None)
    return caller


def test_a_key_with_the_scope_is_let_in() -> None:
    assert authorize(Keys("recommend"), f"Bearer {TOKEN}", "recommend").key_id == "k1"
    assert authorize(Keys("admin"), f"bearer {TOKEN}", "catalog").key_id == "k1"


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", f"Basic {TOKEN}", TOKEN, "Bearer abc", "Bearer mw_no"]
)
def test_others_are_told_to_bring_a_key(header: str | None) -> None:
    with pytest.raises(ProblemError) as caught:
        authorize(Keys("recommend"), header, "recommend")
    assert caught.value.kind is UNAUTHORIZED


def test_a_key_without_the_scope_is_told_which_it_lacks() -> None:
    with pytest.raises(ProblemError) as caught:
        authorize(Keys("recommend", "events"), f"Bearer {TOKEN}", "catalog")
    assert caught.value.kind is FORBIDDEN
    (error,) = caught.value.errors
    assert (error.value, error.accepted) == ("events, recommend", "catalog")


def test_a_revoked_key_is_refused_after_a_second_at_most() -> None:
    keys = Keys("recommend")
    cache = CallerCache(keys.find, no_tokens)
    cache.caller(f"Bearer {TOKEN}", 10.0)
    keys.found = None
    cache.caller(f"Bearer {TOKEN}", 10.0 + 0.99 * CACHE_SECONDS)
    assert keys.lookups == 1
    with pytest.raises(ProblemError):
        cache.caller(f"Bearer {TOKEN}", 10.0 + CACHE_SECONDS)


def test_invented_keys_do_not_fill_the_memory() -> None:
    keys = Keys("recommend")
    cache = CallerCache(keys.find, no_tokens)
    for number in range(CACHE_ENTRIES + 10):
        with pytest.raises(ProblemError):
            cache.caller(f"Bearer mw_{number}", 0.0)
    assert len(cache._known) <= CACHE_ENTRIES


def test_scopes_are_read_and_checked() -> None:
    assert parse_scopes("recommend, events") == {"recommend", "events"}
    for text in ("", "recommend,evnts", "all"):
        with pytest.raises(InputError):
            parse_scopes(text)


PUBLIC = {"live", "ready", "metrics", "openapi"}
"""Operations that need no key: health, figures and the document."""
SIGNED = {"follow_coupons", "post_callbacks"}
"""Operations that need no key, since their calls are signed."""


def test_every_other_operation_needs_a_scope() -> None:
    assert {operation.id for operation in OPERATIONS if operation.signed is not None} == SIGNED
    assert {operation.id for operation in OPERATIONS if operation.scope is None} == PUBLIC | SIGNED


@pytest.mark.parametrize("operation", [one for one in OPERATIONS if one.scope is not None], ids=lambda one: one.id)
def test_a_key_with_all_other_scopes_is_refused(operation: Operation, app: Flask, database: Database) -> None:
    others = [scope for scope in Scope if scope not in (operation.scope, Scope.ADMIN)]
    path = re.sub(r"\{\w+\}", "x", operation.path)
    client = CheckedClient(app)
    assert client.call(operation.method, path, json={}).status_code == 401
    client.token = make_key(database, *others)
    answer = client.call(operation.method, path, json={})
    assert answer.status_code == 403
    assert answer.json["errors"][0]["accepted"] == operation.scope
