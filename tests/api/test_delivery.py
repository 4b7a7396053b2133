"""Transports, messages, test messages and callbacks over HTTP and on the command line."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner, Result

from api.app import build_services, close_services, create_app
from api.delivery_rules import surroundings
from api.logs import configure_logging
from api.services import Services
from api.settings import ServiceSettings
from recommender.campaigns.delivery.keyring import INBOUND, Keyring
from recommender.campaigns.delivery.kinds import make_transport, parse_transport
from recommender.cli import main
from recommender.storage.database import Database
from recommender.storage.statements import fetch
from recommender.webhook_signature import sign
from tests.api.checked import CheckedClient
from tests.provider import Provider, provider
from tests.recommender.campaigns.delivery.messages import outgoing, put_token
from tests.recommender.campaigns.delivery.world import Clock, consent, found, message, put_out, sender, settle_in
from tests.recommender.campaigns.delivery.world import Provider as Fake
from tests.shop import make_key, settings_at

CALLBACKS = "/v1/transports/way/callbacks"
NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def settings(tmp_path: Path) -> ServiceSettings:
    base = settings_at(tmp_path)
    return ServiceSettings(
        home=base.home, models=base.models, hash_key=base.hash_key, log_level="warning", delivery_networks="127.0.0.1"
    )


@pytest.fixture
def services(settings: ServiceSettings) -> Iterator[Services]:
    built = build_services(settings)
    settle_in(built.database)
    yield built
    close_services(built)


@pytest.fixture
def client(services: Services) -> CheckedClient:
    return CheckedClient(create_app(services), make_key(services.database, "campaigns", "events"))


@pytest.fixture
def gateway(client: CheckedClient) -> Iterator[Provider]:
    """A gateway that the transport `way` sends to."""
    with provider() as server:
        body = {"kind": "webhook", "settings": {"url": server.url, "timeout_seconds": 1}}
        assert client.put("/v1/transports/way", body).status_code == 200
        yield server


def run(settings: ServiceSettings, monkeypatch: pytest.MonkeyPatch, *words: str) -> Result:
    monkeypatch.setenv("MEMBERWISE_HOME", str(settings.home))
    monkeypatch.setenv("MEMBERWISE_HASH_KEY", settings.hash_key)
    return CliRunner().invoke(main, list(words))


def test_transports_are_put_read_and_audited(client: CheckedClient, services: Services) -> None:
    assert client.get("/v1/transports").json == {"transports": []}
    assert client.get("/v1/transports/way").status_code == 404
    body = {"kind": "webhook", "settings": {"url": "https://shop.test/", "rate": 5}, "active": False}
    made = client.put("/v1/transports/way", body)
    assert made.status_code == 200
    assert client.get("/v1/transports/way").json == made.json
    assert made.json is not None
    assert {name: made.json[name] for name in body} == body
    with services.database.read() as connection:
        assert fetch(connection, "SELECT COUNT(*) FROM audit WHERE action = 'transports.put'") == [(1,)]


@pytest.mark.parametrize(
    ("name", "body", "field"),
    [
        ("A", {"kind": "file"}, "name"),
        ("way", {"kind": "pigeon"}, "kind"),
        ("way", {"kind": "webhook", "settings": {"url": "x"}}, "url"),
        ("way", {"kind": "file", "settings": {"secret": "x"}}, "settings.secret"),
    ],
)
def test_transports_that_are_not_acceptable(client: CheckedClient, name: str, body: dict[str, Any], field: str) -> None:
    refused = client.put(f"/v1/transports/{name}", body)
    assert refused.status_code == 400
    assert refused.json is not None
    assert refused.json["errors"][0]["field"] == field


def test_messages_are_listed_and_dead_letters_replayed(client: CheckedClient, services: Services) -> None:
    put_out(services.database, message("m1"), message("m2"))
    listed = client.get("/v1/deliveries?campaign_id=c1&limit=1").json
    assert listed is not None
    rest = client.get(f"/v1/deliveries?after={listed['next']}").json
    assert rest is not None
    assert {row["member_id"] for row in listed["deliveries"] + rest["deliveries"]} == {"m1", "m2"}
    assert client.get("/v1/deliveries?state=odd").status_code == 400
    with services.database.write() as connection:
        connection.exec_driver_sql("UPDATE deliveries SET state = 'failed' WHERE member_id = 'm1'")
    headers = {"Idempotency-Key": "k1"}
    for _ in range(2):
        assert client.post("/v1/deliveries:replay", {"campaign_id": "c1"}, headers=headers).json == {"replayed": 1}
    assert client.post("/v1/deliveries:replay", {}, headers={"Idempotency-Key": "k2"}).status_code == 400
    assert found(services.database)["m1"] == ("pending", None)


def test_seeds_get_test_messages_that_count_for_nothing(
    client: CheckedClient, services: Services, gateway: Provider
) -> None:
    consent(services.database, "m2", False)
    answer = client.post("/v1/campaigns/c1:test", {"members": ["m1", "m2", "nobody"]})
    assert answer.json is not None
    assert [(row["member_id"], row["state"], row["reason"]) for row in answer.json["results"]] == [
        ("m1", "sent", None),
        ("m2", "failed", "consent_withdrawn"),
        ("nobody", "failed", "unknown_member"),
    ]
    (sent,) = gateway.sent
    assert sent.json["data"]["test"] is True
    assert sent.json["data"]["coupon"] is None
    assert sent.json["data"]["title"] == "春日"
    with services.database.read() as connection:
        assert fetch(connection, "SELECT COUNT(*) FROM sends") == [(0,)]
        assert fetch(connection, "SELECT COUNT(*) FROM contact_counts") == [(0,)]
    assert client.post("/v1/campaigns/c1:test", {}).status_code == 400
    assert client.post("/v1/campaigns/none:test", {}).status_code == 404


def callback(
    client: CheckedClient, secret: bytes, body: object, name: str = "w1", at: datetime = NOW, path: str = CALLBACKS
) -> Any:
    data = orjson.dumps(body)
    headers = {**sign([secret], name, at, data), "Content-Type": "application/json"}
    return client.call("POST", path, headers=headers, data=data)


def test_receipts_come_signed_and_each_callback_counts_once(
    client: CheckedClient, services: Services, gateway: Provider
) -> None:
    put_out(services.database, message("m1"))
    sender(services.database, Fake(), Clock()).send_some()
    keyring = Keyring(services.settings.home)
    body = {"receipts": [{"kind": "clicked", "at": NOW.isoformat(), "message_id": message("m1").delivery_id}]}
    opted = {"receipts": [{"kind": "opted_out", "at": NOW.isoformat(), "member_id": "m1"}]}
    unsigned = client.call("POST", CALLBACKS, json=body)
    assert unsigned.status_code == 401
    keyring.add("way", INBOUND)
    (secret,) = Keyring(services.settings.home).verifying("way")
    first = callback(client, secret, body)
    assert first.json == {"results": ["applied"]}
    again = callback(client, secret, body)
    assert again.json == first.json
    assert again.headers["Idempotent-Replayed"] == "true"
    assert callback(client, secret, opted, "w1").status_code == 409
    assert callback(client, secret, opted, "w2", NOW - timedelta(minutes=6)).status_code == 401
    assert callback(client, b"0" * 32, opted, "w2").status_code == 401
    assert callback(client, secret, opted, "w2", path="/v1/transports/other/callbacks").status_code == 401
    assert callback(client, secret, opted, "w2").json == {"results": ["applied"]}
    assert found(services.database) == {"m1": ("delivered", None)}
    with services.database.read() as connection:
        rows = fetch(connection, "SELECT granted, source FROM consents WHERE member_id = 'm1' ORDER BY at DESC LIMIT 1")
    assert (bool(rows[0][0]), rows[0][1]) == (False, "reply")


def test_what_is_not_proved_is_not_even_read(client: CheckedClient, gateway: Provider) -> None:
    headers = {"Content-Type": "application/json"}
    assert client.call("POST", CALLBACKS, headers=headers, data=b"not json").status_code == 401


def test_events_tell_of_messages(client: CheckedClient, services: Services) -> None:
    put_out(services.database, message("m1"))
    sender(services.database, Fake(), Clock()).send_some()
    event = {
        "event_id": "e1",
        "occurred_at": NOW.isoformat(),
        "kind": "push_open",
        "channel": "app",
        "member_id": "m1",
        "attributes": {"message_id": message("m1").delivery_id},
    }
    assert client.post("/v1/events", {"events": [event]}).status_code == 200
    assert found(services.database) == {"m1": ("delivered", None)}


def test_outcomes_are_among_the_figures(client: CheckedClient, services: Services) -> None:
    put_out(services.database, message("m1"), message("nobody"))
    sender(services.database, Fake(), Clock()).send_some()
    body = {"kind": "webhook", "settings": {"url": "https://shop.test/"}}
    assert client.put("/v1/transports/way", body).status_code == 200
    assert "memberwise_deliveries_overdue_seconds 0.0" in client.get("/metrics").text
    put_out(services.database, message("m2"))
    text = client.get("/metrics").text
    assert float(text.partition("\nmemberwise_deliveries_overdue_seconds ")[2].split()[0]) > 0
    assert 'memberwise_deliveries{outcome="sent",reason="",transport="way"} 1.0' in text
    assert 'memberwise_deliveries{outcome="skipped",reason="unknown_member",transport="way"} 1.0' in text


def test_tokens_in_urls_are_not_logged_at_any_level(
    settings: ServiceSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    put_token(settings.home, "wx", "secret-token")
    with provider() as server:
        row = parse_transport("wx", "wechat", {"url": server.url, "fields": {"thing1": "{offer}"}})
        transport = make_transport(row, surroundings(settings))
        try:
            configure_logging("debug")
            transport.send([outgoing(contacts={"wechat_openid": "o1"}, template="t1")], NOW)
        finally:
            root.handlers = handlers
            root.setLevel(level)
            logging.raiseExceptions = True
    assert server.sent[0].path.endswith("access_token=secret-token")
    assert "secret-token" not in capsys.readouterr().out


def test_transports_on_the_command_line(
    settings: ServiceSettings, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = ("transports", "put", "way", "--kind", "webhook", "--set", "url=https://shop.test/", "--set", "rate=5")
    assert run(settings, monkeypatch, *put).exit_code == 0
    listed = run(settings, monkeypatch, "transports", "list")
    assert listed.output.split() == ["way", "webhook", "active", '{"rate":5,"url":"https://shop.test/"}']
    made = run(settings, monkeypatch, "transports", "rotate", "way", "--inbound")
    assert made.exit_code == 0
    assert len(Keyring(settings.home).verifying("way")) == 1
    assert (settings.home / "transports" / "way.inbound").stat().st_mode & 0o777 == 0o600
    assert run(settings, monkeypatch, "transports", "rotate", "other").exit_code == 2
    assert run(settings, monkeypatch, "transports", "put", "x", "--kind", "file", "--set", "encoding").exit_code == 2


def test_messages_on_the_command_line(
    settings: ServiceSettings, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_out(services.database, message("m1"))
    assert "m1  way  pending" in run(settings, monkeypatch, "deliveries", "list", "--campaign", "c1").output
    assert run(settings, monkeypatch, "deliveries", "list", "--state", "odd").exit_code == 2
    assert run(settings, monkeypatch, "deliveries", "replay", "--campaign", "c1").exit_code == 1
    fail(services.database)
    name = message("m1").delivery_id
    assert run(settings, monkeypatch, "deliveries", "replay", name).output == "1 messages will be sent again.\n"
    assert found(services.database) == {"m1": ("pending", None)}


def fail(database: Database) -> None:
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE deliveries SET state = 'failed'")
