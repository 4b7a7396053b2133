"""Each transport against a provider on this machine: what it sends, and what it makes of the answers."""

from __future__ import annotations

import csv
import hashlib
import io
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.campaigns.delivery.base import Answer, Result
from recommender.campaigns.delivery.file import COLUMNS
from recommender.campaigns.delivery.keyring import INBOUND, OUTBOUND, Keyring
from recommender.campaigns.delivery.kinds import check_message, parse_transport
from recommender.campaigns.delivery.sms import count_parts
from recommender.campaigns.delivery.spreadsheet import guarded, unguarded, write_csv
from recommender.campaigns.message import Message
from recommender.errors import InputError, SettingsError
from recommender.webhook_signature import Proved, verify
from tests.factories import NOW
from tests.provider import Told, provider
from tests.recommender.campaigns.delivery.messages import outgoing, put_token, send

WECHAT = {"fields": {"thing1": "{offer}", "date2": "{until}"}}


def answers(body: dict[str, Any], status: int = 200) -> Any:
    return lambda _sent: Told(status, orjson.dumps(body))


def test_webhooks_are_signed_over_their_bytes_with_every_secret(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path)
    keyring.add("way", OUTBOUND)
    keyring.add("way", OUTBOUND)
    with provider(answers({"id": "p-1"})) as server:
        found = send(tmp_path, "webhook", {"url": server.url + "/hook"}, outgoing(), outgoing())
    assert found == [Answer(Result.ACCEPTED, provider_ref="p-1")] * 2
    first, again = server.sent
    assert first.body == again.body
    for secret in keyring.signing("way"):
        assert verify([secret], first.headers, first.body, NOW) == Proved("msg_1", NOW)
    assert first.json == {
        "type": "message.send",
        "timestamp": "2026-03-02T09:30:00+00:00",
        "data": {
            "message_id": "msg_1",
            "campaign_id": "c1",
            "member_id": "m1",
            "purpose": "marketing",
            "language": "zh",
            "title": "牛奶",
            "body": "满20减10",
            "link": "pages/coupon",
            "template": None,
            "offer_id": "ten",
            "coupon": {"coupon_id": "k1", "expires_at": "2026-03-09T09:30:00+00:00"},
            "test": False,
        },
    }


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (Told(204), Answer(Result.ACCEPTED)),
        (Told(200, b"not json"), Answer(Result.ACCEPTED)),
        (Told(301, headers={"Location": "/"}), Answer(Result.AGAIN, "http_301")),
        (Told(400), Answer(Result.REFUSED, "http_400")),
        (Told(401), Answer(Result.AGAIN, "http_401")),
        (Told(410), Answer(Result.REFUSED, "http_410")),
        (Told(429), Answer(Result.AGAIN, "http_429", pause_seconds=5)),
        (Told(429, headers={"Retry-After": "60"}), Answer(Result.AGAIN, "http_429", pause_seconds=60)),
        (Told(500), Answer(Result.AGAIN, "http_500")),
        (Told(503, headers={"Retry-After": "2"}), Answer(Result.AGAIN, "http_503", pause_seconds=2)),
        (Told(after_seconds=None), Answer(Result.AGAIN, "timeout")),
    ],
)
def test_what_a_receiver_may_answer(tmp_path: Path, told: Told, expected: Answer) -> None:
    with provider(lambda _sent: told) as server:
        assert send(tmp_path, "webhook", {"url": server.url, "timeout_seconds": 0.2}, outgoing()) == [expected]


def test_nothing_is_sent_while_secrets_are_open_to_others(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path)
    keyring.add("way", OUTBOUND)
    keyring.path("way", OUTBOUND).chmod(0o644)
    with provider() as server:
        found = send(tmp_path, "webhook", {"url": server.url}, outgoing())
    assert found == [Answer(Result.AGAIN, "secrets_unreadable")]
    assert server.sent == []
    put_token(tmp_path, "other")
    keyring.path("other", "token").chmod(0o644)
    with pytest.raises(SettingsError):
        keyring.token("other")


def test_secrets_of_both_directions_are_apart(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path)
    keyring.add("way", INBOUND)
    assert keyring.signing("way") == ()
    assert len(keyring.verifying("way")) == 1


