"""Recent events as history entries, and returns taken back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np

from recommender.events import EventKind
from recommender.history import Histories
from recommender.ids import IdIndex
from recommender.recent import read_recent, take_back
from recommender.storage.events import NO_EVENTS, RecentEvents
from tests.learning import AS_OF, VIEW, history

NOW = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(minutes=AS_OF)
ITEMS = IdIndex.of(["a", "b", "c"])
CHANNELS = {"app": 0, "pos": 1}
PURCHASE, RETURN = EventKind.PURCHASE, EventKind.RETURN

Line = tuple[str, float, EventKind]
"""Item id, minutes before NOW, kind."""


def events(*lines: Line, **columns: tuple[object, ...]) -> RecentEvents:
    """Return events in the order in which they came; other columns as given, else without values."""
    size = len(lines)
    micros = [int((NOW - timedelta(minutes=ago)).timestamp() * 1_000_000) for _, ago, _ in lines]
    given: dict[str, object] = {
        "item_id": [item for item, _, _ in lines],
        "occurred_at": micros,
        "kind": [str(kind) for _, _, kind in lines],
        "channel": ["app"] * size,
        "quantity": [None] * size,
        "order_id": [None] * size,
        "order_line": [None] * size,
        "revision": [0] * size,
        "status": [None] * size,
    }
    return RecentEvents(**(given | columns))  # type: ignore[arg-type]


def entries(found: Histories) -> list[tuple[int, int]]:
    """Return (item row, minutes before NOW)."""
    return list(zip(found.item_row.tolist(), (AS_OF - found.minute).tolist(), strict=True))


def test_no_events() -> None:
    found = read_recent(NO_EVENTS, ITEMS, CHANNELS, NOW)
    assert len(found.entries) == 1
    assert entries(found.entries) == []
    assert len(found.returned_row) == 0


def test_entries_are_ordered_by_time_whatever_the_order_of_arrival() -> None:
    found = read_recent(events(("c", 5, VIEW), ("a", 90, PURCHASE), ("b", 1, VIEW)), ITEMS, CHANNELS, NOW)
    assert entries(found.entries) == [(0, 90), (2, 5), (1, 1)]
    assert found.entries.indptr.tolist() == [0, 3]
    assert [list(EventKind)[code] for code in found.entries.kind] == [PURCHASE, VIEW, VIEW]


def test_kinds_and_items_that_histories_do_not_keep_are_left_out() -> None:
    lines = [("a", 9, kind) for kind in EventKind] + [("unknown", 1, VIEW)]
    found = read_recent(events(*lines), ITEMS, CHANNELS, NOW)
    kept = {list(EventKind)[code] for code in found.entries.kind}
    names = {"view", "favorite", "basket_add", "purchase", "rating", "share"}
    assert kept == {EventKind(name) for name in names}
    assert found.returned_row.tolist() == [0]


def test_channels_have_the_codes_of_the_bundle() -> None:
    lines = (("a", 3, VIEW), ("b", 2, VIEW), ("c", 1, VIEW))
    found = read_recent(events(*lines, channel=("pos", "app", "new shop")), ITEMS, CHANNELS, NOW)
    assert found.entries.channel.tolist() == [1, 0, 0]


def test_events_of_the_future_count_as_of_now() -> None:
    assert entries(read_recent(events(("a", -600, VIEW)), ITEMS, CHANNELS, NOW).entries) == [(0, 0)]


def test_the_highest_revision_of_an_order_line_counts() -> None:
    lines = (("a", 9, PURCHASE), ("b", 8, PURCHASE), ("c", 7, PURCHASE), ("a", 6, PURCHASE))
    found = read_recent(
        events(*lines, order_id=("o1", "o1", "o1", "o2"), order_line=("1", "1", "2", "1"), revision=(0, 1, 0, None)),
        ITEMS,
        CHANNELS,
        NOW,
    )
    assert entries(found.entries) == [(1, 8), (2, 7), (0, 6)]


def test_lines_without_numbers_do_not_supersede_one_another() -> None:
    found = read_recent(
        events(("a", 9, PURCHASE), ("b", 8, PURCHASE), order_id=("o1", "o1"), revision=(0, 3)), ITEMS, CHANNELS, NOW
    )
    assert entries(found.entries) == [(0, 9), (1, 8)]


def test_cancelled_and_unpaid_lines_do_not_count() -> None:
    lines = [("a", 9, PURCHASE)] * 4
    found = read_recent(
        events(*lines, status=("cancelled", "unpaid", "pending", "paid"), order_id=tuple("1234")), ITEMS, CHANNELS, NOW
    )
    assert len(found.entries.item_row) == 1
    cancelled = events(
        ("a", 9, PURCHASE),
        ("a", 9, PURCHASE),
        order_id=("o1", "o1"),
        order_line=("1", "1"),
        revision=(0, 1),
        status=("paid", "cancelled"),
    )
    assert entries(read_recent(cancelled, ITEMS, CHANNELS, NOW).entries) == []


def test_views_with_a_status_or_an_order_still_count() -> None:
    found = read_recent(events(("a", 9, VIEW), status=("cancelled",), order_id=("o1",)), ITEMS, CHANNELS, NOW)
    assert entries(found.entries) == [(0, 9)]


def test_a_return_takes_its_latest_purchase_back() -> None:
    bought = history((0, 5), (0, 2), (1, 3), (0, 1, VIEW), (0, 0.5))
    kept = take_back(bought, np.array([0], np.int32), np.array([AS_OF - 1440], np.int32))
    assert kept.item_row.tolist() == [0, 1, 0, 0]
    assert ((AS_OF - kept.minute) / 1440).tolist() == [5, 3, 1, 0.5]


def test_two_returns_take_two_purchases_back() -> None:
    bought = history((0, 5), (0, 2), (0, 1, VIEW))
    late = np.full(3, AS_OF, np.int32)
    assert take_back(bought, np.array([0, 0], np.int32), late[:2]).item_row.tolist() == [0]
    assert take_back(bought, np.array([0, 0, 0], np.int32), late).kind.tolist() == [0]


def test_returns_of_what_was_not_bought_change_nothing() -> None:
    bought = history((0, 5))
    assert take_back(bought, np.array([1], np.int32), np.array([AS_OF], np.int32)).item_row.tolist() == [0]
    early = np.array([AS_OF - 6 * 1440], np.int32)
    assert take_back(bought, np.array([0], np.int32), early).item_row.tolist() == [0]
    assert take_back(bought, np.empty(0, np.int32), np.empty(0, np.int32)) is bought


def test_a_cancelled_line_is_given_back_only_where_the_bundle_holds_it() -> None:
    # Line 1 of order o was bought before the bundle; line 2 is corrected within the recent events themselves.
    found = read_recent(
        events(
            ("a", 30, PURCHASE),
            ("b", 40, PURCHASE),
            ("b", 20, PURCHASE),
            order_id=("o", "o", "o"),
            order_line=("1", "2", "2"),
            revision=(1, 0, 1),
            status=("cancelled", "paid", "cancelled"),
        ),
        ITEMS,
        CHANNELS,
        NOW,
    )
    assert entries(found.entries) == []
    assert list(zip(found.returned_row.tolist(), (AS_OF - found.returned_minute).tolist(), strict=True)) == [(0, 30)]
