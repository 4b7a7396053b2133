"""Unify: what becomes of the events of log and database, on both databases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from recommender.errors import EventLogError
from recommender.events import Event, EventKind, member_subject
from recommender.settings import CoreSettings
from recommender.storage.compact import compact
from recommender.storage.content import content_hash
from recommender.storage.database import Database
from recommender.storage.event_log import log_schema, open_event_log, register
from recommender.storage.events import LOG_COLUMNS, append_events
from recommender.storage.identities import Link, link, unlink
from recommender.storage.statements import execute, last_sequence, next_sequence
from tests.factories import put_rows
from training.dataset import Dataset
from training.unify import read_dataset

NOON = datetime(2024, 5, 6, 4, 0, tzinfo=UTC)
"""Noon in Shanghai, eight hours ahead of UTC."""
NOW = NOON + timedelta(days=30)
BUY, VIEW, RETURN = EventKind.PURCHASE, EventKind.VIEW, EventKind.RETURN

Said = tuple[str, str, str]
"""Person, item and kind of an entry."""


@dataclass(frozen=True)
class Shop:
    """A database and an event log to put events into and to read as a dataset."""

    database: Database
    settings: CoreSettings

    def log(self, *events: Event) -> None:
        """Write events into files of the log, one batch."""
        with self.database.write() as connection:
            sequence = next_sequence(connection)
            register(connection, open_event_log(self.settings).write(table_of(events), sequence), sequence)

    def post(self, *events: Event) -> None:
        """Post events, so that they are in the database only."""
        with self.database.write() as connection:
            append_events(connection, events, NOW)

    def link(self, namespace: str, value: str, *member_ids: str) -> None:
        with self.database.write() as connection:
            link(connection, [Link(namespace, value, member_id) for member_id in member_ids], NOW)

    def read(self, until: datetime | None = None) -> Dataset:
        return read_dataset(self.database, self.settings, until, NOW)

    def said(self, until: datetime | None = None) -> list[Said]:
        """Return person, item and kind of every entry, in order."""
        dataset = self.read(until)
        entries = dataset.entries
        people, items = dataset.people.ids(entries.person_row), dataset.items.ids(entries.item_row)
        return list(zip(people, items, [str(list(EventKind)[code]) for code in entries.kind], strict=True))


@pytest.fixture
def shop(database: Database, tmp_path: Path) -> Shop:
    """An empty shop in Shanghai."""
    return Shop(database, CoreSettings(home=tmp_path / "home", time_zone="Asia/Shanghai"))


@pytest.fixture
def quick(sqlite_database: Database, tmp_path: Path) -> Shop:
    """An empty shop on SQLite, for what only concerns the event log."""
    return Shop(sqlite_database, CoreSettings(home=tmp_path / "home", time_zone="Asia/Shanghai"))


def table_of(events: Sequence[Event]) -> pa.Table:
    """Lay events out as the event log keeps them."""
    own = {entry.name for entry in fields(Event)}
    rows = [
        {name: getattr(event, name) for name in LOG_COLUMNS if name in own}
        | {"kind": str(event.kind), "source": "test", "content_hash": content_hash(event)}
        for event in events
    ]
    return pa.Table.from_pylist(rows, schema=log_schema())


def event(
    event_id: str, item_id: str | None = "i1", member: str | None = "m1", hours: float = 0, **changes: object
) -> Event:
    """Make a purchase at the till of store s1, so many hours after NOON."""
    whole = Event(
        event_id=event_id,
        occurred_at=NOON + timedelta(hours=hours),
        kind=BUY,
        channel="pos",
        subject=None if member is None else member_subject(member),
        item_id=item_id,
        store_id="s1",
    )
    return replace(whole, **changes)  # type: ignore[arg-type]


def minute(hours: float) -> int:
    return int((NOON + timedelta(hours=hours)).timestamp()) // 60


def bought(*items: str, person: str = "member:m1") -> list[Said]:
    return [(person, item, "purchase") for item in items]


def test_entries_of_log_and_database_together(shop: Shop) -> None:
    shop.log(event("e1", "i2", "m2", 1), event("e2", "i1", "m1", 2, kind=VIEW, channel="app", store_id=None))
    shop.post(event("e3", "i3", "m1", 1, store_id="s2"))
    dataset = shop.read()
    assert shop.said() == [
        ("member:m1", "i3", "purchase"),
        ("member:m1", "i1", "view"),
        ("member:m2", "i2", "purchase"),
    ]
    entries = dataset.entries
    assert entries.minute.tolist() == [minute(1), minute(2), minute(1)]
    assert [dataset.channels[code] for code in entries.channel] == ["pos", "app", "pos"]
    assert dataset.stores.ids(np.arange(2)) == ["s1", "s2"]
    assert entries.store_row.tolist() == [1, 2, 0]  # 2 = no store named
    assert dataset.day_offset_minutes == 480
    assert dataset.until == datetime.fromtimestamp((minute(2) + 1) * 60, UTC)
    with shop.database.read() as connection:
        assert dataset.last_sequence == last_sequence(connection) > 0


def test_an_empty_shop(shop: Shop) -> None:
    dataset = shop.read()
    assert (len(dataset.items), len(dataset.people), len(dataset.entries), len(dataset.sales.minute)) == (0, 0, 0, 0)
    assert dataset.until == NOW


def test_the_catalogue_is_known_whether_sold_or_not(shop: Shop) -> None:
    shop.log(event("e1", "i2", hours=5), event("e2", "i9", member=None, hours=3))
    put_rows(
        shop.database,
        "items",
        {"item_id": "i1", "category": "food > fruit", "brand": "B", "price_cents": 250},
        {"item_id": "i2", "category": "drinks", "available_from": NOON - timedelta(days=1)},
        {"item_id": "i3", "brand": "A"},
    )
    dataset = shop.read()
    facts = dataset.facts
    assert dataset.items.ids(np.arange(4)) == ["i1", "i2", "i3", "i9"]
    assert [facts.categories[row] for row in facts.category_row] == ["food > fruit", "drinks", "", ""]
    assert [facts.brands[row] for row in facts.brand_row] == ["B", "", "A", ""]
    assert facts.categories[-1] == facts.brands[-1] == ""
    assert facts.price_cents.tolist() == pytest.approx([250, np.nan, np.nan, np.nan], nan_ok=True)
    never = np.iinfo(np.int32).max
    assert facts.available_from.tolist() == [never, minute(-24), never, minute(3)]


# What counts of an order.


def test_the_highest_revision_of_an_order_line_counts(shop: Shop) -> None:
    first = event("e1", "i1", order_id="o1", order_line="1")
    shop.log(
        first,
        replace(first, event_id="e2", item_id="i2", order_line="2"),
        replace(first, event_id="e3", item_id="i3", revision=2),
        replace(first, event_id="e4", item_id="i4", revision=1),
        replace(first, event_id="e5", item_id="i5", order_id="o2"),
        replace(first, event_id="e6", item_id="i6", order_line=None, revision=0),
        replace(first, event_id="e7", item_id="i7", order_line=None, revision=5),
    )
    assert shop.said() == bought("i2", "i3", "i5", "i6", "i7")


def test_a_correction_may_be_posted_later_than_the_log(shop: Shop) -> None:
    first = event("e1", "i1", order_id="o1", order_line="1")
    shop.log(first)
    shop.post(replace(first, event_id="e2", item_id="i2", revision=1))
    assert shop.said() == bought("i2")


def test_a_correction_after_the_end_is_not_known_yet(quick: Shop) -> None:
    first = event("e1", "i1", order_id="o1", order_line="1")
    quick.log(first, replace(first, event_id="e2", item_id="i2", revision=1, occurred_at=NOON + timedelta(hours=2)))
    assert quick.said(NOON + timedelta(hours=1)) == bought("i1")


@pytest.mark.parametrize("status", ["cancelled", "unpaid", "pending"])
def test_cancelled_and_unpaid_lines_do_not_count(quick: Shop, status: str) -> None:
    first = event("e1", "i1", order_id="o1", order_line="1", status="paid")
    quick.log(
        first,
        event("e2", "i2", status=status),
        replace(first, event_id="e3", revision=1, status=status),
        event("e4", "i4", order_id="o4", order_line="1", status=status),
        event("e5", "i4", order_id="o4", order_line="1", status="paid", revision=1),
        event("e6", "i6", status="completed"),
        event("e7", "i7", kind=VIEW, status=status),
    )
    assert quick.said() == [
        ("member:m1", "i4", "purchase"),
        ("member:m1", "i6", "purchase"),
        ("member:m1", "i7", "view"),
    ]


def test_a_return_takes_its_order_line_back(shop: Shop) -> None:
    shop.log(
        event("e1", "i1", order_id="o1", quantity=2),
        event("e2", "i2", order_id="o1", quantity=2),
        event("e3", "i3", order_id="o1"),
        event("e4", "i1", order_id="o2", hours=30),
        event("r1", "i1", hours=48, kind=RETURN, order_id="o1", quantity=2),
        event("r2", "i2", hours=48, kind=RETURN, order_id="o1", quantity=1),
        event("r3", "i3", hours=48, kind=RETURN, order_id="o1"),
    )
    # All of i1 and i3 of order o1 came back, one of two i2 did not, and order o2 is another one.
    assert shop.said() == bought("i2", "i1")


def test_partial_returns_add_up(quick: Shop) -> None:
    quick.log(
        event("e1", "i1", order_id="o1", order_line="1", quantity=1),
        event("e2", "i1", order_id="o1", order_line="2", quantity=2),
        event("r1", "i1", hours=1, kind=RETURN, order_id="o1", quantity=1),
    )
    assert quick.said() == bought("i1")
    quick.log(event("r2", "i1", hours=2, kind=RETURN, order_id="o1", quantity=2))
    assert quick.said() == []


def test_a_return_without_an_order_takes_the_latest_purchase_back(shop: Shop) -> None:
    shop.log(
        event("e1", "i1", hours=0),
        event("e2", "i1", hours=48),
        event("e3", "i1", hours=96),
        event("e4", "i2", hours=48),
        event("e5", "i1", "m2", hours=60),
        event("r1", "i1", hours=72, kind=RETURN),
    )
    dataset = shop.read()
    assert dataset.entries.minute.tolist() == [minute(0), minute(48), minute(96), minute(60)]
    assert shop.said() == [*bought("i1", "i2", "i1"), *bought("i1", person="member:m2")]


def test_two_returns_without_an_order_take_two_purchases_back(quick: Shop) -> None:
    quick.log(
        event("e1", "i1", hours=0),
        event("e2", "i1", hours=48),
        event("e3", "i1", hours=96),
        event("r1", "i1", hours=120, kind=RETURN),
        event("r2", "i1", hours=121, kind=RETURN),
    )
    assert quick.read().entries.minute.tolist() == [minute(0)]


def test_a_return_without_an_order_takes_back_its_quantity(quick: Shop) -> None:
    quick.log(
        event("e1", "i1", hours=0, quantity=1),
        event("e2", "i1", hours=48, quantity=3),
        event("r1", "i1", hours=120, kind=RETURN, quantity=1),
        event("r2", "i1", hours=121, kind=RETURN, quantity=1),
    )
    assert quick.read().entries.minute.tolist() == [minute(0), minute(48)]
    quick.log(event("r3", "i1", hours=122, kind=RETURN, quantity=1))
    assert quick.read().entries.minute.tolist() == [minute(0)]


def test_a_return_may_name_another_identity_of_the_member(quick: Shop) -> None:
    quick.log(
        event("e1", "i1", subject="card:c1"),
        event("e2", "i2", subject="card:c1", order_id="o1"),
        event("r1", "i1", hours=5, kind=RETURN),
        event("r2", "i2", hours=5, kind=RETURN, order_id="o1"),
    )
    assert quick.said() == [("card:c1", "i1", "purchase")]
    quick.link("card", "c1", "m1")
    assert quick.said() == []


def test_a_purchase_taken_back_by_its_order_is_not_taken_back_again(quick: Shop) -> None:
    quick.log(
        event("e1", "i1"),
        event("e2", "i1", hours=48, order_id="o2"),
        event("r2", "i1", hours=50, kind=RETURN, order_id="o2"),
        event("r1", "i1", hours=60, kind=RETURN),
    )
    assert quick.said() == []


def test_returns_of_nothing_change_nothing(quick: Shop) -> None:
    quick.log(
        event("e1", "i1", hours=2, order_id="o1"),
        event("r1", "i1", hours=1, kind=RETURN),
        event("r2", "i1", hours=3, kind=RETURN, order_id="o9"),
        event("r3", "i2", hours=3, kind=RETURN, order_id="o1"),
        event("r4", "i1", hours=3, kind=RETURN, member="m2"),
        event("r5", "i1", hours=3, kind=RETURN, member=None),
    )
    assert quick.said() == bought("i1")


def test_a_return_after_the_end_is_not_known_yet(quick: Shop) -> None:
    quick.log(event("e1", "i1", order_id="o1"), event("r1", "i1", hours=30, kind=RETURN, order_id="o1"))
    assert quick.said(NOON + timedelta(hours=30)) == bought("i1")
    assert quick.said() == []


# Duplicates, files and days.


def test_an_event_in_log_and_database_is_one_event(shop: Shop) -> None:
    first = event("e1", member=None, order_id="o1")
    later = event("e2", "i2", member=None, order_id="o2", hours=1)
    shop.log(first)
    shop.post(first, later)
    assert len(shop.read().sales.minute) == 2
    compact(shop.database, open_event_log(shop.settings), 0, NOW)
    assert len(shop.read().sales.minute) == 2


def test_the_same_events_make_the_same_arrays_whatever_the_files(shop: Shop, tmp_path: Path) -> None:
    events = [
        event(f"e{number}", f"i{number % 5}", member, number * 7 % 50, channel=channel, store_id=store)
        for number, (member, channel, store) in enumerate(
            (member, channel, store)
            for member in ("m1", "m2", None)
            for channel in ("pos", "app")
            for store in ("s1", "s2", None)
        )
    ]
    shop.log(*events[:9])
    shop.log(*events[9:14])
    shop.post(*events[14:])
    first = arrays_of(shop.read())
    other = Shop(shop.database, replace(shop.settings, home=tmp_path / "other"))
    with shop.database.write() as connection:
        execute(connection, "DELETE FROM log_files")
        execute(connection, "DELETE FROM events")
    other.post(*events[:4:-1])
    other.log(*events[2:5])
    other.log(*events[1::-1])
    second = arrays_of(other.read())
    assert first.keys() == second.keys()
    for name, array in first.items():
        assert np.array_equal(array, second[name]), name


def arrays_of(dataset: Dataset) -> dict[str, np.ndarray]:
    """Return every array of a dataset by name, the one without a value for NaN."""
    found: dict[str, np.ndarray] = {"learned": dataset.learned}
    for part in (dataset.entries, dataset.sales, dataset.facts):
        values = {entry.name: getattr(part, entry.name) for entry in fields(part)}
        found |= {name: np.nan_to_num(array) for name, array in values.items() if isinstance(array, np.ndarray)}
    found |= {name: getattr(dataset, name).keys for name in ("items", "stores", "subjects", "people")}
    return found


def test_one_entry_per_item_kind_and_local_day(shop: Shop) -> None:
    # In Shanghai hours -12 and 11.9 are 0:00 and 23:54 of one day, hour 12 is the next, hour -12.1 the one before.
    shop.log(
        event("e1", hours=11.9, store_id="s2"),
        event("e2", hours=-12, channel="app"),
        event("e3", hours=12),
        event("e4", hours=-12.1),
        event("e5", hours=1, kind=VIEW),
        event("e6", hours=2, kind=VIEW),
    )
    dataset = shop.read()
    assert dataset.entries.minute.tolist() == [minute(-12.1), minute(-12), minute(1), minute(12)]
    assert [dataset.channels[code] for code in dataset.entries.channel] == ["pos", "app", "pos", "pos"]
    assert dataset.entries.store_row.tolist() == [0, 0, 0, 0]


def test_days_of_another_zone(quick: Shop) -> None:
    quick.log(event("e1", hours=11.9), event("e2", hours=12), event("e3", hours=19.9), event("e4", hours=20))
    # In UTC, hour 20 after 4:00 is midnight.
    utc = Shop(quick.database, replace(quick.settings, time_zone="UTC"))
    assert utc.read().entries.minute.tolist() == [minute(11.9), minute(20)]
    assert utc.read().day_offset_minutes == 0


def test_kinds_that_are_not_history_are_left_out(quick: Shop) -> None:
    quick.log(*(event(f"e{number}", f"i{number:02d}", kind=kind) for number, kind in enumerate(EventKind)))
    kinds = {kind for _, _, kind in quick.said()}
    assert kinds == {"view", "favorite", "basket_add", "purchase", "rating", "share"}


def test_events_without_an_item_are_left_out(quick: Shop) -> None:
    quick.log(event("e1", None), event("e2", "i2"))
    assert quick.said() == bought("i2")


def test_events_at_or_after_the_end_are_left_out(shop: Shop) -> None:
    end = NOON + timedelta(hours=1, seconds=30)
    shop.log(
        event("e1", "i1"),
        event("e2", "i2", occurred_at=end - timedelta(microseconds=1)),
        event("e3", "i3", occurred_at=end),
        event("e4", "i4", hours=24 * 40),
    )
    shop.post(event("e5", "i5", occurred_at=end), event("e6", "i6", occurred_at=end - timedelta(seconds=1)))
    dataset = shop.read(end)
    assert shop.said(end) == bought("i1", "i2", "i6")
    assert (dataset.until, dataset.until_minute) == (end, minute(1) + 1)
    assert dataset.items.ids(np.arange(len(dataset.items))) == ["i1", "i2", "i6"]


def test_events_after_the_present_are_left_out(quick: Shop) -> None:
    quick.log(event("e1", "i1"), event("e2", "i2", occurred_at=NOW), event("e3", "i3", hours=24 * 400))
    assert quick.said() == bought("i1")


def test_a_missing_file_is_an_error(quick: Shop) -> None:
    quick.log(event("e1"))
    next(quick.settings.event_log_folder.rglob("*.parquet")).unlink()
    with pytest.raises(EventLogError, match="missing"):
        quick.read()


# Who it was.


def test_history_follows_links(shop: Shop) -> None:
    shop.log(
        event("e1", "i1"),
        event("e2", "i2", hours=1, subject="card:c1"),
        event("e3", "i3", hours=2, subject="wechat_openid:w1"),
    )
    alone = [("card:c1", "i2", "purchase"), ("member:m1", "i1", "purchase"), ("wechat_openid:w1", "i3", "purchase")]
    assert shop.said() == alone
    shop.link("card", "c1", "m1")
    shop.link("wechat_openid", "w1", "m9")
    assert shop.said() == [*bought("i1", "i2"), ("member:m9", "i3", "purchase")]
    dataset = shop.read()
    assert dataset.people.ids(np.arange(2)) == ["member:m1", "member:m9"]
    assert dataset.subjects.ids(dataset.entries.subject_row) == ["member:m1", "card:c1", "wechat_openid:w1"]
    with shop.database.write() as connection:
        unlink(connection, "card", "c1", "m1", NOW)
        unlink(connection, "wechat_openid", "w1", "m9", NOW)
    assert shop.said() == alone


def test_an_identity_of_two_members_is_nobodys(shop: Shop) -> None:
    shop.log(event("e1", "i1", subject="card:c1"))
    shop.link("card", "c1", "m1", "m2")
    assert shop.said() == [("card:c1", "i1", "purchase")]


def test_other_kinds_of_members_do_not_shape_the_models(shop: Shop) -> None:
    kinds = {"m1": "consumer", "m2": "employee", "m3": "shared_card", "m4": "test", "m5": "blocked", "m6": None}
    put_rows(shop.database, "members", *({"member_id": name, "kind": kind} for name, kind in kinds.items()))
    shop.log(*(event(f"e{name}", "i1", name) for name in (*kinds, "m7")), event("card", "i2", subject="card:c2"))
    shop.link("card", "c2", "m2")
    dataset = shop.read()
    learned = dict(zip(dataset.people.ids(np.arange(len(dataset.people))), dataset.learned.tolist(), strict=True))
    assert {name for name, kept in learned.items() if kept} == {"member:m1", "member:m6", "member:m7"}
    assert "card:c2" not in learned  # it is the employee's


def test_erased_subjects_are_left_out(shop: Shop) -> None:
    shop.log(event("e1", "i1"), event("e2", "i2", "m2"), event("e3", "i3", subject="card:c1"))
    shop.post(event("e4", "i4"), event("e5", "i5", subject="card:c2"))
    shop.link("card", "c2", "m1")
    with shop.database.write() as connection:
        for subject in ("member:m1", "card:c1"):
            execute(connection, "INSERT INTO erased_subjects (subject, erased_at) VALUES (?, ?)", (subject, 0))
    people = {person for person, _, _ in shop.said()}
    assert people == {"member:m2", "card:c2"}


def test_sales_to_unknown_customers_are_one_per_order_and_item(shop: Shop) -> None:
    shop.log(
        event("e1", "i1", None, 1, order_id="o1", order_line="1"),
        event("e2", "i1", None, 1, order_id="o1", order_line="2"),
        event("e3", "i2", None, 1, order_id="o1"),
        event("e4", "i1", None, 0, order_id="o2", store_id=None),
        event("e5", "i1", None, 2),
        event("e6", "i1", None, 3),
        event("e7", "i1", None, 4, order_id="o3", status="cancelled"),
        event("e8", "i1", None, 5, order_id="o4"),
        event("r8", "i1", None, 6, order_id="o4", kind=RETURN),
        event("e9", "i1", None, 6, kind=VIEW),
    )
    dataset = shop.read()
    sales = dataset.sales
    assert sales.minute.tolist() == [minute(0), minute(1), minute(1), minute(2), minute(3)]
    assert dataset.items.ids(sales.item_row) == ["i1", "i1", "i2", "i1", "i1"]
    assert sales.store_row.tolist() == [1, 0, 0, 0, 0]  # 1 = no store named
    assert (len(dataset.entries), len(dataset.people)) == (0, 0)


# Items.


def test_replaced_items_go_by_their_successor(shop: Shop) -> None:
    relations = (("i2", "i1"), ("i3", "i2"), ("i6", "i5"), ("i5", "i6"))
    put_rows(
        shop.database,
        "item_relations",
        *({"item_id": new, "related_item_id": old, "relation": "replaces"} for new, old in relations),
        {"item_id": "i8", "related_item_id": "i7", "relation": "substitute"},
    )
    shop.log(*(event(f"e{number}", f"i{number}", hours=number) for number in range(1, 9)))
    # 1 -> 2 -> 3 on one day are one entry; a circle and a substitute replace nothing.
    assert shop.said() == bought("i3", "i4", "i5", "i6", "i7", "i8")
    assert shop.read().entries.minute[0] == minute(1)


def test_a_return_under_the_new_code_takes_the_old_purchase_back(quick: Shop) -> None:
    put_rows(quick.database, "item_relations", {"item_id": "new", "related_item_id": "old", "relation": "replaces"})
    quick.log(event("e1", "old", order_id="o1"), event("r1", "new", hours=2, kind=RETURN, order_id="o1"))
    assert quick.said() == []


def test_packs_of_one_product_are_known_as_such(shop: Shop) -> None:
    pairs = (("i3", "i1"), ("i4", "i3"), ("i6", "i5"), ("i2", "unknown"))
    put_rows(
        shop.database,
        "item_relations",
        *({"item_id": one, "related_item_id": other, "relation": "same_product"} for one, other in pairs),
        {"item_id": "i2", "related_item_id": "i1", "relation": "complement"},
    )
    shop.log(*(event(f"e{number}", f"i{number}") for number in range(1, 7)))
    # By row: i1, i3 and i4 are one product, i5 and i6 another.
    assert shop.read().facts.product_row.tolist() == [0, 1, 0, 0, 4, 4]


def test_a_pack_that_was_replaced_passes_its_product_on(quick: Shop) -> None:
    put_rows(
        quick.database,
        "item_relations",
        {"item_id": "i2", "related_item_id": "i1", "relation": "same_product"},
        {"item_id": "i3", "related_item_id": "i1", "relation": "replaces"},
    )
    quick.log(event("e1", "i1"), event("e2", "i2"))
    dataset = quick.read()
    assert dataset.items.ids(np.arange(2)) == ["i2", "i3"]
    assert dataset.facts.product_row.tolist() == [0, 0]


def test_the_end_of_a_history_that_ended_long_ago_is_its_last_minute(quick: Shop) -> None:
    quick.log(event("e1", hours=0), event("e2", "i2", hours=5, occurred_at=NOON + timedelta(hours=5, seconds=59)))
    dataset = quick.read()
    assert dataset.until == NOON + timedelta(hours=5, minutes=1)
    assert dataset.until_minute == minute(5) + 1
    assert dataset.until.date() == date(2024, 5, 6)
    assert len(dataset.histories(dataset.until_minute).item_row) == 2
    assert dataset.histories(minute(5)).item_row.tolist() == [0]


def test_stores_lie_in_regions(quick: Shop) -> None:
    put_rows(
        quick.database,
        "stores",
        {"store_id": "s1", "region": "West"},
        {"store_id": "s2", "region": "East"},
        {"store_id": "elsewhere", "region": "North"},
    )
    quick.log(*(event(f"e{number}", "i1", store_id=f"s{number}") for number in range(1, 4)))
    dataset = quick.read()
    # Of s3 nothing is known; nothing was sold in the fourth.
    assert dataset.regions == ("East", "West", "")
    assert dataset.store_region.tolist() == [1, 0, 2]
