"""One member's own data: what is known, what was shown and refused, switching off, export, erasure."""

import contextlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from api.app import create_app
from api.export_gate import ExportGate
from api.problems import ProblemError
from api.services import Services
from api.worker import compact_events, drain_spool
from recommender.coupons.coupon_rows import add_coupons
from recommender.coupons.ledger import Entry, note
from recommender.coupons.wallet import Coupon, Status, Turn, WalletRules
from recommender.storage.audit import read_audit
from recommender.storage.exposures import prune_exposures
from recommender.storage.statements import fetch
from recommender.storage.upserts import upsert
from tests.api.checked import CheckedClient
from tests.api.test_member_access import event, member_services, own, signer  # noqa: F401
from tests.shop import NOW, SOLD_OUT, make_key

CONSENT = {"granted": False, "wording_version": "v3", "source": "app/settings"}
PHONE = "13800138000"


@pytest.fixture
def admin(services: Services) -> CheckedClient:
    return CheckedClient(create_app(services), make_key(services.database, "admin"))


def body_of(client: CheckedClient, path: str) -> dict[str, Any]:
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    assert answer.json is not None
    found: dict[str, Any] = answer.json
    return found


def drain(services: Services) -> None:
    drain_spool(services.database, services.settings.spool_folder)


def today(services: Services) -> str:
    return datetime.now(services.settings.zone).date().isoformat()


def link_phone(admin: CheckedClient, member_id: str = "m05") -> None:
    row = {"namespace": "phone", "value": PHONE, "member_id": member_id}
    assert admin.put("/v1/identities", {"identities": [row]}).status_code == 200


def test_a_profile_says_what_is_known_and_not_who(admin: CheckedClient) -> None:
    link_phone(admin)
    admin.put("/v1/members", {"members": [{"member_id": "m05", "tier": "gold"}]})
    admin.put("/v1/members/m05/consents/push", CONSENT)
    found = body_of(admin, "/v1/members/m05/profile")
    assert (found["personalised"], found["because"]) == (True, "not_refused")
    assert found["fields"] == ["home_store_id", "tier"]
    assert [link["namespace"] for link in found["identities"]] == ["phone"]
    assert found["consents"][0]["wording_version"] == "v3"
    assert found["held"]["events"]["rows"] == 80
    assert found["items_in_bundle"] == 8
    assert "h1:" not in str(found), "not even hashed values"
    zh = admin.get("/v1/members/m05/profile", headers={"Accept-Language": "zh-CN"})
    assert zh.json is not None
    assert "推荐" in zh.json["how"]
    stranger = body_of(admin, "/v1/members/nobody/profile")
    assert (stranger["because"], stranger["held"]) == ("nothing_known", {})


def test_what_was_shown_says_why_and_under_which_consent(admin: CheckedClient, services: Services) -> None:
    first = admin.post("/v1/recommendations", {"member_id": "m05", "count": 4, "exclude": ["i06"]}).json
    admin.put("/v1/members/m05/consents/personalization", CONSENT)
    admin.post("/v1/recommendations", {"member_id": "m05", "count": 3, "store_id": "s1"})
    admin.post("/v1/recommendations", {"member_id": "m06", "count": 3})
    drain(services)
    found = body_of(admin, f"/v1/members/m05/shown?day={today(services)}")
    assert found["complete"]
    before, after = found["answers"]
    assert first is not None
    assert before["recommendation_id"] == first["recommendation_id"]
    assert [item["item_id"] for item in before["items"]] == [item["item_id"] for item in first["items"]]
    assert before["dropped"] == first["dropped"]
    assert before["dropped"]["excluded"] == 1
    assert before["consent"] is None
    assert before["bundle_id"] == first["bundle_id"]
    assert before["items"][0]["reason"] == first["items"][0]["reasons"][0]["code"]
    assert before["items"][0]["retriever"]
    assert after["consent"]["granted"] is False
    assert after["consent"]["source"] == "app/settings"
    assert "not_personalised" in after["flags"]
    alone = body_of(admin, f"/v1/members/m05/shown?recommendation_id={first['recommendation_id']}")
    assert alone["answers"] == [before]
    shown_item = first["items"][1]["item_id"]
    with_item = body_of(admin, f"/v1/members/m05/shown?day={today(services)}&item_id={shown_item}")["answers"]
    assert before in with_item
    assert body_of(admin, "/v1/members/m05/shown?day=2001-01-01")["answers"] == []
    assert admin.get("/v1/members/m05/shown").status_code == 400
    assert body_of(admin, f"/v1/members/m06/shown?recommendation_id={first['recommendation_id']}")["answers"] == []


