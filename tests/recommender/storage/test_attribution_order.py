"""Attribution does not depend on how events are cut into pages, nor on how often it runs."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from shutil import copy

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recommender.events import Event, EventKind, member_subject
from recommender.storage import attribution
from recommender.storage.database import Database
from recommender.storage.statements import fetch
from recommender.storage.tables import OUTCOMES
from tests.recommender.storage.test_attribution import NOW, event, post, run, show, slate

CREDITS = f"SELECT {', '.join(attribution._CREDIT)}"
ITEMS = ("milk", "bread")
ORDERS = ("o1", "o2", None)

ACTS = st.fixed_dictionaries(
    {
        "kind": st.sampled_from([EventKind.VIEW, EventKind.PURCHASE, EventKind.PURCHASE, EventKind.RETURN]),
        "item_id": st.sampled_from(ITEMS),
        "order_id": st.sampled_from(ORDERS),
        "order_line": st.sampled_from(["1", "2"]),
        "revision": st.integers(0, 2),
        "status": st.sampled_from([None, None, "paid", "cancelled"]),
        "quantity": st.sampled_from([None, 1.0, 2.0, 3.0]),
        "unit_price_cents": st.sampled_from([100, 250]),
        "recommendation_id": st.sampled_from(["r1", "r2", "later", None]),
        "channel": st.sampled_from(["app", "pos"]),
        "subject": st.sampled_from([member_subject("1"), member_subject("2"), None]),
        "hours": st.integers(1, 200),
    }
)


def of(number: int, act: dict[str, object]) -> Event:
    said = dict(act)
    hours, kind = said.pop("hours"), said.pop("kind")
    assert isinstance(hours, int)
    assert isinstance(kind, EventKind)
    if said["order_id"] is None:
        said["order_line"] = None
    if kind is EventKind.RETURN:
        said["recommendation_id"] = None
    return event(f"e{number}", kind, **said, occurred_at=NOW + timedelta(hours=hours))


def joined(folder: Path, template: Path, events: list[Event], rows: int) -> list[tuple[object, ...]]:
    """Return what came of every item shown, after events joined in pages of `rows`, in two halves."""
    path = folder / "one.db"
    copy(template, path)
    database = Database(f"sqlite:///{path}")
    show(database, slate("r1", ITEMS), slate("r2", ITEMS[::-1], NOW + timedelta(hours=1), member_subject("2")))
    for part in (events[: len(events) // 2], events[len(events) // 2 :]):
        if part:
            post(database, *part)
        run(database, rows=rows)
    show(database, slate("later", ITEMS, NOW, None))
    for _ in range(3):
        run(database, rows=rows)
    statement = "SELECT * FROM exposures ORDER BY recommendation_id, position"
    with database.read() as connection:
        found = fetch(connection, statement)
        settled = fetch(connection, "SELECT COUNT(*) FROM attributions WHERE waiting_until IS NULL")
        credits = [attribution._credit(row) for row in fetch(connection, f"{CREDITS} FROM attributions")]
        added = fetch(connection, f"SELECT recommendation_id, position, {', '.join(OUTCOMES)} FROM exposures")
    for name, position, *worth in added:
        own = [credit.worth() for credit in credits if credit.place == (name, position)]
        assert worth == [sum(column) for column in zip(*own, strict=True)] or (not own and not any(worth))
    run(database, rows=rows)
    with database.read() as connection:
        assert fetch(connection, statement) == found
        assert fetch(connection, "SELECT COUNT(*) FROM attributions WHERE waiting_until IS NULL") == settled
    database.dispose()
    path.unlink()
    return found


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts=st.lists(ACTS, max_size=14))
def test_pages_change_nothing(sqlite_template: Path, tmp_path: Path, acts: list[dict[str, object]]) -> None:
    events = [of(number, act) for number, act in enumerate(acts)]
    whole = joined(tmp_path, sqlite_template, events, 500)
    assert joined(tmp_path, sqlite_template, events, 1) == whole
    assert all(value >= 0 for row in whole for value in row[-7:] if isinstance(value, int))
