"""Sending: who is written to and who is not, what waits, what is tried again, and what is written down."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from recommender.campaigns.delivery.base import Answer, Outgoing, Result
from recommender.campaigns.leases import LEASE
from recommender.campaigns.sending import Sender
from recommender.campaigns.settings import Caps
from recommender.coupons.ledger import check_books
from recommender.errors import StoreBusyError
from recommender.storage.database import Database
from recommender.storage.erasure import request_erasure, sweep
from recommender.storage.hashing import HashKey
from recommender.storage.holdouts import draw_period
from recommender.storage.recalls import recall
from recommender.storage.statements import execute, fetch
from recommender.storage.types import from_day_number, from_micros
from tests.factories import NOW, put_rows
from tests.recommender.campaigns.delivery.world import (
    RULES,
    TEN_OFF,
    Clock,
    Provider,
    at_utc,
    column,
    consent,
    found,
    message,
    put_campaign,
    put_out,
    sender,
    sends,
    set_status,
    settle_in,
    way,
)

DAY_CAP = replace(RULES, caps=Caps(per_day=1))


def test_a_message_is_sent_once_with_its_coupon_and_written_down(database: Database) -> None:
    settle_in(database)
    put_rows(database, "stores", {"store_id": "s1", "name": "Main Street"})
    put_rows(database, "members", {"member_id": "m2", "home_store_id": "s1", "attributes": {"language": "en-GB"}})
    put_out(database, message("m1", offer_id="ten"), message("m2", offer_id="ten"))
    provider, clock = Provider(), Clock()
    one = sender(database, provider, clock)
    assert one.send_some() == {("sent", ""): 2}
    assert one.send_some() == {}
    assert found(database) == {"m1": ("sent", None), "m2": ("sent", None)}
    assert [(row[0], row[1], row[2], pytest.approx(row[3])) for row in sends(database)] == [
        ("m1", "ten", "treated", 0.9),
        ("m2", "ten", "treated", 0.9),
    ]
    texts = {sent.member_id: (sent.language, sent.title, sent.body) for sent in provider.sent}
    assert texts == {"m1": ("zh", "春日", "牛奶减10 2026年3月9日"), "m2": ("en", "", "10.00 off at Main Street")}
    with database.read() as connection:
        coupons = fetch(connection, "SELECT member_id, coupon_id, campaign_id FROM wallet_coupons ORDER BY member_id")
    assert {(sent.member_id, sent.coupon_id, "c1") for sent in provider.sent} == set(coupons)
    with database.read(snapshot=True) as connection:
        assert check_books(connection) == []
    one.close()


def test_the_chance_of_what_happened_is_written_down(database: Database) -> None:
    settle_in(database, ["m1", "m2", "m3"])
    with database.write() as connection:
        execute(
            connection,
            "INSERT INTO campaign_members (campaign_id, member_id, unit, arm, propensity, offer_id, offer_propensity,"
            " assigned_at) VALUES ('c1', 'm1', 'member:m1', 'treated', 0.9, 'ten', 0.5, 0)",
        )
    put_out(
        database,
        message("m1", offer_id="ten"),
        message("m2", offer_id="ten", arm="holdout"),
        message("m3", offer_id="ten", arm="global_holdout"),
    )
    provider = Provider()
    sender(database, provider, Clock()).send_some()
    assert provider.members == ["m1"]
    assert found(database) == {"m1": ("sent", None), "m2": ("withheld", None), "m3": ("withheld", None)}
    assert [(*row[:3], pytest.approx(row[3])) for row in sends(database)] == [
        ("m1", "ten", "treated", 0.45),
        ("m2", "ten", "holdout", 0.1),
        ("m3", "ten", "holdout", 0.1),
    ]
    with database.read() as connection:
        assert fetch(connection, "SELECT DISTINCT member_id FROM wallet_coupons") == [("m1",)]
        assert fetch(connection, "SELECT unit FROM contact_counts WHERE count > 0") == [("member:m1",)]


@pytest.mark.parametrize("arm", ["treated", "holdout"])
def test_who_must_not_be_written_to_is_skipped_with_the_reason(database: Database, arm: str) -> None:
    people: list[dict[str, Any]] = [
        {"member_id": "staff", "kind": "employee"},
        {"member_id": "child", "adult": "false"},
        *({"member_id": one} for one in ("never", "withdrew", "anonymous", "otherway", "fine", "gone")),
    ]
    settle_in(database, [row["member_id"] for row in people if row["member_id"] != "never"])
    put_rows(database, "members", *people)
    consent(database, "withdrew", False)
    consent(database, "withdrew", True, NOW - timedelta(days=1))
    consent(database, "otherway", False, channel="sms")
    consent(database, "anonymous", False, purpose="personalization")
    with database.write() as connection:
        request_erasure(connection, "gone", "admin", HashKey(b"0" * 16, 1), NOW)
    put_out(database, *(message(row["member_id"], arm=arm) for row in people), message("nobody", arm=arm))
    provider = Provider()
    sender(database, provider, Clock(), way(channel="app")).send_some()
    allowed = ("sent", None) if arm == "treated" else ("withheld", None)
    assert found(database) == {
        "anonymous": ("skipped", "not_personalised"),
        "child": ("skipped", "not_personalised"),
        "fine": allowed,
        "gone": ("skipped", "erased"),
        "never": ("skipped", "no_consent"),
        "nobody": ("skipped", "unknown_member"),
        "otherway": allowed,
        "staff": ("skipped", "kind"),
        "withdrew": ("skipped", "consent_withdrawn"),
    }
    assert provider.members == (["fine", "otherway"] if arm == "treated" else [])


def test_consents_of_the_transports_own_channel_count(database: Database) -> None:
    settle_in(database)
    consent(database, "m1", False, channel="sms")
    put_out(database, message("m1"), message("m2"))
    sender(database, Provider(), Clock(), way(channel="sms")).send_some()
    assert found(database) == {"m1": ("skipped", "consent_withdrawn"), "m2": ("sent", None)}


def test_of_consents_at_the_same_moment_the_strictest_counts(database: Database) -> None:
    settle_in(database, consents=False)
    consent(database, "m1", True, channel="app")
    consent(database, "m1", False)
    put_out(database, message("m1"))
    sender(database, Provider(), Clock(), way(channel="app")).send_some()
    assert found(database) == {"m1": ("skipped", "consent_withdrawn")}


def test_a_member_erased_between_plan_and_send_leaves_no_trace_in_the_outbox(database: Database) -> None:
    settle_in(database)
    put_out(database, message("m1"))
    with database.write() as connection:
        erasure = request_erasure(connection, "m1", "admin", HashKey(b"0" * 16, 1), NOW)
    sweep(database, erasure, NOW)
    provider = Provider()
    sender(database, provider, Clock()).send_some()
    assert provider.sent == []
    assert found(database) == {erasure.pseudonym: ("skipped", "erased")}
    with database.read() as connection:
        assert fetch(connection, "SELECT unit FROM deliveries") == [(erasure.pseudonym,)]


def test_a_member_erased_while_their_message_is_on_its_way_is_named_nowhere(database: Database) -> None:
    settle_in(database)
    put_out(database, message("m1"))

    class Erasing(Provider):
        def send(self, messages: Sequence[Outgoing], at: datetime) -> Sequence[Answer]:
            with database.write() as connection:
                erasure = request_erasure(connection, "m1", "admin", HashKey(b"0" * 16, 1), NOW)
            sweep(database, erasure, NOW)
            return super().send(messages, at)

    sender(database, Erasing(), Clock()).send_some()
    ((named, state),) = found(database).items()
    assert named.startswith("erased:")
    assert state == ("sent", None)
    assert [row[0] for row in sends(database)] == [named]


def test_who_is_kept_back_by_now_is_not_written_to(database: Database) -> None:
    settle_in(database, ["arm", "unit", "quarter", "fine"])
    with database.write() as connection:
        period = draw_period(connection, NOW, 0.0)
        execute(
            connection,
            "INSERT INTO campaign_members (campaign_id, member_id, unit, arm, propensity, assigned_at)"
            " VALUES ('c1', 'arm', 'member:arm', 'holdout', 0.9, 0)",
        )
        for scope, unit in (("c1", "member:unit"), (period.scope, "member:quarter"), ("c2", "member:fine")):
            execute(connection, "INSERT INTO holdout_units VALUES (?, ?, 'holdout', 0)", (scope, unit))
    put_out(database, *(message(one) for one in ("arm", "unit", "quarter", "fine")))
    sender(database, Provider(), Clock()).send_some()
    held = ("skipped", "held_out")
    assert found(database) == {"arm": held, "fine": ("sent", None), "quarter": held, "unit": held}


def test_a_whole_quarter_kept_back_keeps_everybody_back(database: Database) -> None:
    settle_in(database)
    with database.write() as connection:
        draw_period(connection, NOW, 1.0)
    put_out(database, message("m1"), message("m2", arm="global_holdout"))
    sender(database, Provider(), Clock()).send_some()
    assert found(database) == {"m1": ("skipped", "held_out"), "m2": ("withheld", None)}


def test_quiet_hours_hold_messages_in_the_zone_of_the_member(database: Database) -> None:
    settle_in(database, ["here", "shanghai"])
    put_rows(database, "members", {"member_id": "shanghai", "attributes": {"time_zone": "Asia/Shanghai"}})
    put_out(database, *(message(one, due_at=at_utc(1, 0)) for one in ("here", "shanghai")))
    clock, provider = Clock(at_utc(2, 14)), Provider()  # 22:00 in Shanghai
    one = sender(database, provider, clock)
    assert one.send_some() == {("sent", ""): 1, ("held", "quiet_hours"): 1}
    assert from_micros(column(database, "due_at", "shanghai")) == at_utc(3, 1)
    clock.now = at_utc(3, 0, 59)
    assert one.send_some() == {}
    clock.now = at_utc(3, 1)
    assert one.send_some() == {("sent", ""): 1}
    assert provider.members == ["here", "shanghai"]


def test_caps_count_all_campaigns_by_household_and_calendar_day(database: Database) -> None:
    settle_in(database, ["m1", "m2", "m3"])
    put_campaign(database, "c2")
    home = {"unit": "household:h1"}
    put_out(database, message("m1", worth_cents=2, **home), message("m2", worth_cents=1, **home), message("m3"))
    put_out(database, message("m1", campaign_id="c2", occasion="b", **home))
    provider, clock = Provider(), Clock(at_utc(2, 20))
    one = sender(database, provider, clock, rules=DAY_CAP)
    one.send_some()
    assert provider.members == ["m1", "m3"]
    assert found(database)["m2"] == ("skipped", "cap_day")
    clock.now = at_utc(3, 9)
    put_out(database, message("m2", occasion="next day", **home))
    assert one.send_some() == {("sent", ""): 1}


@pytest.mark.parametrize(("caps", "days"), [(Caps(per_week=2), 7), (Caps(per_month=2), 30)])
def test_caps_of_longer_spans_end_with_their_last_day(database: Database, caps: Caps, days: int) -> None:
    settle_in(database)
    clock, provider = Clock(at_utc(2, 10)), Provider()
    one = sender(database, provider, clock, rules=replace(RULES, caps=caps))
    said = []
    for day in (0, 1, days - 1, days):
        clock.now = at_utc(2, 10) + timedelta(days=day)
        put_out(database, message("m1", occasion=str(day), expires_at=NOW + timedelta(days=90)))
        with database.write() as connection:
            execute(connection, "UPDATE campaigns SET ends_at = ends_at + 8640000000000")
        said.append(next(iter(one.send_some())))
    skipped = ("skipped", "cap_week" if days == 7 else "cap_month")
    assert said == [("sent", ""), ("sent", ""), skipped, ("sent", "")]


def test_the_stricter_of_two_caps_counts(database: Database) -> None:
    settle_in(database, caps={"per_day": 1})
    put_out(database, message("m1"), message("m1", occasion="again"))
    assert sender(database, Provider(), Clock(), rules=replace(RULES, caps=Caps(per_day=5))).send_some() == {
        ("sent", ""): 1,
        ("skipped", "cap_day"): 1,
    }


def test_budgets_of_transports_and_guides_go_to_what_is_worth_most(database: Database) -> None:
    members = ["m1", "m2", "m3", "m4"]
    settle_in(database, members)
    rows = [{"member_id": one, "guide_id": "g1" if one != "m4" else "g2"} for one in members]
    put_rows(database, "members", *rows)
    put_rows(
        database, "identities", *({"namespace": "wecom_customer", "value": one, "member_id": one} for one in members)
    )
    put_out(database, *(message(one, worth_cents=worth) for worth, one in enumerate(members)))
    provider = Provider()
    provider.answer = Answer(Result.TASKED, "guide", "t1")
    one = sender(database, provider, Clock(), way("wecom", per_guide_day=2, per_month=2))
    one.send_some()
    assert found(database) == {
        "m1": ("skipped", "transport_budget_month"),
        "m2": ("skipped", "transport_budget_month"),
        "m3": ("tasked", "guide"),
        "m4": ("tasked", "guide"),
    }
    assert sends(database) == []
    put_out(database, *(message(one, occasion="2") for one in members))
    sender(database, provider, Clock(), way("wecom", per_guide_day=2, per_unit_month=1), owner="w2").send_some()
    with database.read() as connection:
        rows = fetch(connection, "SELECT member_id, reason FROM deliveries WHERE occasion = '2' ORDER BY member_id")
    assert sorted(row[1] for row in rows[:2]) == ["guide", "guide_capacity"]


def test_members_without_a_contact_or_a_guide_are_skipped(database: Database) -> None:
    settle_in(database)
    put_rows(database, "identities", {"namespace": "wecom_customer", "value": "w", "member_id": "m1"})
    put_out(database, message("m1"), message("m2"))
    sender(database, Provider(), Clock(), way("wecom")).send_some()
    assert found(database) == {"m1": ("skipped", "no_guide"), "m2": ("skipped", "no_contact")}


def test_each_subscription_message_takes_one_accepted_prompt(database: Database) -> None:
    texts = {"texts": {"zh": {"body": "取货"}}, "purpose": "service", "template": "t1"}
    settle_in(database, message=texts)
    put_rows(
        database, "identities", *({"namespace": "wechat_openid", "value": m, "member_id": m} for m in ("m1", "m2"))
    )
    with database.write() as connection:
        execute(connection, "INSERT INTO message_quotas VALUES ('m1', 't1', 1, 0, 0)")
    put_out(database, message("m1"), message("m1", occasion="2"), message("m2"))
    wechat = way("wechat", fields={"thing1": "{body}"})
    provider = Provider()
    one = sender(database, provider, Clock(), wechat)
    assert one.send_some() == {("sent", ""): 1, ("skipped", "quota_used"): 2}
    assert provider.members == ["m1"]


def test_nothing_leaves_after_its_time_or_the_end_of_the_campaign(database: Database) -> None:
    settle_in(database)
    put_out(database, message("m1", expires_at=NOW), message("m2", expires_at=NOW + timedelta(days=90)))
    clock = Clock()
    one = sender(database, Provider(), clock)
    assert one.send_some() == {("sent", ""): 1, ("skipped", "expired"): 1}
    put_out(database, message("m2", occasion="late", due_at=NOW + timedelta(days=31)))
    clock.pass_by(days=31)
    assert one.send_some() == {("skipped", "expired"): 1}


def test_a_coupon_that_is_refused_takes_its_message_with_it_and_counts_for_nothing(database: Database) -> None:
    settle_in(database)
    put_rows(database, "offers", TEN_OFF | {"stock": 1})
    put_out(database, message("m1", offer_id="ten", worth_cents=1), message("m2", offer_id="ten", worth_cents=2))
    sender(database, Provider(), Clock(), rules=DAY_CAP).send_some()
    assert found(database) == {"m1": ("skipped", "coupon_out_of_stock"), "m2": ("sent", None)}
    with database.read() as connection:
        assert fetch(connection, "SELECT unit FROM contact_counts WHERE count > 0") == [("member:m2",)]


def test_offers_that_were_recalled_or_are_gone(database: Database) -> None:
    settle_in(database)
    put_rows(database, "items", {"item_id": "i1"})
    put_rows(database, "offers", TEN_OFF | {"scope": {"items": ["i1"]}})
    with database.write() as connection:
        recall(connection, "i1", "glass", "admin", NOW)
    put_out(database, message("m1", offer_id="ten"), message("m2", offer_id="none"))
    sender(database, Provider(), Clock()).send_some()
    assert found(database) == {"m1": ("skipped", "recalled"), "m2": ("skipped", "offer_unusable")}


def test_failures_are_tried_again_with_growing_waits_and_then_kept_as_dead_letters(database: Database) -> None:
    settle_in(database)
    put_out(database, message("m1", offer_id="ten"))
    provider, clock = Provider(), Clock()
    provider.answer = Answer(Result.AGAIN, "http_500")
    one = sender(database, provider, clock, way(retry_seconds=[10, 100]), DAY_CAP)
    for wait in (10, 100):
        assert one.send_some() == {("retried", "http_500"): 1}
        assert one.send_some() == {}
        due = from_micros(column(database, "due_at"))
        assert 0.8 * wait <= (due - clock.now).total_seconds() <= 1.2 * wait
        clock.now = due
    assert one.send_some() == {("failed", "http_500"): 1}
    assert column(database, "attempts") == 3
    assert len({(sent.message_id, sent.coupon_id) for sent in provider.sent}) == 1
    assert sends(database) == []
    with database.read() as connection:
        assert fetch(connection, "SELECT SUM(count) FROM contact_counts") == [(1,)]


def test_a_refused_message_is_a_dead_letter_at_once(database: Database) -> None:
    settle_in(database)
    put_out(database, message("m1"), message("m2"))
    provider = Provider()
    provider.answers["m1"] = Answer(Result.REFUSED, "http_400")
    sender(database, provider, Clock()).send_some()
    assert found(database) == {"m1": ("failed", "http_400"), "m2": ("sent", None)}


def test_a_retry_on_another_day_counts_there_and_consent_is_looked_at_again(database: Database) -> None:
    settle_in(database)
    put_out(database, message("m1"), message("m2"))
    provider, clock = Provider(), Clock(at_utc(2, 20, 59))
    provider.answer = Answer(Result.AGAIN, "timeout")
    one = sender(database, provider, clock, way(retry_seconds=[60]), DAY_CAP)
    one.send_some()
    consent(database, "m2", False)
    provider.answer = Answer(Result.ACCEPTED)
    clock.now = at_utc(2, 21, 5)
    assert one.send_some() == {("held", "quiet_hours"): 1, ("skipped", "consent_withdrawn"): 1}
    clock.now = at_utc(3, 9)
    assert one.send_some() == {("sent", ""): 1}
    with database.read() as connection:
        rows = fetch(connection, "SELECT day FROM contact_counts WHERE unit = 'member:m1' AND count > 0")
    assert [from_day_number(row[0]) for row in rows] == [date(2026, 3, 3)]


def test_a_provider_that_asks_for_a_pause_gets_it_from_all_workers(database: Database) -> None:
    settle_in(database)
    put_out(database, message("m1"), message("m2", due_at=NOW + timedelta(seconds=1)))
    provider, clock = Provider(), Clock()
    provider.answer = Answer(Result.AGAIN, "http_429", pause_seconds=60)
    one, other = sender(database, provider, clock, way(retry_seconds=[])), sender(database, provider, clock, owner="w2")
    assert one.send_some() == {("retried", "http_429"): 1}
    clock.pass_by(seconds=59)
    assert one.send_some() == other.send_some() == {}
    provider.answer = Answer(Result.ACCEPTED)
    clock.pass_by(seconds=20)
    assert other.send_some() == {("sent", ""): 2}
    assert column(database, "attempts") == 1


def test_a_rate_is_shared_by_all_workers(database: Database) -> None:
    members = [f"m{number}" for number in range(30)]
    settle_in(database, members)
    put_out(database, *map(message, members))
    provider, clock = Provider(), Clock()
    workers = [sender(database, provider, clock, way(rate=10), owner=name) for name in ("w1", "w2")]
    counts = []
    for _ in range(3):
        for one in workers:
            one.send_some()
        counts.append(len(provider.sent))
        clock.pass_by(seconds=0.5)
    assert counts == [10, 15, 20]


def test_while_a_campaign_does_not_run_nothing_leaves(database: Database) -> None:
    settle_in(database)
    put_out(database, message("m1"))
    one = sender(database, Provider(), Clock())
    for status in ("scheduled", "paused", "cancelled", "finished"):
        set_status(database, status)
        assert one.send_some() == {}
    set_status(database, "running")
    assert one.send_some() == {("sent", ""): 1}


class Slow(Provider):
    """Waits in the middle of a batch until it is told to go on."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.go_on = threading.Event(), threading.Event()

    def send(self, messages: Sequence[Outgoing], at: datetime) -> Sequence[Answer]:
        answers = super().send(messages, at)
        self.first.set()
        self.go_on.wait(20)
        return answers


