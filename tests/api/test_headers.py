"""Headers of every answer, and pages of other origins."""

from dataclasses import replace

import pytest

from api.app import build_services, close_services, create_app
from api.headers import cross_origin, parse_origins
from api.settings import ServiceSettings
from tests.api.checked import CheckedClient

PREFLIGHT = {
    "Origin": "https://shop.example",
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization, content-type",
}


def test_answers_cannot_be_misused_by_a_browser(shared_client: CheckedClient) -> None:
    for path in ("/v1/members/m01/recommendations", "/v1/nothing", "/livez", "/docs"):
        headers = shared_client.get(path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "Access-Control-Allow-Origin" not in headers
        assert headers["Cache-Control"] == "no-store" or path == "/docs"
        assert "Server" not in headers


def test_other_origins_are_refused_unless_a_setting_names_them(shared_client: CheckedClient) -> None:
    answer = shared_client.call("OPTIONS", "/v1/recommendations", headers=PREFLIGHT)
    assert answer.status_code == 204
    assert not [name for name, _ in answer.headers.to_wsgi_list() if name.startswith("Access-Control")]


def test_a_named_origin_may_ask_and_read(shop_settings: ServiceSettings) -> None:
    services = build_services(replace(shop_settings, cors_origins="https://shop.example, http://localhost:3000"))
    client = CheckedClient(create_app(services))
    preflight = client.call("OPTIONS", "/v1/recommendations", headers=PREFLIGHT)
    assert preflight.status_code == 204
    assert preflight.headers["Access-Control-Allow-Origin"] == "https://shop.example"
    assert "POST" in preflight.headers["Access-Control-Allow-Methods"]
    assert "Authorization" in preflight.headers["Access-Control-Allow-Headers"]
    assert preflight.headers["Vary"] == "Origin"
    refused = client.post("/v1/recommendations", {}, headers={"Origin": "https://shop.example"})
    assert refused.status_code == 401
    assert refused.headers["Access-Control-Allow-Origin"] == "https://shop.example", "errors can be read as well"
    assert "Retry-After" in refused.headers["Access-Control-Expose-Headers"]
    for origin in ("https://evil.example", "https://shop.example.evil.example", "null"):
        assert "Access-Control-Allow-Origin" not in client.get("/livez", headers={"Origin": origin}).headers
    close_services(services)


def test_all_origins_by_a_star_but_never_with_credentials() -> None:
    allowed = cross_origin(parse_origins("*"), "https://any.example")
    assert allowed["Access-Control-Allow-Origin"] == "https://any.example"
    assert "Access-Control-Allow-Credentials" not in allowed


@pytest.mark.parametrize("text", ["shop.example", "ftp://shop.example", "https://", "https://a/path", "https://a b"])
def test_origins_are_checked(text: str) -> None:
    with pytest.raises(ValueError, match="origins"):
        parse_origins(text)
