"""Unify: event log and live events -> one Dataset, with corrections, returns, links and member kinds applied.

DuckDB does the joins and group-bys; what leaves it is ordered by a unique key, so the same events give the same
arrays. The rules, in order: erased subjects and other kinds of events are left out; of a corrected order line the
highest revision counts; cancelled and unpaid lines do not count; a return takes its purchase back; an item that
was replaced goes by its successor's id; one entry remains per subject, item, local day and kind, with its count.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from recommender.columns import LEARNED_KINDS
from recommender.events import EventKind, member_subject
from recommender.history import MINUTES_PER_DAY, MOST_TIMES
from recommender.ids import IdIndex
from recommender.kept import Found, KeptReader, Numbering
from recommender.kept_sources import opened_kept, read_sources
from recommender.settings import CoreSettings
from recommender.storage.database import Database
from recommender.storage.items import CatalogFact, catalog_facts, same_products, substitutes
from recommender.storage.stores import store_regions
from training.dataset import Dataset, Entries, ItemFacts, Sales

if TYPE_CHECKING:
    pass

RowVector = npt.NDArray[np.int32]

NEVER = int(np.iinfo(np.int32).max)


def read_dataset(database: Database, settings: CoreSettings, until: datetime | None, now: datetime) -> Dataset:
    """Read everything that happened before a time.

    Args:
        database, settings: where the state is.
        until: events before it are read; None: all that happened before `now`.
        now: the present.
    Raises: EventLogError if a registered file is missing.
    """
    limit = until or now
    with database.read(snapshot=True) as connection:
        sources = read_sources(connection, settings, limit)
        facts, packs = catalog_facts(connection), same_products(connection)
        stand_ins = substitutes(connection)
        region_of = store_regions(connection)
    offset = int(limit.astimezone(settings.zone).utcoffset().total_seconds() // 60)  # type: ignore[union-attr]
    with opened_kept(settings, sources, limit) as engine:
        reader = KeptReader(engine)
        found, sold = reader.entries(), reader.sales()
    items, item_rows = _index(reader.items, facts)
    stores, store_rows = _index(reader.stores)
    subjects, subject_rows = _index(reader.subjects)
    channels = tuple(sorted(settings.channel_kinds | dict.fromkeys(reader.channels.texts)))
    people, person_of_subject, learned = _people(subjects, sources.links, sources.kinds)
    rows = _Rows(subject_rows, person_of_subject, item_rows, store_rows, _codes_of(reader.channels, channels))
    entries = _one_a_day(_entries(reader, found, rows), offset)
    regions, store_region = _codes([region_of.get(store_id, "") for store_id in stores.ids(np.arange(len(stores)))])
    sales = _in_time(Sales(item_rows[sold.item], store_rows[sold.store], sold.minute))
    return Dataset(
        items=items,
        stores=stores,
        subjects=subjects,
        people=people,
        channels=channels,
        entries=entries,
        sales=sales,
        facts=replace(
            _facts(items, facts, _renamed(packs, sources.replaced), entries, sales),
            substitutes=_pair_rows(items, _renamed(stand_ins, sources.replaced)),
        ),
        learned=learned,
        until=until or _after_last(entries, now),
        last_sequence=sources.sequence,
        day_offset_minutes=offset,
        regions=regions,
        store_region=store_region,
    )


@dataclass(frozen=True, slots=True)
class _Rows:
    """The row, or code, of each number that a reader gave: subjects, items, stores, channels; and of each subject
    the person.
    """

    subject: RowVector
    person_of_subject: RowVector
    item: RowVector
    store: RowVector
    channel: npt.NDArray[np.uint8]


def _entries(reader: KeptReader, found: Found, rows: _Rows) -> Entries:
    """Return what was read in rows, every event on its own."""
    subject_row = rows.subject[found.subject]
    return Entries(
        person_row=rows.person_of_subject[subject_row],
        subject_row=subject_row,
        item_row=rows.item[found.item],
        store_row=rows.store[found.store],
        minute=found.minute,
        kind=_codes_of(reader.kinds, [str(kind) for kind in EventKind])[found.kind],
        channel=rows.channel[found.channel],
        times=np.ones(len(found.minute), np.uint8),
    )


def _index(numbering: Numbering, more: Iterable[str] = ()) -> tuple[IdIndex, RowVector]:
    """Index the texts that were met, and more; also return the row of each number, the number of rows for ""."""
    met = numbering.texts
    index = IdIndex.of({*met, *more} - {""})
    row, known = index.rows(met)
    rows = np.full(len(met), len(index), np.int32)
    rows[known] = row
    return index, rows


def _codes_of(numbering: Numbering, names: Sequence[str]) -> npt.NDArray[np.uint8]:
    """Return for each number the place of its text among the names."""
    return np.array([names.index(name) for name in numbering.texts], np.uint8)


def _one_a_day(entries: Entries, offset: int) -> Entries:
    """Keep the first entry of each subject, item, local day and kind, and count them; order by person, then time.

    Ties go by item, kind and subject, then channel and store, so that the order does not depend on the reading.
    """
    day = (entries.minute.astype(np.int64) + offset) // MINUTES_PER_DAY
    owner = _packed(entries.person_row, entries.item_row)
    act = _packed(entries.subject_row, entries.kind)
    # The store is the least of these keys: what one customer did in one minute and channel, in two stores.
    place = _packed(entries.minute, entries.channel)
    order = np.lexsort((entries.store_row, place, act, owner))
    same = np.ones(len(order), bool)
    for key in (owner, act, day):
        ordered = key[order]
        same[1:] &= ordered[1:] == ordered[:-1]
    same[:1] = False
    first = np.flatnonzero(~same)
    times = np.minimum(np.diff(np.append(first, len(order))), MOST_TIMES).astype(np.uint8)
    entries = replace(_taken(entries, order[first]), times=times)
    return _taken(entries, np.argsort(_packed(entries.person_row, entries.minute), kind="stable"))


def _taken(entries: Entries, at: npt.NDArray[np.integer]) -> Entries:
    """Return the entries at some places, in that order."""
    return Entries(*(getattr(entries, column.name)[at] for column in fields(entries)))


def _packed(high: npt.NDArray[np.integer], low: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    """Return one number per pair that orders as the pairs do; `low` is an int32."""
    return (high.astype(np.int64) << 32) + low


def _in_time(sales: Sales) -> Sales:
    """Order sales by time, then item and store."""
    order = np.lexsort((sales.store_row, sales.item_row, sales.minute))
    return Sales(sales.item_row[order], sales.store_row[order], sales.minute[order])


def _people(
    subjects: IdIndex, links: Mapping[str, str], kinds: Mapping[str, str]
) -> tuple[IdIndex, npt.NDArray[np.int32], npt.NDArray[np.bool_]]:
    """Resolve subjects to people: a member with all linked subjects, or the subject itself.

    Returns: people; person row of each subject, int32; learned, bool, (n_people,).
    """
    owner = [
        member_subject(links[subject]) if subject in links else subject
        for subject in subjects.ids(np.arange(len(subjects)))
    ]
    people = IdIndex.of(owner)
    person_of_subject, _ = people.rows(owner)
    excluded = [member_subject(member) for member, kind in kinds.items() if kind not in LEARNED_KINDS]
    rows, _ = people.rows(excluded)
    learned = np.ones(len(people), bool)
    learned[rows] = False
    return people, person_of_subject, learned


def _facts(
    items: IdIndex,
    catalog: Mapping[str, CatalogFact],
    packs: list[tuple[str, str]],
    entries: Entries,
    sales: Sales,
) -> ItemFacts:
    """Lay the catalogue out by item row; an item's start is its date of availability or its first event."""
    known = [catalog.get(item_id, ("", "", None, None)) for item_id in items.ids(np.arange(len(items)))]
    start = np.full(len(items), NEVER, np.int32)
    np.minimum.at(start, entries.item_row, entries.minute)
    np.minimum.at(start, sales.item_row, sales.minute)
    stated = np.array([NEVER if fact[3] is None else fact[3] for fact in known], np.int64)
    categories, category_row = _codes([fact[0] for fact in known])
    brands, brand_row = _codes([fact[1] for fact in known])
    return ItemFacts(
        categories=categories,
        brands=brands,
        category_row=category_row,
        brand_row=brand_row,
        price_cents=np.array([np.nan if fact[2] is None else fact[2] for fact in known], np.float64),
        available_from=np.where(stated < NEVER, stated, start).astype(np.int32),
        product_row=_product_rows(items, packs),
    )