def test_a_worker_that_is_told_to_stop_gives_back_what_it_did_not_try(database: Database) -> None:
    members = [f"m{number}" for number in range(5)]
    settle_in(database, members)
    put_out(database, *(message(one, worth_cents=-place) for place, one in enumerate(members)))
    provider, clock, stop = Slow(), Clock(), threading.Event()
    thread = threading.Thread(target=sender(database, provider, clock, way(parallel=1)).send_some, args=(stop,))
    thread.start()
    assert provider.first.wait(20)
    stop.set()
    provider.go_on.set()
    thread.join()
    assert provider.members == ["m0"]
    other = sender(database, provider, clock, owner="w2")
    assert other.send_some() == {("sent", ""): 4}
    assert provider.members == members


@pytest.mark.parametrize("change", ["pause", "withdraw"])
def test_a_pause_or_a_withdrawn_consent_stops_a_batch_that_is_being_sent(database: Database, change: str) -> None:
    members = [f"m{number}" for number in range(5)]
    settle_in(database, members)
    put_out(database, *(message(one, worth_cents=-place) for place, one in enumerate(members)))
    provider, clock = Slow(), Clock()
    one = sender(database, provider, clock, way(parallel=1))
    thread = threading.Thread(target=one.send_some)
    thread.start()
    assert provider.first.wait(20)
    if change == "pause":
        set_status(database, "paused")
    else:
        consent(database, "m3", False)
    threading.Event().wait(0.8)
    provider.go_on.set()
    thread.join()
    assert provider.members == (["m0"] if change == "pause" else ["m0", "m1", "m2", "m4"])
    set_status(database, "running")
    one.send_some()
    assert provider.members == (members if change == "pause" else ["m0", "m1", "m2", "m4"])


