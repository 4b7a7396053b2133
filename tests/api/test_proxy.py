"""Behind a path prefix: the header counts only from a trusted proxy, and every link follows it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from api.app import build_services, close_services, create_app
from api.proxy import parse_networks
from api.settings import ServiceSettings
from recommender.errors import SettingsError
from recommender.settings import read_settings
from tests.api.checked import CheckedClient

PROXY, STRANGER = {"REMOTE_ADDR": "10.1.2.3"}, {"REMOTE_ADDR": "192.0.2.9"}
PREFIX = {"X-Forwarded-Prefix": "/shop/recommend/"}


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CheckedClient]:
    folder = tmp_path_factory.mktemp("behind")
    chosen = replace(
        ServiceSettings(home=folder / "home", models=folder / "models", hash_key="0123456789abcdef"),
        trusted_proxies="127.0.0.1, 10.0.0.0/8",
        log_level="warning",
    )
    services = build_services(chosen)
    yield CheckedClient(create_app(services))
    close_services(services)


def servers(client: CheckedClient, headers: dict[str, str], environ: dict[str, str]) -> list[str]:
    answer = client.get("/openapi.json", headers=headers, environ_overrides=environ).json
    assert answer is not None
    return [server["url"] for server in answer["servers"]]


def test_a_trusted_proxy_says_where_the_service_is_reached(behind: CheckedClient) -> None:
    assert servers(behind, PREFIX, PROXY) == ["/shop/recommend"]
    assert servers(behind, {}, PROXY) == ["/"]


def test_the_proxy_may_leave_the_prefix_in_the_path(behind: CheckedClient) -> None:
    found = behind.get("/shop/recommend/livez", headers=PREFIX, environ_overrides=PROXY)
    assert found.json == {"status": "live"}
    assert behind.get("/livez", headers=PREFIX, environ_overrides=PROXY).status_code == 200
    assert behind.get("/shop/recommendlivez", headers=PREFIX, environ_overrides=PROXY).status_code == 404


@pytest.mark.parametrize("environ", [STRANGER, {"REMOTE_ADDR": ""}, {"REMOTE_ADDR": "nonsense"}])
def test_nobody_else_is_believed(behind: CheckedClient, environ: dict[str, str]) -> None:
    assert servers(behind, PREFIX, environ) == ["/"]


@pytest.mark.parametrize(
    "prefix", ["", "/", "//evil.example", "shop", "/a/../b", "/..", "/a b", "https://evil.example"]
)
def test_what_is_no_path_is_ignored(behind: CheckedClient, prefix: str) -> None:
    assert servers(behind, {"X-Forwarded-Prefix": prefix}, PROXY) == ["/"]


def test_without_the_setting_the_header_is_ignored(bare_client: CheckedClient) -> None:
    assert servers(bare_client, PREFIX, {"REMOTE_ADDR": "127.0.0.1"}) == ["/"]


def test_links_of_the_page_are_relative(behind: CheckedClient) -> None:
    page = behind.get("/docs", headers=PREFIX, environ_overrides=PROXY)
    assert page.status_code == 200
    assert 'href="/' not in page.text
    assert 'src="/' not in page.text


def test_networks_are_checked_when_settings_are_read() -> None:
    assert [str(network) for network in parse_networks("127.0.0.1,fd00::/8")] == ["127.0.0.1/32", "fd00::/8"]
    with pytest.raises(SettingsError, match="addresses or networks"):
        read_settings(ServiceSettings, {"MEMBERWISE_TRUSTED_PROXIES": "proxy.internal"})
