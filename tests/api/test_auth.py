"""API keys: who is let in, what is said to the others, and how long an answer is remembered."""

import hashlib

import pytest

from api.auth import CACHE_ENTRIES, CACHE_SECONDS, KeyCache, parse_scopes
from api.problems import FORBIDDEN, UNAUTHORIZED, ProblemError
from recommender.errors import InputError
from recommender.storage.keys import ApiKey

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


def test_a_key_with_the_scope_is_let_in() -> None:
    assert KeyCache(Keys("recommend").find).authorize(f"Bearer {TOKEN}", "recommend", 0.0).key_id == "k1"
    assert KeyCache(Keys("admin").find).authorize(f"bearer {TOKEN}", "catalog", 0.0).key_id == "k1"


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", f"Basic {TOKEN}", TOKEN, "Bearer abc", "Bearer mw_no"]
)
def test_others_are_told_to_bring_a_key(header: str | None) -> None:
    with pytest.raises(ProblemError) as caught:
        KeyCache(Keys("recommend").find).authorize(header, "recommend", 0.0)
    assert caught.value.kind is UNAUTHORIZED


def test_a_key_without_the_scope_is_told_which_it_lacks() -> None:
    with pytest.raises(ProblemError) as caught:
        KeyCache(Keys("recommend", "events").find).authorize(f"Bearer {TOKEN}", "catalog", 0.0)
    assert caught.value.kind is FORBIDDEN
    (error,) = caught.value.errors
    assert (error.value, error.accepted) == ("events, recommend", "catalog")


def test_a_revoked_key_is_refused_after_a_second_at_most() -> None:
    keys = Keys("recommend")
    cache = KeyCache(keys.find)
    cache.authorize(f"Bearer {TOKEN}", "recommend", 10.0)
    keys.found = None
    cache.authorize(f"Bearer {TOKEN}", "recommend", 10.0 + 0.99 * CACHE_SECONDS)
    assert keys.lookups == 1
    with pytest.raises(ProblemError):
        cache.authorize(f"Bearer {TOKEN}", "recommend", 10.0 + CACHE_SECONDS)


def test_invented_keys_do_not_fill_the_memory() -> None:
    keys = Keys("recommend")
    cache = KeyCache(keys.find)
    for number in range(CACHE_ENTRIES + 10):
        with pytest.raises(ProblemError):
            cache.authorize(f"Bearer mw_{number}", "recommend", 0.0)
    assert len(cache._known) <= CACHE_ENTRIES


def test_scopes_are_read_and_checked() -> None:
    assert parse_scopes("recommend, events") == {"recommend", "events"}
    for text in ("", "recommend,evnts", "all"):
        with pytest.raises(InputError):
            parse_scopes(text)
