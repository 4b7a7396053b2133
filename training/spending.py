"""Spending: what members paid and what was earned by it, line by line, from the event log and live events."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import duckdb
import numpy as np
import numpy.typing as npt
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from recommender.columns import LEARNED_KINDS
from recommender.coupons.order_lines import Goods, Purchases
from recommender.events import EventKind, member_subject
from recommender.ids import IdIndex
from recommender.item_facts import CATEGORY_SEPARATOR, normal_path
from recommender.kept import BATCH_ROWS, MICROS_PER_MINUTE, Numbering
from recommender.kept_sources import Sources, opened_kept, read_sources
from recommender.quoting import text
from recommender.settings import CoreSettings
from recommender.storage.database import Database
from recommender.storage.tables import CANONICAL

FloatVector = npt.NDArray[np.float32]
RowVector = npt.NDArray[np.int32]
BoolVector = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What the catalogue says of each item row; cents are float64, NaN if unknown.

    category, brand: names, "" if unknown; categories in normal spacing.  restricted: not to be discounted.
    """

    category: tuple[str, ...]
    brand: tuple[str, ...]
    price_cents: npt.NDArray[np.float64]
    cost_cents: npt.NDArray[np.float64]
    restricted: BoolVector

    def goods(self) -> Goods:
        """Return categories and brands as numbers."""
        return Goods(_numbered(self.category), _numbered(self.brand))

    def above(self) -> list[tuple[str, ...]]:
        """Return for each item its category and all above it."""
        cut = f" {CATEGORY_SEPARATOR} "
        return [
            tuple(cut.join(parts[: depth + 1]) for depth in range(len(parts)))
            for parts in (path.split(cut) if path else [] for path in self.category)
        ]


@dataclass(frozen=True, slots=True)
class Spending:
    """Purchases of all members who are learned from, with what each line earned before coupons' costs.

    margin_cents: float32, aligned with the purchases.  assumed: part of the money whose cost is not known.
    """

    members: IdIndex
    items: IdIndex
    catalogue: Catalogue
    purchases: Purchases
    margin_cents: FloatVector
    assumed: float


def read_spending(database: Database, settings: CoreSettings, until: datetime) -> Spending:
    """Read every purchase before a time, of members of kinds that are learned from."""
    with database.read(snapshot=True) as connection:
        sources = read_sources(connection, settings, until)
        catalogue_rows = _catalogue_rows(connection)
        known = _member_ids(connection, sources)
    with opened_kept(settings, sources, until) as engine:
        lines = _read_lines(engine)
    subjects = lines.subjects.texts
    owner = [_owner(subject, sources) for subject in subjects]
    members = IdIndex.of(known | {one for one in owner if one})
    items = IdIndex.of({*lines.items.texts, *catalogue_rows})
    member_row = _rows(members, owner)[lines.subject]
    kept = member_row >= 0
    catalogue = _catalogue(items, catalogue_rows)
    item_row = _rows(items, lines.items.texts)[lines.item[kept]]
    return _spending(members, items, catalogue, member_row[kept], item_row, lines, kept, settings.default_margin_share)


@dataclass(frozen=True, slots=True)
class _Lines:
    """Purchases as the log has them, with numbers in place of texts."""

    subjects: Numbering
    items: Numbering
    subject: RowVector
    item: RowVector
    minute: RowVector
    quantity: npt.NDArray[np.float64]
    price: npt.NDArray[np.float64]
    saved: npt.NDArray[np.float64]
    couponed: BoolVector


def _read_lines(engine: duckdb.DuckDBPyConnection) -> _Lines:
    subjects, items = Numbering(), Numbering()
    parts: list[list[npt.NDArray[np.float64]]] = []
    names: list[list[RowVector]] = []
    query = (
        f"SELECT subject, item_id, CAST(micros // {MICROS_PER_MINUTE} AS DOUBLE), coalesce(quantity, 1)::DOUBLE, "
        "coalesce(unit_price_cents::DOUBLE, 'nan'::DOUBLE), coalesce(discount_cents, 0)::DOUBLE, "
        f"(coupon_id IS NOT NULL)::DOUBLE FROM kept WHERE kind = {text(str(EventKind.PURCHASE))} "
        "AND subject IS NOT NULL"
    )
    for batch in engine.sql(query).to_arrow_reader(BATCH_ROWS):
        names.append([subjects.take(batch.column(0)), items.take(batch.column(1))])
        parts.append([np.asarray(np.from_dlpack(batch.column(at)), np.float64) for at in range(2, 7)])
    named = [np.concatenate([np.empty(0, np.int32), *(one[at] for one in names)]) for at in range(2)]
    minute, quantity, price, saved, couponed = (
        np.concatenate([np.empty(0), *(one[at] for one in parts)]) for at in range(5)
    )
    subject, item = (one.astype(np.int32) for one in named)
    return _Lines(subjects, items, subject, item, minute.astype(np.int32), quantity, price, saved, couponed > 0)


