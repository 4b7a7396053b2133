"""Unify: event log and live events -> one Dataset, with corrections, returns, links and member kinds applied.

DuckDB does the joins and group-bys; what leaves it is ordered by a unique key, so the same events give the same
arrays. The rules, in order: erased subjects and other kinds of events are left out; of a corrected order line the
highest revision counts; cancelled and unpaid lines do not count; a return takes its purchase back; an item that
was replaced goes by its successor's id; one entry remains per subject, item, local day and kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from recommender.columns import LEARNED_KINDS
from recommender.events import UNPAID_STATUSES, EventKind, member_subject
from recommender.history import MINUTES_PER_DAY
from recommender.ids import IdIndex
from recommender.interactions import HISTORY_KINDS
from recommender.settings import CoreSettings
from recommender.storage.database import Database
from recommender.storage.event_log import open_event_log, registered_files
from recommender.storage.identities import active_links, erased_subjects
from recommender.storage.items import CatalogFact, catalog_facts, replacements, same_products
from recommender.storage.members import member_kinds
from recommender.storage.statements import last_sequence
from recommender.storage.types import to_micros
from recommender.storage.unlogged import unlogged_events
from training.dataset import Dataset, Entries, ItemFacts, Sales
from training.returns import find_returned

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

MICROS_PER_MINUTE = 60_000_000
NEVER = int(np.iinfo(np.int32).max)


@dataclass(frozen=True, slots=True)
class _Sources:
    """What is read from SQL in one snapshot.

    files: the registered files of the log.  live: events that the log lacks.  links: member id by subject.
    """

    files: list[Path]
    live: pa.Table
    links: dict[str, str]
    kinds: dict[str, str]
    erased: frozenset[str]
    replaced: dict[str, str]
    sequence: int


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
        sources = _read_sources(connection, settings, limit)
        facts, packs = catalog_facts(connection), same_products(connection)
    offset = int(limit.astimezone(settings.zone).utcoffset().total_seconds() // 60)  # type: ignore[union-attr]
    engine = _open_engine(settings)
    try:
        _load(engine, sources, limit)
        _apply_rules(engine, sources.links)
        items = _index(engine, "item_id", set(facts))
        stores = _index(engine, "store_id", set())
        subjects = _index(engine, "subject", set())
        channels = tuple(sorted(settings.channel_kinds | dict.fromkeys(_distinct(engine, "channel"))))
        _number(engine, items, stores, subjects, channels)
        entries = _read_entries(engine, offset)
        sales = _read_sales(engine)
    finally:
        engine.close()
    people, person_of_subject, learned = _people(subjects, sources.links, sources.kinds)
    entries = _by_person(entries, person_of_subject)
    return Dataset(
        items=items,
        stores=stores,
        subjects=subjects,
        people=people,
        channels=channels,
        entries=entries,
        sales=sales,
        facts=_facts(items, facts, _renamed(packs, sources.replaced), entries, sales),
        learned=learned,
        until=until or _after_last(entries, now),
        last_sequence=sources.sequence,
        day_offset_minutes=offset,
    )


def _read_sources(connection: Connection, settings: CoreSettings, limit: datetime) -> _Sources:
    log = open_event_log(settings)
    return _Sources(
        files=log.paths(registered_files(connection, before=limit)),
        live=unlogged_events(connection),
        links=dict(active_links(connection)),
        kinds=member_kinds(connection),
        erased=erased_subjects(connection),
        replaced=replacements(connection),
        sequence=last_sequence(connection),
    )


def _open_engine(settings: CoreSettings) -> duckdb.DuckDBPyConnection:
    engine = duckdb.connect(":memory:")
    folder = settings.home / "tmp"
    folder.mkdir(parents=True, exist_ok=True)
    engine.execute("SET temp_directory = ?", [str(folder)])
    engine.execute("SET preserve_insertion_order = false")
    engine.execute("SET enable_progress_bar = false")
    return engine


_CHOSEN = (
    "event_id, epoch_us(occurred_at) AS at, kind, channel, subject, item_id, store_id, order_id, order_line, "
    "coalesce(revision, 0) AS revision, status, quantity"
)


def _load(engine: duckdb.DuckDBPyConnection, sources: _Sources, limit: datetime) -> None:
    """Make the table `raw` of the events that can matter, each event id once."""
    kinds = [str(kind) for kind in (*HISTORY_KINDS, EventKind.RETURN)]
    engine.register("live_events", sources.live)
    engine.register("erased", pa.table({"subject": pa.array(sorted(sources.erased), pa.string())}))
    engine.register(
        "replaced",
        pa.table(
            {
                "item_id": pa.array(list(sources.replaced), pa.string()),
                "successor": pa.array(list(sources.replaced.values()), pa.string()),
            }
        ),
    )
    logged = (
        f"SELECT {_CHOSEN} FROM read_parquet(?) UNION ALL "
        f"SELECT {_CHOSEN} FROM live_events WHERE event_id NOT IN (SELECT event_id FROM read_parquet(?))"
    )
    live = f"SELECT {_CHOSEN} FROM live_events"
    paths = [str(path) for path in sources.files]
    some_live = sources.live.num_rows > 0
    source = (logged if some_live else f"SELECT {_CHOSEN} FROM read_parquet(?)") if paths else live
    engine.execute(
        f"""
        CREATE TABLE raw AS
        SELECT r.* REPLACE (coalesce(p.successor, r.item_id) AS item_id)
        FROM ({source}) r LEFT JOIN replaced p ON p.item_id = r.item_id
        WHERE r.at < ? AND kind IN (SELECT unnest(?)) AND r.item_id IS NOT NULL
          AND (subject IS NULL OR subject NOT IN (SELECT subject FROM erased))
        """,
        [*([paths] * (2 if some_live else 1) if paths else []), to_micros(limit), kinds],
    )


def _apply_rules(engine: duckdb.DuckDBPyConnection, links: Mapping[str, str]) -> None:
    """Make the view `kept`: `raw` without superseded, cancelled, unpaid and returned lines, and without returns."""
    engine.execute(
        """
        CREATE TABLE latest AS
        SELECT order_id, order_line, max(revision) AS revision FROM raw
        WHERE kind = 'purchase' AND order_id IS NOT NULL AND order_line IS NOT NULL
        GROUP BY ALL HAVING max(revision) > 0
        """
    )
    unpaid = ", ".join(f"'{status}'" for status in sorted(UNPAID_STATUSES))
    engine.execute(
        f"""
        CREATE TABLE counted AS
        SELECT r.* FROM raw r LEFT JOIN latest l ON l.order_id = r.order_id AND l.order_line = r.order_line
        WHERE (r.kind <> 'purchase' OR l.revision IS NULL OR r.revision = l.revision)
          AND NOT (r.kind = 'purchase' AND coalesce(r.status, '') IN ({unpaid}))
        """
    )
    find_returned(engine, links)
    engine.execute(
        """
        CREATE VIEW kept AS
        SELECT * FROM counted WHERE kind <> 'return' AND event_id NOT IN (SELECT event_id FROM returned)
        """
    )


def _distinct(engine: duckdb.DuckDBPyConnection, column: str) -> list[str]:
    found = engine.execute(f"SELECT DISTINCT {column} FROM kept WHERE {column} IS NOT NULL").fetchall()
    return [row[0] for row in found]


def _index(engine: duckdb.DuckDBPyConnection, column: str, more: set[str]) -> IdIndex:
    return IdIndex.of(more.union(_distinct(engine, column)))


def _number(
    engine: duckdb.DuckDBPyConnection,
    items: IdIndex,
    stores: IdIndex,
    subjects: IdIndex,
    channels: tuple[str, ...],
) -> None:
    """Make the table `rows`: `kept` with row numbers and codes in place of ids and names."""
    named = {
        "item_rows": items.ids(np.arange(len(items))),
        "store_rows": stores.ids(np.arange(len(stores))),
        "subject_rows": subjects.ids(np.arange(len(subjects))),
        "channel_rows": list(channels),
        "kind_rows": [str(kind) for kind in EventKind],
    }
    for name, ids in named.items():
        engine.register(name, pa.table({"id": pa.array(ids, pa.string()), "row": np.arange(len(ids), dtype=np.int32)}))
    engine.execute(
        f"""
        CREATE TABLE rows AS
        SELECT u.row AS subject_row, i.row AS item_row, coalesce(s.row, {len(stores)})::INTEGER AS store_row,
          (e.at // {MICROS_PER_MINUTE})::INTEGER AS minute, k.row::UTINYINT AS kind, c.row::UTINYINT AS channel,
          e.order_id
        FROM kept e JOIN item_rows i ON i.id = e.item_id JOIN channel_rows c ON c.id = e.channel
          JOIN kind_rows k ON k.id = e.kind
          LEFT JOIN store_rows s ON s.id = e.store_id LEFT JOIN subject_rows u ON u.id = e.subject
        """
    )


def _read_entries(engine: duckdb.DuckDBPyConnection, offset: int) -> Entries:
    """Return one entry per known subject, item, local day and kind; person rows are still subject rows."""
    found = engine.execute(
        f"""
        SELECT subject_row, item_row, kind, min(minute) AS minute,
          arg_min(channel, (minute, channel)) AS channel, arg_min(store_row, (minute, store_row)) AS store_row
        FROM rows WHERE subject_row IS NOT NULL
        GROUP BY subject_row, item_row, kind, (minute + {offset}) // {MINUTES_PER_DAY}
        """
    ).fetchnumpy()
    subject_row = _rows(found["subject_row"])
    return Entries(
        person_row=subject_row,
        subject_row=subject_row,
        item_row=_rows(found["item_row"]),
        store_row=_rows(found["store_row"]),
        minute=_rows(found["minute"]),
        kind=_rows(found["kind"]).astype(np.uint8),
        channel=_rows(found["channel"]).astype(np.uint8),
    )


def _read_sales(engine: duckdb.DuckDBPyConnection) -> Sales:
    """Return purchases without a known customer, one per order and item."""
    found = engine.execute(
        f"""
        SELECT item_row, min(store_row) AS store_row, min(minute) AS minute
        FROM rows WHERE subject_row IS NULL AND kind = {list(EventKind).index(EventKind.PURCHASE)}
        GROUP BY item_row, coalesce(order_id, minute::VARCHAR)
        ORDER BY minute, item_row, store_row
        """
    ).fetchnumpy()
    return Sales(_rows(found["item_row"]), _rows(found["store_row"]), _rows(found["minute"]))


def _rows(values: Any) -> npt.NDArray[np.int32]:
    """Return a column without missing values as int32."""
    return np.ascontiguousarray(np.ma.getdata(values), np.int32)


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


def _by_person(entries: Entries, person_of_subject: npt.NDArray[np.int32]) -> Entries:
    """Fill in person rows and order by person, then time; ties by item, kind and subject, which is unique."""
    person_row = person_of_subject[entries.subject_row]
    order = np.lexsort((entries.subject_row, entries.kind, entries.item_row, entries.minute, person_row))
    return Entries(
        person_row[order],
        entries.subject_row[order],
        entries.item_row[order],
        entries.store_row[order],
        entries.minute[order],
        entries.kind[order],
        entries.channel[order],
    )


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
    left, left_known = items.rows([one for one, _ in packs])
    right, right_known = items.rows([other for _, other in packs])
    known = left_known & right_known
    one, other = left[known[left_known]], right[known[right_known]]
    graph = sp.coo_matrix((np.ones(len(one), bool), (one, other)), shape=(len(items), len(items)))
    _, label = connected_components(graph, directed=False)
    lowest = np.full(len(items), len(items), np.int32)
    np.minimum.at(lowest, label, np.arange(len(items), dtype=np.int32))
    return lowest[label]


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
