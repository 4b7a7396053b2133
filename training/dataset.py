"""Dataset: the unified history as arrays, ready to be cut at a time; what training and evaluation work on."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import numpy.typing as npt

from recommender.history import Histories
from recommender.ids import IdIndex

IntVector = npt.NDArray[np.int64]
RowVector = npt.NDArray[np.int32]
MinuteVector = npt.NDArray[np.int32]
CodeVector = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Entries:
    """History entries of known customers, ordered by person, then minute; one per subject, item, day and kind.

    person_row, subject_row, item_row, store_row: int32, (n,); store_row is n_stores where no store is named.
    minute: int32, (n,), minutes since 1970-01-01 UTC.  kind, channel, times: uint8, (n,), as in Histories.
    """

    person_row: RowVector
    subject_row: RowVector
    item_row: RowVector
    store_row: RowVector
    minute: MinuteVector
    kind: CodeVector
    channel: CodeVector
    times: CodeVector

    def __len__(self) -> int:
        return len(self.minute)

    def where(self, kept: npt.NDArray[np.bool_]) -> Entries:
        """Return the entries where `kept` is True."""
        return Entries(
            self.person_row[kept],
            self.subject_row[kept],
            self.item_row[kept],
            self.store_row[kept],
            self.minute[kept],
            self.kind[kept],
            self.channel[kept],
            self.times[kept],
        )


@dataclass(frozen=True, slots=True)
class Sales:
    """Purchased items of orders without a known customer: one per order and item.

    item_row, store_row: int32, (n,).  minute: int32, (n,), rising.
    """

    item_row: RowVector
    store_row: RowVector
    minute: MinuteVector


@dataclass(frozen=True, slots=True)
class ItemFacts:
    """What the catalogue says of each item row at training time.

    category_row, brand_row: int32, (n_items,), position in `categories` / `brands`; the last one is "" (none).
    price_cents: float64, (n_items,), NaN if unknown.
    available_from: int32, (n_items,), minute from which the item is sold, or its first event; the largest int32
        if neither is known.
    product_row: int32, (n_items,), the lowest row among the packs of the same product; the item's own if alone.
    substitutes: int32, (n, 2), item and what the retailer says can stand in for it.
    """

    categories: tuple[str, ...]
    brands: tuple[str, ...]
    category_row: RowVector
    brand_row: RowVector
    price_cents: npt.NDArray[np.float64]
    available_from: MinuteVector
    product_row: RowVector
    substitutes: RowVector = field(default_factory=lambda: np.empty((0, 2), np.int32))


@dataclass(frozen=True, slots=True)
class Dataset:
    """One reading of the event log and live events, before `until`.

    items, stores, subjects: the ids behind the rows. A person is a member with all linked subjects, or one
    unlinked subject; people: their ids, "member:ID" or "namespace:value".
    learned: bool, (n_people,), False for people of kinds that must not shape the models.
    until: the time before which everything lies.  last_sequence: the last event sequence included.
    day_offset_minutes: what to add to a minute to make local days begin at multiples of a day.
    regions, store_region: names of the stores' regions, the last one "" (none), and int32, (n_stores,), the position
        of each store's; empty if nothing is known of any store.
    """

    items: IdIndex
    stores: IdIndex
    subjects: IdIndex
    people: IdIndex
    channels: tuple[str, ...]
    entries: Entries
    sales: Sales
    facts: ItemFacts
    learned: npt.NDArray[np.bool_]
    until: datetime
    last_sequence: int
    day_offset_minutes: int
    regions: tuple[str, ...] = ("",)
    store_region: RowVector = field(default_factory=lambda: np.empty(0, np.int32))

    @property
    def until_minute(self) -> int:
        """The end of the history in minutes since 1970-01-01 UTC, rounded up."""
        return -int(-self.until.timestamp() // 60)

    def histories(self, minute: int) -> Histories:
        """Return every person's history before `minute`, one segment per person row."""
        kept = self.entries.where(self.entries.minute < minute)
        sizes = np.bincount(kept.person_row, minlength=len(self.people))
        indptr = np.concatenate(([0], np.cumsum(sizes))).astype(np.int64)
        return Histories(indptr, kept.item_row, kept.minute, kept.kind, kept.channel, kept.times)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was known at one minute: all that a fit may see.

    histories: one segment per learned person.  entries: the same entries with their stores.
    sales: orders without a known customer.  as_of: the minute.
    store_region: int32, (n_stores,), the region of each store; n_regions - 1 where none is known.
    """

    n_items: int
    n_stores: int
    n_regions: int
    n_channels: int
    as_of: int
    histories: Histories
    entries: Entries
    sales: Sales
    facts: ItemFacts
    store_region: RowVector


def snapshot(dataset: Dataset, minute: int) -> Snapshot:
    """Cut the dataset at a minute, leaving out people who must not shape the models."""
    entries = dataset.entries.where((dataset.entries.minute < minute) & dataset.learned[dataset.entries.person_row])
    sizes = np.bincount(entries.person_row, minlength=len(dataset.people))
    indptr = np.concatenate(([0], np.cumsum(sizes))).astype(np.int64)
    kept = dataset.sales.minute < minute
    sales = Sales(dataset.sales.item_row[kept], dataset.sales.store_row[kept], dataset.sales.minute[kept])
    nowhere = np.full(len(dataset.stores), len(dataset.regions) - 1, np.int32)
    return Snapshot(
        n_items=len(dataset.items),
        n_stores=len(dataset.stores),
        n_regions=len(dataset.regions),
        n_channels=len(dataset.channels),
        as_of=minute,
        histories=Histories(indptr, entries.item_row, entries.minute, entries.kind, entries.channel, entries.times),
        entries=entries,
        sales=sales,
        facts=dataset.facts,
        store_region=dataset.store_region if len(dataset.store_region) else nowhere,
    )