def test_members_see_and_decide_for_themselves(own: CheckedClient, member_services: Services) -> None:  # noqa: F811
    assert body_of(own, "/v1/members/m05/profile")["personalised"]
    switched = own.put("/v1/members/m05/consents/personalization", CONSENT).json
    assert switched is not None
    assert switched["personalised"] is False
    slate = own.post("/v1/recommendations", {"count": 5}).json
    assert slate is not None
    assert slate["strategy"] == "popular"
    assert "not_personalised" in slate["flags"]
    drain(member_services)
    assert len(body_of(own, f"/v1/members/m05/shown?day={today(member_services)}")["answers"]) == 1
    assert own.put("/v1/members/m05/consents/personalization", CONSENT | {"granted": True}).status_code == 200
    again = own.post("/v1/recommendations", {"count": 5}).json
    assert again is not None
    assert again["strategy"] == "personal"
    assert body_of(own, "/v1/members/m05/export")["member_id"] == "m05"
    soon = own.get("/v1/members/m05/export")
    assert (soon.status_code, int(soon.headers["Retry-After"]) > 500) == (429, True)
    for method, path in (
        ("GET", "/v1/members/m06/profile"),
        ("GET", "/v1/members/m06/shown?day=2026-01-01"),
        ("GET", "/v1/members/m06/export"),
        ("DELETE", "/v1/members/m05"),
    ):
        assert own.call(method, path).status_code == 403
    assert own.put("/v1/members/m06/consents/personalization", CONSENT).status_code == 403
    guardian = own.put("/v1/members/m05/consents/guardian_personalization", CONSENT | {"granted": True})
    assert guardian.status_code == 403, "no child gives its guardian's consent"


def test_known_minors_are_not_profiled_without_their_guardian(admin: CheckedClient) -> None:
    born = (datetime.now(UTC) - timedelta(days=365 * 12)).date().isoformat()
    for row in ({"adult": "false"}, {"adult": "unknown", "birth_date": born}):
        admin.put("/v1/members", {"members": [{"member_id": "m05"} | row]})
        assert body_of(admin, "/v1/members/m05/profile")["because"] == "minor"
        slate = admin.post("/v1/recommendations", {"member_id": "m05", "count": 5}).json
        assert slate is not None
        assert (slate["strategy"], "not_personalised" in slate["flags"]) == ("popular", True)
    yes = CONSENT | {"granted": True, "source": "guardian form 7"}
    assert admin.put("/v1/members/m05/consents/guardian_personalization", yes).status_code == 200
    assert admin.post("/v1/recommendations", {"member_id": "m05"}).json["strategy"] == "personal"
    admin.put("/v1/members/m05/consents/guardian_personalization", CONSENT)
    assert admin.post("/v1/recommendations", {"member_id": "m05"}).json["strategy"] == "popular"


@pytest.mark.parametrize(
    ("purpose", "body"),
    [
        ("Not A Purpose", CONSENT),
        ("personalization", {"granted": "no", "wording_version": "v1", "source": "app"}),
        ("personalization", {"granted": True}),
        ("personalization", CONSENT | {"at": "2026-01-01T00:00:00Z"}),
    ],
)
def test_half_a_consent_is_none(admin: CheckedClient, purpose: str, body: object) -> None:
    assert admin.put(f"/v1/members/m05/consents/{purpose}", body).status_code == 400