def _spending(
    members: IdIndex,
    items: IdIndex,
    catalogue: Catalogue,
    member_row: RowVector,
    item_row: RowVector,
    lines: _Lines,
    kept: BoolVector,
    margin_share: float,
) -> Spending:
    """Lay the lines out by member and time, and say what each earned."""
    quantity, minute, saved = lines.quantity[kept], lines.minute[kept], lines.saved[kept]
    price = np.where(np.isfinite(lines.price[kept]), lines.price[kept], catalogue.price_cents[item_row])
    paid = np.maximum(np.nan_to_num(price) * quantity - saved, 0.0)
    cost = catalogue.cost_cents[item_row] * quantity
    margin = np.where(np.isfinite(cost), paid - cost, paid * margin_share)
    unknown = float(paid[~np.isfinite(cost)].sum() / max(float(paid.sum()), 1.0))
    order = np.lexsort((paid, item_row, minute, member_row))
    purchases = Purchases(
        members=len(members),
        items=len(items),
        began=int(minute.min(initial=2**31 - 1)),
        member_row=member_row[order],
        item_row=item_row[order],
        minute=minute[order],
        paid_cents=paid[order].astype(np.float32),
        saved_cents=saved[order].astype(np.float32),
        couponed=lines.couponed[kept][order],
    )
    return Spending(members, items, catalogue, purchases, margin[order].astype(np.float32), unknown)


def _owner(subject: str, sources: Sources) -> str:
    """Return the member behind a subject, "" if there is none or theirs is not learned from."""
    prefix = member_subject("")
    linked = sources.links.get(subject)
    member = linked if linked is not None else subject.removeprefix(prefix) if subject.startswith(prefix) else ""
    return member if sources.kinds.get(member, LEARNED_KINDS[0]) in LEARNED_KINDS else ""


def _member_ids(connection: Connection, sources: Sources) -> set[str]:
    """Return the members on record who are learned from."""
    table = CANONICAL["members"]
    barred = {name.removeprefix(member_subject("")) for name in sources.unprofiled | sources.erased}
    found = {row[0] for row in connection.execute(sa.select(table.c.member_id))}
    return {one for one in found - barred if sources.kinds.get(one, LEARNED_KINDS[0]) in LEARNED_KINDS}


_CatalogueRow = tuple[str, str, int | None, int | None, str | None]


def _catalogue_rows(connection: Connection) -> dict[str, _CatalogueRow]:
    table = CANONICAL["items"]
    columns = (table.c.category, table.c.brand, table.c.price_cents, table.c.cost_cents, table.c.restricted_class)
    return {
        row[0]: (row[1] or "", row[2] or "", row[3], row[4], row[5])
        for row in connection.execute(sa.select(table.c.item_id, *columns))
    }


def _catalogue(items: IdIndex, rows: dict[str, _CatalogueRow]) -> Catalogue:
    nothing: _CatalogueRow = ("", "", None, None, None)
    found = [rows.get(item_id, nothing) for item_id in items.ids(np.arange(len(items)))]
    return Catalogue(
        category=tuple(normal_path(row[0]) for row in found),
        brand=tuple(row[1] for row in found),
        price_cents=np.array([np.nan if row[2] is None else row[2] for row in found], np.float64),
        cost_cents=np.array([np.nan if row[3] is None else row[3] for row in found], np.float64),
        restricted=np.array([bool(row[4]) for row in found], bool),
    )


def _rows(index: IdIndex, names: list[str]) -> RowVector:
    """Return the row of each name, -1 for those that are not there."""
    found, known = index.rows(names)
    rows = np.full(len(names), -1, np.int32)
    rows[known] = found
    return rows


def _numbered(names: tuple[str, ...]) -> RowVector:
    place = {name: number for number, name in enumerate(sorted(set(names)))}
    return np.array([place[name] for name in names], np.int32)