def test_text_messages_have_a_signature_and_an_opt_out(tmp_path: Path) -> None:
    put_token(tmp_path, "way")
    with provider(answers({"code": 0, "id": 7})) as server:
        settings = {"url": server.url, "signature": "好邻居"}
        found = send(tmp_path, "sms", settings, outgoing(), outgoing(purpose="service", language="en", body="Ready"))
    assert found == [Answer(Result.ACCEPTED, provider_ref="7")] * 2
    assert [one.json["text"] for one in server.sent] == ["【好邻居】满20减10 拒收请回复R", "【好邻居】Ready"]
    assert server.sent[0].headers["authorization"] == "Bearer token-1"


def test_text_messages_that_are_refused_or_too_long(tmp_path: Path) -> None:
    with provider(answers({"code": "BLACKLIST"})) as server:
        settings = {"url": server.url, "signature": "好邻居"}
        found = send(tmp_path, "sms", settings, outgoing(), outgoing(body="字" * 700))
    assert found == [Answer(Result.REFUSED, "provider_BLACKLIST"), Answer(Result.REFUSED, "text_too_long")]
    assert len(server.sent) == 1
    assert [count_parts("字" * length) for length in (1, 70, 71, 134, 135)] == [1, 1, 2, 2, 3]


def test_app_pushes_go_to_a_device(tmp_path: Path) -> None:
    with provider() as server:
        found = send(tmp_path, "app_push", {"url": server.url}, outgoing(contacts={"device": "d1"}), outgoing())
        server.answering = lambda _sent: Told(404)
        found += send(tmp_path, "app_push", {"url": server.url}, outgoing(contacts={"device": "d1"}))
    assert [one.reason for one in found] == [None, "no_device", "device_gone"]
    assert server.sent[0].json == {
        "message_id": "msg_1",
        "token": "d1",
        "notification": {"title": "牛奶", "body": "满20减10"},
        "data": {"link": "pages/coupon", "offer_id": "ten", "coupon_id": "k1"},
        "collapse_key": "c1",
        "test": False,
    }


def test_subscription_messages_fill_the_fields_of_a_template(tmp_path: Path) -> None:
    put_token(tmp_path, "way")
    message = outgoing(
        contacts={"wechat_openid": "o1"}, template="t1", values={"offer": "鲜" * 30, "until": "2026-03-09"}
    )
    with provider(answers({"errcode": 0, "msgid": 5})) as server:
        found = send(tmp_path, "wechat", {"url": server.url + "/send", **WECHAT}, message, outgoing())
    assert found == [Answer(Result.ACCEPTED, provider_ref="5"), Answer(Result.REFUSED, "no_openid")]
    assert server.sent[0].path == "/send?access_token=token-1"
    assert server.sent[0].json == {
        "touser": "o1",
        "template_id": "t1",
        "page": "pages/coupon",
        "lang": "zh_CN",
        "data": {"thing1": {"value": "鲜" * 19 + "…"}, "date2": {"value": "2026-03-09"}},
    }


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (-1, Answer(Result.AGAIN, "errcode_-1")),
        (42001, Answer(Result.AGAIN, "errcode_42001")),
        (45009, Answer(Result.AGAIN, "errcode_45009", pause_seconds=5)),
        (43101, Answer(Result.REFUSED, "not_subscribed")),
        (47003, Answer(Result.REFUSED, "errcode_47003")),
    ],
)
def test_what_wechat_may_answer(tmp_path: Path, code: int, expected: Answer) -> None:
    message = outgoing(contacts={"wechat_openid": "o1"}, template="t1")
    with provider(answers({"errcode": code})) as server:
        assert send(tmp_path, "wechat", {"url": server.url, **WECHAT}, message) == [expected]


