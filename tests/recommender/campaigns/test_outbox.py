"""The outbox: each message once, and cancelled only while it waits."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.campaigns.outbox import NewDelivery, cancel, delivery_id, enqueue
from recommender.errors import InputError
from recommender.storage.database import Database
from recommender.storage.statements import execute, fetch
from recommender.storage.types import to_micros
from tests.factories import NOW


def message(member_id: str = "m1", **fields: Any) -> NewDelivery:
    """A message of campaign c1, due now."""
    known = {"campaign_id": "c1", "unit": f"member:{member_id}", "arm": "treated", "propensity": 0.9}
    return NewDelivery(**{**known, "member_id": member_id, "transport": "hook", "due_at": NOW, **fields})


def states(database: Database) -> list[tuple[str, str, str | None]]:
    with database.read() as connection:
        rows = fetch(connection, "SELECT member_id, state, reason FROM deliveries ORDER BY member_id")
    return [(row[0], row[1], row[2]) for row in rows]


def test_a_message_is_in_the_outbox_once(database: Database) -> None:
    many = [message(f"m{number:03d}") for number in range(450)]
    with database.write() as connection:
        assert enqueue(connection, many, NOW) == 450
        assert enqueue(connection, [*many, message("new"), message("m001", occasion="2026-03-02")], NOW) == 2
    assert len(states(database)) == 452


def test_nothing_is_in_the_outbox_of_a_decision_that_was_rolled_back(database: Database) -> None:
    def decide() -> None:
        with database.write() as connection:
            enqueue(connection, [message()], NOW)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        decide()
    assert states(database) == []


def test_cancelling_skips_what_waits_and_leaves_what_is_being_sent(database: Database) -> None:
    members = ("held", "leased", "other", "pending", "sent", "stale")
    with database.write() as connection:
        enqueue(connection, [message(m, campaign_id="c2" if m == "other" else "c1") for m in members], NOW)
        for member, state, lease in (("held", "held", None), ("sent", "sent", None), ("leased", "pending", 60)):
            until = None if lease is None else to_micros(NOW + timedelta(seconds=lease))
            values = (state, until, member)
            execute(connection, "UPDATE deliveries SET state = ?, lease_until = ? WHERE member_id = ?", values)
        gone = (to_micros(NOW - timedelta(seconds=1)), "stale")
        execute(connection, "UPDATE deliveries SET lease_until = ? WHERE member_id = ?", gone)
        assert cancel(connection, "c1", "campaign_cancelled", NOW) == 3
    assert states(database) == [
        ("held", "skipped", "campaign_cancelled"),
        ("leased", "pending", None),
        ("other", "pending", None),
        ("pending", "skipped", "campaign_cancelled"),
        ("sent", "sent", None),
        ("stale", "skipped", "campaign_cancelled"),
    ]


@pytest.mark.parametrize(("field", "value"), [("arm", "control"), ("propensity", 1.5), ("propensity", float("nan"))])
def test_a_message_of_no_known_group_is_refused(sqlite_database: Database, field: str, value: object) -> None:
    with sqlite_database.write() as connection, pytest.raises(InputError) as error:
        enqueue(connection, [message(**{field: value})], NOW)
    assert error.value.field == field


ids = st.text(min_size=1, max_size=4)


@given(st.tuples(ids, ids, ids), st.tuples(ids, ids, ids))
def test_only_the_same_message_has_the_same_id(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    assert (delivery_id(*one) == delivery_id(*other)) == (one == other)