def _renamed(packs: list[tuple[str, str]], replaced: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return pairs of packs under the codes that are in use now."""
    return [(replaced.get(one, one), replaced.get(other, other)) for one, other in packs]


def _product_rows(items: IdIndex, packs: list[tuple[str, str]]) -> npt.NDArray[np.int32]:
    """Return for each item the lowest row of its product: packs joined directly or by way of others."""
    one, other = _pair_rows(items, packs).T
    graph = sp.coo_matrix((np.ones(len(one), bool), (one, other)), shape=(len(items), len(items)))
    _, label = connected_components(graph, directed=False)
    lowest = np.full(len(items), len(items), np.int32)
    np.minimum.at(lowest, label, np.arange(len(items), dtype=np.int32))
    return lowest[label]


def _pair_rows(items: IdIndex, pairs: list[tuple[str, str]]) -> npt.NDArray[np.int32]:
    """Return the pairs of which both items are known as rows, int32, (n, 2)."""
    left, left_known = items.rows([one for one, _ in pairs])
    right, right_known = items.rows([other for _, other in pairs])
    known = left_known & right_known
    return np.stack((left[known[left_known]], right[known[right_known]]), axis=1)


def _codes(values: list[str]) -> tuple[tuple[str, ...], npt.NDArray[np.int32]]:
    """Number the distinct texts in order; "" comes last."""
    names = (*sorted(set(values) - {""}), "")
    place = {name: number for number, name in enumerate(names)}
    return names, np.array([place[value] for value in values], np.int32)


def _after_last(entries: Entries, now: datetime) -> datetime:
    """Return the minute after the last entry: what a history that ended long ago is trained until."""
    if len(entries) == 0:
        return now
    return datetime.fromtimestamp((int(entries.minute.max()) + 1) * 60, UTC)
