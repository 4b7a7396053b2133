"""Catalog: what serving must know of every item, as columns aligned with item rows; and ItemDetails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta, tzinfo

import numpy as np
import numpy.typing as npt

from recommender.columns import RESTRICTED_CLASSES
from recommender.ids import IdIndex
from recommender.item_facts import ItemFacts

BoolVector = npt.NDArray[np.bool_]
MinuteVector = npt.NDArray[np.int32]
RowVector = npt.NDArray[np.int32]
CodeVector = npt.NDArray[np.uint8]
CentsVector = npt.NDArray[np.int64]

ALWAYS = np.int32(np.iinfo(np.int32).min)
NEVER = np.int32(np.iinfo(np.int32).max)
"""Minutes before and after all others."""

RESTRICTED_CODES: dict[str, int] = {"": 0} | {name: code for code, name in enumerate(RESTRICTED_CLASSES, 1)}


@dataclass(frozen=True, slots=True)
class ItemColumns:
    """What decides whether items may be shown; aligned, one entry per item.

    hidden: recalled or taken out by hand.  restricted: uint8, RESTRICTED_CODES.
    available_from: int32, first minute since 1970-01-01 UTC at which the item is sold; ALWAYS if not said.
    available_until: int32, first minute at which it is no longer sold; NEVER if not said.
    season_end: int32, first minute after its season; NEVER if it has none.
    price_cents: int64, the item's price where `priced`; means nothing elsewhere.
    priced: whether a price is known.  sponsored: a supplier pays for its being shown.
    """

    hidden: BoolVector
    restricted: CodeVector
    available_from: MinuteVector
    available_until: MinuteVector
    season_end: MinuteVector
    price_cents: CentsVector
    priced: BoolVector
    sponsored: BoolVector

    @classmethod
    def unknown(cls, count: int) -> ItemColumns:
        """Return the columns of items of which nothing is known: they may be shown, without a price."""
        return cls(
            hidden=np.zeros(count, bool),
            restricted=np.zeros(count, np.uint8),
            available_from=np.full(count, ALWAYS),
            available_until=np.full(count, NEVER),
            season_end=np.full(count, NEVER),
            price_cents=np.zeros(count, np.int64),
            priced=np.zeros(count, bool),
            sponsored=np.zeros(count, bool),
        )

    def __len__(self) -> int:
        return len(self.hidden)

    def put(self, count: int, own: RowVector, others: ItemColumns, theirs: RowVector) -> ItemColumns:
        """Return columns of `count` items: row own[i] of these stays at i, then others are put at `theirs`.

        Args:
            own: int32, (len(self),), the new rows of these entries.
            others: entries to put in.
            theirs: int32, (len(others),), their new rows; the last one wins.
        """
        result = ItemColumns.unknown(count)
        for entry in fields(self):
            column = getattr(result, entry.name)
            column[own] = getattr(self, entry.name)
            column[theirs] = getattr(others, entry.name)
            column.setflags(write=False)
        return result


@dataclass(frozen=True, slots=True)
class Catalog:
    """Every item: rows 0..n-1 are the bundle's items, then come the items that arrived later (`extra_ids`).

    An item of the bundle that the item table does not hold counts as unknown: it may be shown.
    """

    items: IdIndex
    extra_ids: IdIndex
    columns: ItemColumns
    facts: ItemFacts

    @classmethod
    def of(cls, items: IdIndex) -> Catalog:
        """Return the catalogue of a bundle's items before anything is known of them."""
        return cls(items, IdIndex.of([]), ItemColumns.unknown(len(items)), ItemFacts.unknown(len(items)))

    def __len__(self) -> int:
        return len(self.columns)

    def row(self, item_id: str) -> int | None:
        """Return the row of an item, None if it is unknown."""
        row = self.items.row(item_id)
        if row is not None:
            return row
        extra = self.extra_ids.row(item_id)
        return None if extra is None else len(self.items) + extra

    def rows(self, item_ids: Sequence[str]) -> tuple[RowVector, BoolVector]:
        """Look up many items.

        Returns: rows, int32, (k,), of the k known items in the order given; known, bool, (len(item_ids),).
        """
        found = np.zeros(len(item_ids), np.int32)
        rows, known = self.items.rows(item_ids)
        found[known] = rows
        if len(self.extra_ids):
            rows, later = self.extra_ids.rows(item_ids)
            found[later] = rows + len(self.items)
            known = known | later
        return found[known], known

    def item_id(self, row: int) -> str:
        """Return the id of the item at a row."""
        own = len(self.items)
        return self.items.id(row) if row < own else self.extra_ids.id(row - own)

    def sellable(self, minute: int, adult: bool | None) -> BoolVector:
        """Tell which items may be shown at all.

        Hidden items, items outside their dates or season and tobacco may not; alcohol only to known adults.

        Args:
            minute: minutes since 1970-01-01 UTC.
            adult: True only for a customer known to be of age.
        Returns: bool, (len(self),).
        """
        columns = self.columns
        allowed = (columns.available_from <= minute) & (minute < columns.available_until)
        allowed &= minute < columns.season_end
        allowed &= ~columns.hidden
        allowed &= columns.restricted != RESTRICTED_CODES["tobacco"]
        if adult is not True:
            allowed &= columns.restricted != RESTRICTED_CODES["alcohol"]
        return allowed

    def with_items(self, item_ids: Sequence[str], changed: ItemColumns, facts: ItemFacts | None = None) -> Catalog:
        """Return the catalogue with what is now known of some items; unknown ids become extra items.

        Rows of the bundle's items never change; those of extra items may, when new ones arrive.

        Args:
            item_ids: the last entry of an id wins; distinct where `facts` are given.
            changed: their columns, aligned.
            facts: what filters ask of them, aligned; None leaves that as it is.
        """
        _, known = self.rows(item_ids)
        new = [item_id for item_id, seen in zip(item_ids, known, strict=True) if not seen]
        own = np.arange(len(self), dtype=np.int32)
        extra_ids = self.extra_ids
        if new:
            old = extra_ids.ids(np.arange(len(extra_ids)))
            extra_ids = IdIndex.of([*old, *new])
            own = np.concatenate((own[: len(self.items)], extra_ids.rows(old)[0] + np.int32(len(self.items))))
        larger = replace(self, extra_ids=extra_ids)
        theirs, _ = larger.rows(item_ids)
        count = len(self.items) + len(extra_ids)
        if facts is None:
            facts, with_facts = ItemFacts.unknown(0), theirs[:0]
        else:
            with_facts = theirs
        return replace(
            larger,
            columns=self.columns.put(count, own, changed, theirs),
            facts=self.facts.put(count, own, facts, with_facts),
        )


@dataclass(frozen=True, slots=True)
class StoreFacts:
    """A store: where and what it is, the first minute at which it is closed for good (NEVER if open), and the store
    that then takes its place.
    """

    city: str | None
    region: str | None
    channel: str | None
    closes_at: int
    successor: str | None = None


@dataclass(frozen=True, slots=True)
class ItemDetails:
    """What a slate shows of an item.

    titles: by language, from attributes.titles.  price_cents: the price in the store asked for, now, or the
    item's own; None if unknown.  member_price_cents: the store's price for members, if there is one.
    """

    item_id: str
    title: str | None
    titles: Mapping[str, str]
    category: str | None
    brand: str | None
    price_cents: int | None
    member_price_cents: int | None
    sponsored: bool


def minute_of(time: datetime) -> int:
    """Return the minute of an aware time, in minutes since 1970-01-01 UTC."""
    return int(time.timestamp() // 60)


def day_end_minute(day_number: int, zone: tzinfo) -> int:
    """Return the first minute after a local day, in minutes since 1970-01-01 UTC.

    Args:
        day_number: days since 1970-01-01.
        zone: whose midnight ends the day.
    """
    midnight = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=day_number + 1)
    return minute_of(midnight.replace(tzinfo=zone))
