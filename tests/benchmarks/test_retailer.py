"""The synthetic retailer is what the benchmarks say it is, and the same every time."""

from __future__ import annotations

import csv
import hashlib
from collections import Counter, defaultdict
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from recommender.columns import TABLES, check_columns
from recommender.events import KNOWN_CHANNELS, EventKind
from tests.benchmarks.exports import write_exports
from tests.benchmarks.retailer import PURCHASE, Retailer, Shape

EVENTS = 20_000


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exports")
    write_exports(folder, Shape.of(EVENTS), seed=1)
    return folder


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_members_and_items_grow_as_the_square_root_of_events() -> None:
    small, large = Shape.of(100_000), Shape.of(400_000)
    assert large.members == pytest.approx(2 * small.members, abs=2)
    assert large.items == pytest.approx(2 * small.items, abs=2)


def test_there_are_as_many_events_as_asked_for_in_rising_time(exports: Path) -> None:
    events = read(exports / "events.csv")
    assert len(events) == len({event["event_id"] for event in events}) == EVENTS
    times = [datetime.fromisoformat(event["occurred_at"]) for event in events]
    assert times == sorted(times)
    assert (times[-1] - times[0]).days == 179


@pytest.mark.parametrize("table", ["events", "members", "identities", "items", "stores", "inventory"])
def test_tables_keep_the_contract(exports: Path, table: str) -> None:
    rows = read(exports / f"{table}.csv")
    assert check_columns(TABLES[table], list(rows[0])) == []
    assert all(row[name] for row in rows for name in TABLES[table].required)
    keys = TABLES[table].key
    assert len({tuple(row[name] for name in keys) for row in rows}) == len(rows)


def test_events_name_known_kinds_channels_and_ids(exports: Path) -> None:
    events = read(exports / "events.csv")
    assert {event["kind"] for event in events} <= set(EventKind)
    assert {event["channel"] for event in events} <= set(KNOWN_CHANNELS)
    for column, table in (("member_id", "members"), ("item_id", "items"), ("store_id", "stores")):
        known = {row[column] for row in read(exports / f"{table}.csv")}
        assert {event[column] for event in events} - {""} <= known
    assert {event["identity_value"] for event in events} - {""} <= {
        row["value"] for row in read(exports / "identities.csv")
    }


def test_kinds_of_customers_and_events_are_all_there(exports: Path) -> None:
    events = read(exports / "events.csv")
    kinds = Counter(event["kind"] for event in events)
    assert kinds["purchase"] / EVENTS == pytest.approx(0.6, abs=0.01)
    assert 0 < kinds["return"] < 0.01 * EVENTS < kinds["view"]
    anonymous = [event for event in events if not event["member_id"] and not event["identity_value"]]
    assert {event["channel"] for event in anonymous} == {"pos"}
    assert any(event["identity_value"] for event in events)


def test_popularity_is_skewed_and_purchases_repeat(exports: Path) -> None:
    bought = [event for event in read(exports / "events.csv") if event["kind"] == "purchase" and event["member_id"]]
    sales = sorted(Counter(event["item_id"] for event in bought).values(), reverse=True)
    assert sum(sales[: len(sales) // 10]) > 0.3 * len(bought)
    days = defaultdict(set)
    for event in bought:
        days[event["member_id"], event["item_id"]].add(event["occurred_at"][:10])
    assert sum(len(found) > 1 for found in days.values()) > 0.1 * len(days)


def test_items_are_not_sold_before_their_first_day() -> None:
    retailer = Retailer(Shape.of(EVENTS), seed=2)
    for day, lines in retailer.days():
        assert (retailer.first_day[lines.item[lines.kind == PURCHASE]] <= day).all()


def test_the_seed_decides_every_byte(exports: Path, tmp_path: Path) -> None:
    def digest(folder: Path) -> str:
        return hashlib.sha256((folder / "events.csv").read_bytes()).hexdigest()

    write_exports(tmp_path / "same", Shape.of(EVENTS), seed=1, events_only=True)
    write_exports(tmp_path / "other", Shape.of(EVENTS), seed=3, events_only=True)
    assert digest(tmp_path / "same") == digest(exports)
    assert digest(tmp_path / "other") != digest(exports)


def test_order_lines_of_a_day_are_numbered_within_their_order() -> None:
    _, lines = next(Retailer(Shape.of(EVENTS), seed=4).days())
    bought = lines.at(lines.kind == PURCHASE)
    for order in np.unique(bought.order):
        own = np.sort(bought.line[bought.order == order])
        assert own.tolist() == list(range(1, len(own) + 1))