def test_an_export_holds_everything(admin: CheckedClient, services: Services) -> None:
    link_phone(admin)
    identity = {"namespace": "phone", "value": PHONE}
    admin.post("/v1/events", {"events": [event(event_id="by-phone", identity=identity)]})
    admin.post("/v1/recommendations", {"member_id": "m05", "count": 3})
    drain(services)
    compact_events(services.database, services.settings, NOW)
    with services.database.write() as connection:
        for table, row in (
            ("coupons", {"coupon_id": "c1", "offer_id": "o1", "status": "issued"}),
            ("redemptions", {"redemption_id": "r1", "offer_id": "o1", "redeemed_at": NOW}),
            ("sends", {"campaign_id": "k1", "sent_at": NOW}),
        ):
            upsert(connection, table, [row | {"member_id": "m05"}], NOW)
        coupon = Coupon("w1", "o1", "m05", None, Status.ISSUED, False, NOW, None)
        add_coupons(connection, [coupon])
        note(Turn(connection, WalletRules(), NOW), coupon, Entry.ISSUE)
    found = body_of(admin, "/v1/members/m05/export")
    counts = {name: len(rows) for name, rows in found["tables"].items()}
    wanted = {"members": 1, "identities": 1, "exposures": 3, "answers": 1, "coupons": 1, "redemptions": 1, "sends": 1}
    wanted |= {"wallet_coupons": 1, "coupon_ledger": 1}
    assert (found["tables"]["coupon_ledger"][0]["entry"], found["tables"]["coupon_ledger"][0]["at"][:10]) == (
        "issue",
        NOW.isoformat()[:10],
    )
    assert counts.items() >= wanted.items()
    assert len(found["event_log"]) == 81
    assert {row["subject"][:7] for row in found["event_log"]} == {"member:", "phone:h"}
    assert len(found["bundle"]["history"]) == 80
    assert found["bundle"]["ranked_in_advance"] == {}, "this shop's bundle has nothing ranked in advance"
    assert found["truncated"] == []
    assert PHONE not in str(found)
    with services.database.read() as connection:
        (entry,) = read_audit(connection, 1)
    assert (entry.action, entry.target) == ("get_export", "member:m05")


def erase_m05(admin: CheckedClient, services: Services) -> dict[str, Any]:
    """Erase m05 while an exposure is still in the spool."""
    link_phone(admin)
    with services.database.write() as connection:
        redeemed = {"redemption_id": "r1", "offer_id": "o1", "redeemed_at": NOW, "member_id": "m05"}
        upsert(connection, "redemptions", [redeemed], NOW)
    admin.put("/v1/members/m05/consents/push", CONSENT)
    admin.post("/v1/recommendations", {"member_id": "m05", "count": 3})
    drain(services)
    admin.post("/v1/recommendations", {"member_id": "m05", "count": 3})
    answer = admin.call("DELETE", "/v1/members/m05")
    assert answer.status_code == 200, answer.text
    assert answer.json is not None
    found: dict[str, Any] = answer.json
    return found


@pytest.fixture
def erased(admin: CheckedClient, services: Services) -> dict[str, Any]:
    return erase_m05(admin, services)


def test_erasure_ends_all_use_at_once(erased: dict[str, Any], admin: CheckedClient, services: Services) -> None:
    for body in ({"member_id": "m05"}, {"identity": {"namespace": "phone", "value": PHONE}}):
        slate = admin.post("/v1/recommendations", body | {"count": 5}).json
        assert slate is not None
        assert slate["strategy"] == "popular"
        assert {reason["code"] for item in slate["items"] for reason in item["reasons"]} <= {
            "popular",
            "popular_in_store",
            "trending",
            "of_the_season",
        }
    for path in ("profile", "export", "shown?day=2026-01-01"):
        assert admin.get(f"/v1/members/m05/{path}").status_code == 404
    assert admin.put("/v1/members/m05/consents/push", CONSENT).status_code == 404
    admin.post("/v1/events", {"events": [event(member_id="m05", recommendation_id="r", attributes={"a": 1})]})
    admin.put("/v1/members", {"members": [{"member_id": "m05", "tier": "gold"}]})
    link_phone(admin)
    drain(services)
    named = (("member_id = ?", "m05"), ("subject LIKE ?", "%m05"), ("subject LIKE ?", "phone:%"))
    tables = {
        "members": named[:1],
        "consents": named[:1],
        "identities": named[:1],
        "redemptions": named[:1],
        "events": named[1:],
        "exposures": named[1:],
        "answers": named[1:],
        "attributions": named[1:],
    }
    with services.database.read() as connection:
        for table, conditions in tables.items():
            for condition, value in conditions:
                assert fetch(connection, f"SELECT * FROM {table} WHERE {condition}", (value,)) == [], table
        assert fetch(connection, "SELECT 1 FROM audit WHERE target LIKE ?", ("%m05%",)) == []
        posted = fetch(connection, "SELECT recommendation_id, attributes FROM events WHERE event_id = 'e1'")
        assert posted == [(None, None)]


