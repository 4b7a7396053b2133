"""Where messages may go: addresses, names that change, redirects, answers that never end."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Sequence

import pytest

from recommender.campaigns.delivery.endpoint import (
    MOST_ANSWER_BYTES,
    MOST_PAUSE_SECONDS,
    Endpoint,
    UnreachableError,
    may_reach,
    parse_url,
)
from recommender.errors import InputError
from tests.provider import Sent, Told, provider

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)


def no_names(_host: str, _port: int) -> Sequence[str]:
    raise OSError


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0"),
        *("224.0.0.1", "255.255.255.255", "192.0.2.1", "::1", "::", "fe80::1", "fe80::1%eth0", "fd00::1", "ff02::1"),
        *("::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:7f00:1::", "2001:db8::1", "not an address"),
    ],
)
def test_addresses_that_are_not_public_are_refused(address: str) -> None:
    assert not may_reach(address, ())


def test_public_addresses_and_allowed_networks_are_reached() -> None:
    assert may_reach("8.8.8.8", ())
    assert may_reach("2606:4700::1111", ())
    allowed = [ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8")]
    assert may_reach("10.1.2.3", allowed)
    assert may_reach("::ffff:10.1.2.3", allowed)
    assert may_reach("fd00::1", allowed)
    assert not may_reach("192.168.1.1", allowed)


def test_one_private_address_among_those_of_a_host_is_enough_to_refuse() -> None:
    endpoint = Endpoint("https://example.test/", resolve=lambda _host, _port: ["8.8.8.8", "10.0.0.1"])
    with pytest.raises(UnreachableError) as error:
        endpoint.post(b"{}", {})
    assert error.value.reason == "address_refused"


def test_the_address_that_was_checked_is_the_one_connected_to() -> None:
    asked = []

    def resolve(host: str, _port: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["10.0.0.1"]

    with provider() as server:
        url = server.url.replace("127.0.0.1", "shop.test")
        endpoint = Endpoint(url + "/in?a=1", LOOPBACK, resolve=resolve)
        for _ in range(3):
            assert endpoint.post(b"{}", {"X-Test": "1"}, "b=2").status == 200
        endpoint.close()
    assert asked == ["shop.test"]
    assert server.connections == 1
    assert server.sent[0].path == "/in?a=1&b=2"
    assert server.sent[0].headers["host"] == url.removeprefix("http://")
    assert server.sent[0].headers["x-test"] == "1"


def test_after_a_failed_connection_the_host_is_looked_up_and_checked_again() -> None:
    asked = []

    def resolve(host: str, _port: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"]

    with provider() as server:
        endpoint = Endpoint(server.url.replace("127.0.0.1", "shop.test"), LOOPBACK, resolve=resolve)
    for _ in range(2):
        with pytest.raises(UnreachableError) as error:
            endpoint.post(b"{}", {})
        assert error.value.reason == "connection"
    assert len(asked) == 2


def test_a_redirect_is_not_followed() -> None:
    with provider(lambda _sent: Told(302, headers={"Location": "http://10.0.0.1/"})) as server:
        assert Endpoint(server.url, LOOPBACK).post(b"{}", {}).status == 302
    assert len(server.sent) == 1


def test_a_receiver_that_never_answers_is_given_up() -> None:
    with provider(lambda _sent: Told(after_seconds=None)) as server:
        endpoint = Endpoint(server.url, LOOPBACK, timeout_seconds=0.2)
        with pytest.raises(UnreachableError) as error:
            endpoint.post(b"{}", {})
    assert error.value.reason == "timeout"


def test_a_long_answer_is_cut_off() -> None:
    with provider(lambda _sent: Told(body=b"x" * (3 * MOST_ANSWER_BYTES))) as server:
        answered = Endpoint(server.url, LOOPBACK).post(b"{}", {})
    assert answered.status == 200
    assert len(answered.body) == MOST_ANSWER_BYTES


def test_names_that_nobody_knows_and_hosts_without_a_listener() -> None:
    with pytest.raises(UnreachableError) as error:
        Endpoint("https://nowhere.test/", resolve=no_names).post(b"{}", {})
    assert error.value.reason == "unresolved"


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("7", 7.0), ("999999", MOST_PAUSE_SECONDS), ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0), ("soon", None), ("-5", None)],
)
def test_how_long_a_receiver_asks_to_be_left_alone(said: str, seconds: float | None) -> None:
    def answer(_sent: Sent) -> Told:
        return Told(429, headers={"Retry-After": said})

    with provider(answer) as server:
        assert Endpoint(server.url, LOOPBACK).post(b"{}", {}).retry_after_seconds == seconds


def test_a_date_in_the_future_is_waited_for() -> None:
    at = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 100))
    with provider(lambda _sent: Told(503, headers={"Retry-After": at})) as server:
        found = Endpoint(server.url, LOOPBACK).post(b"{}", {}).retry_after_seconds
    assert found is not None
    assert 90 < found <= 100


@pytest.mark.parametrize(
    "url", ["", "ftp://x/", "https://", "https://user:secret@x/", "https://x/#part", "x", "http://["]
)
def test_what_is_no_url_to_send_to(url: str) -> None:
    with pytest.raises(InputError) as error:
        parse_url(url)
    assert error.value.field == "url"