def test_what_a_dead_worker_had_in_hand_is_sent_by_another_under_the_same_id(database: Database) -> None:
    settle_in(database)
    put_out(database, message("m1", offer_id="ten"))
    provider, clock = Provider(), Clock()
    dead = sender(database, provider, clock, rules=DAY_CAP)
    dead._record_once = lambda *_: (_ for _ in ()).throw(SystemExit)  # type: ignore[method-assign]
    with pytest.raises(SystemExit):
        dead.send_some()
    other = sender(database, provider, clock, rules=DAY_CAP, owner="w2")
    clock.pass_by(seconds=LEASE.total_seconds() - 1)
    assert other.send_some() == {}
    clock.pass_by(seconds=1)
    assert other.send_some() == {("sent", ""): 1}
    first, second = provider.sent
    assert first == second
    assert len(sends(database)) == 1


def test_a_clock_that_was_put_back_holds_nothing_up(database: Database) -> None:
    settle_in(database)
    put_out(database, message("m1"))
    with database.write() as connection:
        execute(connection, "UPDATE deliveries SET lease_until = ?, lease_owner = 'x'", (10**16 + 10**15,))
    assert sender(database, Provider(), Clock()).send_some() == {("sent", ""): 1}


def test_two_workers_do_not_take_the_same_messages(database: Database) -> None:
    members = [f"m{number:03d}" for number in range(300)]
    settle_in(database, members)
    put_out(database, *(message(one, offer_id="ten") for one in members))
    provider, clock = Provider(), Clock()
    rules = replace(DAY_CAP, batch=20)
    workers = [sender(database, provider, clock, rules=rules, owner=f"w{number}") for number in range(4)]

    def run(number: int) -> None:
        while workers[number].send_some():
            pass

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert provider.members == members
    assert {one for one, _ in found(database).values()} == {"sent"}


