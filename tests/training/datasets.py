"""Small datasets for the tests of training: lines of (person, item, day, kind, store) become a Dataset."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np

from recommender.events import KIND_CODES, EventKind
from recommender.history import MINUTES_PER_DAY
from recommender.ids import IdIndex
from training.dataset import Dataset, Entries, ItemFacts, Sales

START = datetime(2024, 1, 1, tzinfo=UTC)
START_MINUTE = int(START.timestamp()) // 60

Line = tuple[str, str, float] | tuple[str, str, float, str] | tuple[str, str, float, str, str]


def minute_of(day: float) -> int:
    """Return the minute of a day number, counted from START."""
    return START_MINUTE + round(day * MINUTES_PER_DAY)


def dataset_of(lines: Sequence[Line], not_learned: Sequence[str] = (), items: Sequence[str] = ()) -> Dataset:
    """Build a dataset from lines (person, item, day[, kind[, store]]); by default purchases without store."""
    full = [(*line, *("purchase", "")[len(line) - 3 :]) for line in lines]
    people = IdIndex.of(f"member:{line[0]}" for line in full)
    item_index = IdIndex.of([*(line[1] for line in full), *items])
    stores = IdIndex.of(line[4] for line in full if line[4])
    rows = sorted(
        (
            people.row(f"member:{person}"),
            minute_of(day),
            item_index.row(item),
            KIND_CODES[EventKind(kind)],
            len(stores) if not store else stores.row(store),
        )
        for person, item, day, kind, store in full
    )
    person, minute, item, kind, store = np.array(rows, np.int64).reshape(-1, 5).T
    entries = Entries(
        person.astype(np.int32),
        person.astype(np.int32),
        item.astype(np.int32),
        store.astype(np.int32),
        minute.astype(np.int32),
        kind.astype(np.uint8),
        np.zeros(len(rows), np.uint8),
        np.ones(len(rows), np.uint8),
    )
    last = max((line[2] for line in full), default=0.0)
    return Dataset(
        items=item_index,
        stores=stores,
        subjects=people,
        people=people,
        channels=("pos",),
        entries=entries,
        sales=Sales(np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0, np.int32)),
        facts=_facts(len(item_index)),
        learned=~np.isin(people.keys, [f"member:{name}".encode() for name in not_learned]),
        until=START + timedelta(days=last, minutes=1),
        last_sequence=len(rows),
        day_offset_minutes=0,
    )


def _facts(n_items: int) -> ItemFacts:
    return ItemFacts(
        categories=("",),
        brands=("",),
        category_row=np.zeros(n_items, np.int32),
        brand_row=np.zeros(n_items, np.int32),
        price_cents=np.full(n_items, np.nan),
        available_from=np.full(n_items, START_MINUTE, np.int32),
        product_row=np.arange(n_items, dtype=np.int32),
    )