def test_an_identity_erased_with_its_member_is_not_used_again(admin: CheckedClient) -> None:
    loner = {"namespace": "wechat_openid", "value": "openid-1"}
    assert admin.post("/v1/recommendations", {"identity": loner}).json["strategy"] == "personal"
    assert admin.put("/v1/identities", {"identities": [loner | {"member_id": "m05"}]}).status_code == 200
    assert admin.call("DELETE", "/v1/members/m05").status_code == 200
    for scenario in ("home", "buy_again", "discover"):
        slate = admin.post("/v1/recommendations", {"identity": loner, "scenario": scenario}).json
        assert slate is not None
        assert slate["strategy"].startswith("popular")
        assert not {"viewed", "bought_before"} & {reason["code"] for one in slate["items"] for reason in one["reasons"]}


def test_the_proof_counts_and_names_nobody(erased: dict[str, Any], admin: CheckedClient, services: Services) -> None:
    assert erased["state"] == "requested"
    assert erased["subjects"] == 2
    rows = {table: entry["rows"] for table, entry in erased["sql"].items()}
    assert rows == {"members": 1, "consents": 1, "identities": 1, "answers": 1, "exposures": 3, "events": 80} | {
        "redemptions": 1
    }
    assert "m05" not in str(erased)
    assert "phone" not in str(erased)
    assert admin.get("/v1/members/m05/erasure").json == erased
    assert admin.call("DELETE", "/v1/members/m05").json == erased, "asked again, it is the same erasure"
    assert admin.get("/v1/members/m06/erasure").status_code == 404
    with services.database.read() as connection:
        assert fetch(connection, "SELECT member_id FROM redemptions") == [(erased["books_kept_as"],)]
        # What was bought still counts, only not as anybody's.
        assert fetch(connection, "SELECT COUNT(*) FROM events WHERE event_id LIKE 'p-m05-%'") == [(80,)]


def test_others_keep_what_is_theirs(erased: dict[str, Any], admin: CheckedClient) -> None:
    assert admin.post("/v1/recommendations", {"member_id": "m06"}).json["strategy"] == "personal"
    assert SOLD_OUT not in str(admin.post("/v1/recommendations", {"member_id": "m06"}).json)
    assert body_of(admin, "/v1/members/m06/profile")["held"]["events"]["rows"] == 80


def test_an_identity_of_several_members_is_erased_with_none(admin: CheckedClient, services: Services) -> None:
    for member_id in ("m05", "m06"):
        link_phone(admin, member_id)
    found = admin.call("DELETE", "/v1/members/m05").json
    assert found is not None
    assert found["subjects"] == 1
    with services.database.read() as connection:
        assert [row[0] for row in fetch(connection, "SELECT member_id FROM identities")] == ["m06"]


def test_what_is_too_old_is_no_longer_told(admin: CheckedClient, services: Services) -> None:
    admin.post("/v1/recommendations", {"member_id": "m05", "count": 3})
    drain(services)
    assert prune_exposures(services.database, datetime.now(UTC) + timedelta(seconds=5)) == 3
    with services.database.read() as connection:
        assert fetch(connection, "SELECT COUNT(*) FROM answers") == [(0,)]


def test_exports_are_made_one_at_a_time() -> None:
    gate = ExportGate()
    with gate.passing(None, 0.0), pytest.raises(ProblemError), gate.passing("m2", 0.0):
        pass
    with pytest.raises(KeyError), gate.passing("m2", 1.0):
        raise KeyError
    with gate.passing("m2", 2.0), contextlib.suppress(ProblemError):
        pass
    with pytest.raises(ProblemError) as caught, gate.passing("m2", 3.0):
        pass
    assert caught.value.headers["Retry-After"] == "599"
    with gate.passing("m3", 3.0):
        pass
    with gate.passing("m2", 603.0):
        pass