@pytest.mark.slow
def test_many_workers_share_stock_caps_and_budget_to_the_last_one(database: Database) -> None:
    members = [f"m{number:03d}" for number in range(240)]
    settle_in(database, members)
    put_rows(database, "offers", TEN_OFF | {"stock": 70}, TEN_OFF | {"offer_id": "other", "stock": 30})
    put_campaign(database, "c2", offers=["other"])
    homes = [{"unit": f"household:h{number // 2}", "worth_cents": -number} for number in range(240)]
    for campaign_id, offer_id in (("c1", "ten"), ("c2", "other")):
        rows = zip(members, homes, strict=True)
        put_out(database, *(message(m, campaign_id=campaign_id, offer_id=offer_id, **home) for m, home in rows))
    provider, clock = Provider(), Clock()
    rules = replace(DAY_CAP, batch=15)
    workers = [sender(database, provider, clock, way(per_day=90), rules, f"w{number}") for number in range(6)]

    def run(one: Sender) -> None:
        while True:
            try:
                if not one.send_some():
                    return
            except StoreBusyError:
                continue  # as a worker would, a moment later

    threads = [threading.Thread(target=run, args=(one,)) for one in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read(snapshot=True) as connection:
        assert check_books(connection) == []
        states = dict(fetch(connection, "SELECT state, COUNT(*) FROM deliveries GROUP BY state"))
        counts = fetch(connection, "SELECT MAX(count) FROM contact_counts WHERE transport = ''")
        issued = dict(fetch(connection, "SELECT offer_id, COUNT(*) FROM wallet_coupons GROUP BY offer_id"))
        total = fetch(connection, "SELECT SUM(count) FROM contact_counts WHERE unit = 'transport:way'")
    assert len(provider.sent) == len({sent.message_id for sent in provider.sent}) == states["sent"] <= 90
    assert set(states) == {"sent", "skipped"}
    assert counts == [(1,)]
    assert issued["ten"] + issued.get("other", 0) == states["sent"] == total[0][0]
    assert issued["ten"] <= 70
    assert issued.get("other", 0) <= 30


def test_batches_of_a_file_are_one_attempt(database: Database) -> None:
    settle_in(database)
    put_out(database, message("m1"), message("m2"))
    calls: list[int] = []

    class Counting(Provider):
        def send(self, messages: Sequence[Outgoing], at: datetime) -> Sequence[Answer]:
            calls.append(len(messages))
            return super().send(messages, at)

    sender(database, Counting(most=500), Clock(), way("file")).send_some()
    assert calls == [2]


def test_a_mistake_with_one_message_does_not_stop_the_others(database: Database) -> None:
    settle_in(database)
    put_out(database, message("m1"), message("m2"))

    class Faulty(Provider):
        def send(self, messages: Sequence[Outgoing], at: datetime) -> Sequence[Answer]:
            if messages[0].member_id == "m1":
                raise ZeroDivisionError
            return super().send(messages, at)

    sender(database, Faulty(), Clock()).send_some()
    assert found(database) == {"m1": ("pending", "internal_error"), "m2": ("sent", None)}