def test_guides_get_tasks(tmp_path: Path) -> None:
    put_token(tmp_path, "way")
    message = outgoing(contacts={"wecom_customer": "wm1"}, guide_id="g1")
    with provider(answers({"errcode": 0, "msgid": "t-9", "fail_list": []})) as server:
        found = send(tmp_path, "wecom", {"url": server.url}, message, outgoing(contacts={"wecom_customer": "wm1"}))
        server.answering = answers({"errcode": 0, "msgid": "t-9", "fail_list": ["wm1"]})
        found += send(tmp_path, "wecom", {"url": server.url}, message)
    assert found == [
        Answer(Result.TASKED, "guide", "t-9"),
        Answer(Result.REFUSED, "no_guide"),
        Answer(Result.REFUSED, "provider_capped", "t-9"),
    ]
    assert server.sent[0].json == {
        "chat_type": "single",
        "external_userid": ["wm1"],
        "sender": "g1",
        "text": {"content": "满20减10"},
        "attachments": [{"msgtype": "link", "link": {"title": "牛奶", "url": "pages/coupon"}}],
    }


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-bom", "gb18030"])
def test_files_are_dropped_whole_with_a_manifest(tmp_path: Path, encoding: str) -> None:
    evil = outgoing("msg_2", title='=HYPERLINK("http://x")', body="+1", member_id="@m", contacts={"card": "-7"})
    found = send(tmp_path, "file", {"encoding": encoding, "contacts": ["card"]}, outgoing(), evil)
    assert found == [Answer(Result.ACCEPTED)] * 2
    table, manifest = sorted((tmp_path / "drops" / "way").iterdir())
    assert (table.suffix, manifest.suffix) == (".csv", ".json")
    data = table.read_bytes()
    assert orjson.loads(manifest.read_bytes()) == {
        "file": table.name,
        "rows": 2,
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "encoding": encoding,
        "columns": [*COLUMNS, "card"],
        "written_at": "2026-03-02T09:30:00+00:00",
    }
    assert data.startswith(b"\xef\xbb\xbf") == (encoding == "utf-8-bom")
    text = data.decode({"utf-8-bom": "utf-8-sig"}.get(encoding, encoding))
    first, second = csv.DictReader(io.StringIO(text))
    assert first["title"] == "牛奶"
    assert {name: second[name] for name in ("message_id", "title", "body", "member_id", "card")} == {
        "message_id": "msg_2",
        "title": '\'=HYPERLINK("http://x")',
        "body": "'+1",
        "member_id": "'@m",
        "card": "'-7",
    }


def test_a_folder_that_cannot_be_written_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "drops").touch()
    assert send(tmp_path, "file", {}, outgoing()) == [Answer(Result.AGAIN, "file_not_written")]


@given(st.text(max_size=20))
def test_no_cell_begins_as_a_formula_and_every_cell_can_be_read_back(text: str) -> None:
    cell = guarded(text)
    assert not cell.lstrip(" ").startswith(("=", "+", "-", "@", "＝", "＋", "－", "＠"))
    assert unguarded(cell) == text


def test_a_table_of_odd_cells() -> None:
    assert write_csv(["a", "b"], [['x"y', None], ["=1", 3]]) == '"a","b"\r\n"x""y",""\r\n"\'=1","3"\r\n'


def test_some_transports_carry_service_messages_only() -> None:
    wechat = parse_transport("wx", "wechat", {"url": "https://api.weixin.qq.com/x", **WECHAT})
    check_message(wechat, Message(purpose="service", template="t1"))
    for message, place in ((Message(template="t1"), "purpose"), (Message(purpose="service"), "template")):
        with pytest.raises(InputError) as error:
            check_message(wechat, message)
        assert error.value.field == f"settings.message.{place}"
    check_message(parse_transport("hook", "webhook", {"url": "https://shop.test/"}), Message())


@pytest.mark.parametrize(
    ("kind", "settings", "field"),
    [
        ("pigeon", {}, "kind"),
        ("webhook", {}, "settings.url"),
        ("webhook", {"url": "ftp://x"}, "url"),
        ("webhook", {"url": "https://x/", "secret": "s"}, "settings.secret"),
        ("webhook", {"url": "https://x/", "rate": -1}, "settings.rate"),
        ("webhook", {"url": "https://x/", "retry_seconds": [1.5]}, "settings.retry_seconds"),
        ("webhook", {"url": "https://x/", "contacts": [1]}, "settings.contacts"),
        ("webhook", {"url": "https://x/", "contacts": ["phone"]}, "settings.contacts"),
        ("sms", {"url": "https://x/"}, "settings.signature"),
        ("wechat", {"url": "https://x/", "fields": {"a": 1}}, "settings.fields"),
        ("file", {"encoding": "latin-1"}, "settings.encoding"),
    ],
)
def test_settings_that_no_transport_can_have(kind: str, settings: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError) as error:
        parse_transport("way", kind, settings)
    assert error.value.field == field


@pytest.mark.parametrize("name", ["", "../x", "A", "a.b", "a" * 64])
def test_names_that_no_transport_can_have(name: str) -> None:
    with pytest.raises(InputError):
        parse_transport(name, "file", {})


def test_what_settings_leave_out_is_as_told() -> None:
    assert parse_transport("way", "file", {"rate": 5, "per_day": 10}) == parse_transport(
        "way", "file", {"rate": 5.0, "per_day": 10, "encoding": "utf-8-bom", "contacts": []}
    )
