"""Rate limits: how many requests pass, what the headers say, and that the bookkeeping stays small."""

from dataclasses import replace

import pytest

from api.app import build_services, close_services, create_app
from api.auth import Caller
from api.problems import ProblemError
from api.rate_limits import MOST_BUCKETS, RateLimits
from api.settings import ServiceSettings
from recommender.storage.keys import create_key
from tests.api.checked import CheckedClient
from tests.shop import NOW, make_key

KEY = Caller("k1", "app", frozenset({"recommend"}))


def passed(limits: RateLimits, caller: Caller, at: float, tries: int) -> int:
    done = 0
    for _ in range(tries):
        try:
            limits.take(caller, at)
        except ProblemError:
            continue
        done += 1
    return done


def test_a_bucket_holds_ten_seconds_and_fills_at_the_rate() -> None:
    limits = RateLimits(5.0, 0.0, 1)
    assert passed(limits, KEY, 100.0, 60) == 50
    assert passed(limits, KEY, 100.9, 10) == 4
    assert passed(limits, KEY, 1000.0, 100) == 50


def test_headers_tell_what_is_left_and_when_to_come_again() -> None:
    limits = RateLimits(0.5, 0.0, 1)
    headers = limits.take(KEY, 0.0)
    assert headers["RateLimit-Policy"] == '"key";q=5;w=10'
    assert headers["RateLimit"] == '"key";r=4;t=2'
    assert passed(limits, KEY, 0.0, 4) == 4
    with pytest.raises(ProblemError) as caught:
        limits.take(KEY, 0.0)
    assert caught.value.headers["Retry-After"] == "2"
    assert caught.value.headers["RateLimit"] == '"key";r=0;t=10'


def test_a_limit_is_shared_out_among_workers() -> None:
    limits = RateLimits(8.0, 0.0, 4)
    assert passed(limits, KEY, 0.0, 100) == 20
    assert limits.take(Caller("k2", "", frozenset()), 0.0)["RateLimit-Policy"] == '"key";q=80;w=10'


def test_a_batch_passes_once_and_what_it_takes_too_much_is_waited_for() -> None:
    limits = RateLimits(1.0, 0.0, 1)
    limits.take(KEY, 0.0)
    assert limits.charge(KEY, 3, 0.0)["RateLimit"] == '"key";r=6;t=4'
    assert limits.charge(KEY, 20, 0.0)["RateLimit"] == '"key";r=0;t=10'
    with pytest.raises(ProblemError) as caught:
        limits.take(KEY, 1.0)
    assert caught.value.headers["Retry-After"] == "14"
    assert passed(limits, KEY, 15.0, 5) == 1
    assert RateLimits(0.0, 0.0, 1).charge(KEY, 99, 0.0) == {}


def test_members_and_keys_have_limits_of_their_own() -> None:
    limits = RateLimits(0.0, 1.0, 1)
    assert limits.take(KEY, 0.0) == {}
    member = Caller("token:k", "member", frozenset(), member_id="m1")
    assert passed(limits, member, 0.0, 20) == 10
    assert passed(limits, replace(member, member_id="m2"), 0.0, 20) == 10
    assert passed(limits, replace(KEY, rate_limit=2.0), 0.0, 40) == 20
    assert passed(RateLimits(1.0, 1.0, 1), replace(KEY, rate_limit=0.0), 0.0, 40) == 40


def test_buckets_that_are_full_again_are_forgotten() -> None:
    limits = RateLimits(0.0, 1.0, 1)
    for number in range(MOST_BUCKETS + 5):
        limits.take(Caller("t", "", frozenset(), member_id=str(number)), number / 100)
    assert len(limits._buckets) < MOST_BUCKETS


def test_one_request_too_many_is_a_429(shop_settings: ServiceSettings) -> None:
    services = build_services(replace(shop_settings, rate_limit=0.2, workers=1))
    client = CheckedClient(create_app(services), make_key(services.database, "recommend"))
    first, second, third = (client.get("/v1/members/m01/recommendations") for _ in range(3))
    assert [answer.status_code for answer in (first, second, third)] == [200, 200, 429]
    assert second.headers["RateLimit"].startswith('"key";r=0')
    assert int(third.headers["Retry-After"]) >= 1
    assert third.headers["RateLimit-Policy"] == '"key";q=2;w=10'
    with services.database.write() as connection:
        free = create_key(connection, "batch", ("recommend",), NOW, rate_limit=0.0)
    client.token = free.token
    assert "RateLimit" not in client.get("/v1/members/m01/recommendations").headers
    assert client.get("/livez").status_code == 200
    close_services(services)


def test_each_request_of_a_batch_counts(shop_settings: ServiceSettings) -> None:
    services = build_services(replace(shop_settings, rate_limit=1.0, workers=1))
    client = CheckedClient(create_app(services), make_key(services.database, "recommend"))
    batch = {"requests": [{"scenario": "home", "member_id": "m01"}] * 14}
    answer = client.post("/v1/recommendations:batch", batch)
    assert answer.status_code == 200
    assert answer.json["served"] == 14
    assert answer.headers["RateLimit"].startswith('"key";r=0')
    refused = client.post("/v1/recommendations:batch", batch)
    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) >= 4
    close_services(services)
