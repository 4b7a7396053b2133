"""Receipts: states go forward, consents are withdrawn, prompts add up; said twice they change nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest

from recommender.campaigns.delivery.base import Answer, Outgoing, Result
from recommender.campaigns.messages import Choice, failed_ids, list_deliveries, replay, sweep_over
from recommender.campaigns.outbox import State
from recommender.campaigns.receipts import Heard, Line, Receipt, ReceiptKind, apply_receipts, note_events
from recommender.events import EventKind
from recommender.storage.database import Database
from recommender.storage.statements import execute, fetch
from recommender.storage.types import to_micros
from tests.factories import NOW, make_event
from tests.recommender.campaigns.delivery.world import (
    Clock,
    Provider,
    column,
    found,
    message,
    put_out,
    sender,
    sends,
    set_status,
    settle_in,
    way,
)

LINE = Line("way", "", "app")
LATER = NOW + timedelta(minutes=5)


def hear(database: Database, *receipts: Receipt, line: Line = LINE) -> list[Heard]:
    with database.write() as connection:
        return apply_receipts(connection, line, receipts, LATER)


def sent(database: Database, answer: Answer | None = None) -> str:
    """Send a message to m1; return its id."""
    settle_in(database)
    put_out(database, message("m1"))
    provider = Provider()
    provider.answer = answer or provider.answer
    sender(database, provider, Clock()).send_some()
    return message("m1").delivery_id


def events(database: Database) -> list[tuple[str, str, str]]:
    with database.read() as connection:
        rows = fetch(connection, "SELECT kind, subject, channel FROM events ORDER BY sequence")
    return [(row[0], row[1], row[2]) for row in rows]


def test_a_message_that_arrived_is_delivered_once(database: Database) -> None:
    name = sent(database)
    opened = Receipt(ReceiptKind.OPENED, NOW, name)
    assert hear(database, opened, Receipt(ReceiptKind.DELIVERED, NOW, name)) == [Heard.APPLIED, Heard.APPLIED]
    assert hear(database, opened) == [Heard.KNOWN]
    assert found(database) == {"m1": ("delivered", None)}
    assert events(database) == [("push_open", "member:m1", "app"), ("push_delivered", "member:m1", "app")]


def test_messages_of_others_and_of_other_transports_are_unknown(database: Database) -> None:
    name = sent(database)
    receipts = [Receipt(ReceiptKind.DELIVERED, NOW, one) for one in (name, "msg_other")]
    assert hear(database, *receipts, line=Line("other", "", "app")) == [Heard.UNKNOWN, Heard.UNKNOWN]
    assert hear(database, receipts[1]) == [Heard.UNKNOWN]
    assert found(database) == {"m1": ("sent", None)}


@pytest.mark.parametrize("named", [True, False])
def test_a_reply_that_opts_out_withdraws_consent_for_good(database: Database, named: bool) -> None:
    name = sent(database)
    receipt = (
        Receipt(ReceiptKind.OPTED_OUT, NOW, name) if named else Receipt(ReceiptKind.OPTED_OUT, NOW, member_id="m1")
    )
    line = Line("way", "sms", "app")
    assert hear(database, receipt, line=line) == [Heard.APPLIED]
    assert hear(database, receipt, line=line) == [Heard.KNOWN]
    with database.read() as connection:
        rows = fetch(connection, "SELECT channel, granted, source FROM consents WHERE member_id = 'm1' ORDER BY at")
    assert [(row[0], bool(row[1]), row[2]) for row in rows] == [("", True, None), ("sms", False, "reply")]
    put_out(database, message("m1", occasion="2", due_at=LATER))
    assert sender(database, Provider(), Clock(LATER), way(channel="sms")).send_some() == {
        ("skipped", "consent_withdrawn"): 1
    }


def test_an_opt_out_of_nobody_is_unknown(database: Database) -> None:
    assert hear(database, Receipt(ReceiptKind.OPTED_OUT, NOW, member_id="nobody")) == [Heard.UNKNOWN]
    assert hear(database, Receipt(ReceiptKind.OPTED_OUT, NOW)) == [Heard.UNKNOWN]


@pytest.mark.parametrize(
    ("kind", "state", "count"),
    [(ReceiptKind.CONFIRMED, ("sent", None), 1), (ReceiptKind.DECLINED, ("skipped", "guide_declined"), 0)],
)
def test_a_task_is_sent_when_the_guide_confirms(
    database: Database, kind: ReceiptKind, state: tuple[str, str | None], count: int
) -> None:
    name = sent(database, Answer(Result.TASKED, "guide", "t1"))
    assert hear(database, Receipt(kind, NOW, name), Receipt(kind, NOW, name)) == [Heard.APPLIED, Heard.KNOWN]
    assert found(database) == {"m1": state}
    assert column(database, "provider_ref") == "t1"
    assert len(sends(database)) == count


def test_accepted_prompts_add_up(database: Database) -> None:
    accepted = Receipt(ReceiptKind.PROMPT_ACCEPTED, NOW, member_id="m1", template="t1", count=2)
    assert hear(database, accepted, accepted) == [Heard.APPLIED, Heard.APPLIED]
    assert hear(database, Receipt(ReceiptKind.PROMPT_ACCEPTED, NOW, member_id="m1")) == [Heard.UNKNOWN]
    with database.read() as connection:
        assert fetch(connection, "SELECT member_id, template, accepted, used FROM message_quotas") == [
            ("m1", "t1", 4, 0)
        ]


def test_posted_events_tell_of_messages_too_but_not_of_other_members(database: Database) -> None:
    name = sent(database)
    told = {"kind": EventKind.PUSH_CLICK, "attributes": f'{{"message_id": "{name}"}}'}
    with database.write() as connection:
        note_events(connection, [make_event("e1", "m2", **told)], LATER)
    assert found(database) == {"m1": ("sent", None)}
    with database.write() as connection:
        note_events(connection, [make_event("e2", "m1", **told), make_event("e3", None, **told)], LATER)
    assert found(database) == {"m1": ("delivered", None)}


def test_a_message_that_did_not_arrive_is_a_dead_letter_that_can_be_sent_again(database: Database) -> None:
    name = sent(database)
    assert hear(database, Receipt(ReceiptKind.FAILED, NOW, name, reason="no_phone")) == [Heard.APPLIED]
    assert found(database) == {"m1": ("failed", "receipt_no_phone")}
    with database.write() as connection:
        assert failed_ids(connection, "c1") == [name]
        assert replay(connection, [name, "msg_other"], LATER) == 1
        assert replay(connection, [name], LATER) == 0
    provider = Provider()
    sender(database, provider, Clock(LATER)).send_some()
    assert [one.message_id for one in provider.sent] == [name]


def test_a_receipt_that_is_quicker_than_the_answer_counts(database: Database) -> None:
    settle_in(database)
    put_out(database, message("m1"), message("m2"))
    name = message("m1").delivery_id

    class Quick(Provider):
        def send(self, messages: Sequence[Outgoing], at: datetime) -> Sequence[Answer]:
            if messages[0].message_id == name:
                assert hear(database, Receipt(ReceiptKind.DELIVERED, NOW, name)) == [Heard.APPLIED]
            return super().send(messages, at)

    one = sender(database, Quick(), Clock())
    assert one.send_some() == {("sent", ""): 1}
    assert found(database) == {"m1": ("delivered", None), "m2": ("sent", None)}
    assert [row[0] for row in sends(database)] == ["m1", "m2"]


def test_a_dead_letter_that_arrived_after_all_is_delivered(database: Database) -> None:
    settle_in(database)
    put_out(database, message("m1"), message("m2", due_at=LATER))
    provider = Provider()
    provider.answer = Answer(Result.AGAIN, "timeout")
    sender(database, provider, Clock(), way(retry_seconds=[])).send_some()
    assert found(database)["m1"] == ("failed", "timeout")
    never_tried = Receipt(ReceiptKind.DELIVERED, NOW, message("m2").delivery_id)
    hear(database, Receipt(ReceiptKind.OPENED, NOW, message("m1").delivery_id), never_tried)
    assert found(database) == {"m1": ("delivered", None), "m2": ("pending", None)}
    assert [row[0] for row in sends(database)] == ["m1"]


def test_messages_are_listed_page_by_page(database: Database) -> None:
    settle_in(database)
    put_out(database, *(message(f"m{number}") for number in range(5)), message("m1", campaign_id="c2"))
    with database.read() as connection:
        first = list_deliveries(connection, Choice("c1"), 3)
        rest = list_deliveries(connection, Choice("c1", after_id=first[-1]["delivery_id"]), 3)
        assert {row["member_id"] for row in first + rest} == {f"m{number}" for number in range(5)}
        assert {row["campaign_id"] for row in list_deliveries(connection, Choice(member_id="m1"), 9)} == {"c1", "c2"}
        assert list_deliveries(connection, Choice(state=State.SENT), 9) == []


def test_what_was_in_hand_when_a_campaign_ended_is_skipped_later(database: Database) -> None:
    settle_in(database)
    put_out(database, message("m1"))
    set_status(database, "cancelled")
    with database.write() as connection:
        execute(connection, "UPDATE deliveries SET lease_until = ?", (to_micros(LATER),))
    assert sweep_over(database, NOW) == 0
    assert sweep_over(database, LATER) == 1
    assert found(database) == {"m1": ("skipped", "campaign_cancelled")}
