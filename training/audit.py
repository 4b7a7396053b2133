"""Audit of members: whose purchases do not look like one household's, with evidence for a person to judge.

Till cards that cashiers lend to everyone, resellers and test accounts shape the models when they are taken for
consumers. Nothing is changed here but by `set_kind`, which a person calls.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

import duckdb
import pyarrow as pa
from rich.console import Console
from rich.table import Table

from recommender.columns import LEARNED_KINDS, MEMBER_KINDS
from recommender.errors import InputError
from recommender.events import MEMBER_NAMESPACE, UNPAID_STATUSES
from recommender.quoting import text, texts
from recommender.storage.audit import record
from recommender.storage.database import Database
from recommender.storage.event_log import open_event_log, registered_files
from recommender.storage.identities import active_links, erased_subjects
from recommender.storage.members import member_kinds
from recommender.storage.unlogged import unlogged_events
from recommender.storage.upserts import upsert
from training.ingest_settings import IngestSettings
from training.loading.workspace import open_workspace
from training.sources.duck import open_duck


@dataclass(frozen=True, slots=True)
class Signal:
    """A way not to look like one household.

    least: values below it are never suspect.  factor: nor are those below this many times what is usual, the
    value that nine members in ten do not exceed.  query: SQL over `purchases` giving member_id, value, day.
    """

    name: str
    meaning: str
    suggests: str
    least: float
    factor: float
    query: str


SIGNALS = (
    Signal(
        "orders_per_day",
        "orders on one day",
        "shared_card",
        8,
        3,
        "SELECT member_id, day, count(DISTINCT order_key) AS value FROM purchases GROUP BY ALL",
    ),
    Signal(
        "stores_per_day",
        "stores on one day",
        "shared_card",
        4,
        2,
        "SELECT member_id, day, count(DISTINCT store_id) AS value FROM purchases GROUP BY ALL",
    ),
    Signal(
        "pieces_of_one_item",
        "pieces of one item on one day",
        "business",
        48,
        4,
        "SELECT member_id, day, sum(quantity) AS value FROM purchases GROUP BY member_id, day, item_id",
    ),
    Signal(
        "orders",
        "orders in all",
        "business",
        200,
        4,
        "SELECT member_id, max(day) AS day, count(DISTINCT order_key) AS value FROM purchases GROUP BY member_id",
    ),
    Signal(
        "night_share",
        "share of orders between midnight and five, of at least 20",
        "test",
        0.5,
        2,
        "SELECT member_id, max(day) AS day, CASE WHEN count(DISTINCT order_key) >= 20 THEN"
        " count(DISTINCT order_key) FILTER (hour < 5) / count(DISTINCT order_key) ELSE 0 END AS value"
        " FROM purchases GROUP BY member_id",
    ),
)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What makes a member suspect: the value, the day of it, and what nine members in ten do not exceed.

    strength: the value as a multiple of the least suspect one.
    """

    signal: str
    meaning: str
    suggests: str
    value: float
    usual: float
    strength: float
    day: date


@dataclass(frozen=True, slots=True)
class Suspect:
    """A member with evidence, strongest first; `suggests` is the kind that a person may confirm."""

    member_id: str
    evidence: tuple[Evidence, ...]

    @property
    def suggests(self) -> str:
        """The kind that the strongest evidence speaks for."""
        return self.evidence[0].suggests

    def as_json(self) -> dict[str, Any]:
        """Return the suspect as values that JSON knows."""
        shown = asdict(self) | {"suggests": self.suggests}
        for one in shown["evidence"]:
            one["day"] = one["day"].isoformat()
        return shown


def audit_members(database: Database, settings: IngestSettings) -> list[Suspect]:
    """Return the members whose purchases look unlike one household's, the most striking first.

    Only members who are learned from are looked at. Days are those of the retailer's time zone.
    """
    with (
        open_workspace(settings.home / "work", "audit") as workspace,
        open_duck(settings.ingest_memory_mib, settings.ingest_threads, workspace) as duck,
    ):
        _load_purchases(duck, database, settings)
        found: dict[str, list[Evidence]] = {}
        for signal in SIGNALS:
            for member_id, evidence in _judge(duck, signal):
                found.setdefault(member_id, []).append(evidence)
    suspects = [
        Suspect(member_id, tuple(sorted(evidence, key=lambda one: one.strength, reverse=True)))
        for member_id, evidence in found.items()
    ]
    return sorted(suspects, key=lambda one: (-len(one.evidence), -one.evidence[0].strength, one.member_id))


def set_kind(database: Database, member_id: str, kind: str, now: datetime, caller: str = "command line") -> str:
    """Record what a member is, with an entry in the audit trail.

    Returns: the kind before.
    Raises: InputError if the kind is unknown, or nothing is known of the member.
    """
    if kind not in MEMBER_KINDS:
        raise InputError("There is no such kind.", field="kind", value=kind, accepted=", ".join(MEMBER_KINDS))
    with database.write(durable=True) as connection:
        before = member_kinds(connection).get(member_id, LEARNED_KINDS[0])
        upsert(connection, "members", [{"member_id": member_id, "kind": kind}], now)
        record(connection, caller, "members.set_kind", member_id, now, f'{{"before": "{before}", "kind": "{kind}"}}')
    return before


def print_suspects(suspects: Sequence[Suspect], console: Console) -> None:
    """Show suspects as a table, one line per piece of evidence."""
    if not suspects:
        console.print("No member looks suspect.")
        return
    table = Table("member", "may be", "evidence", "value", "nine in ten stay below", "day", box=None)
    for suspect in suspects:
        for number, one in enumerate(suspect.evidence):
            name = suspect.member_id if number == 0 else ""
            kind = suspect.suggests if number == 0 else ""
            table.add_row(name, kind, one.meaning, f"{one.value:g}", f"{one.usual:g}", one.day.isoformat())
    console.print(table)
    console.print("To confirm one: memberwise members set-kind MEMBER KIND", highlight=False)


def _load_purchases(duck: duckdb.DuckDBPyConnection, database: Database, settings: IngestSettings) -> None:
    log = open_event_log(settings)
    with database.read(snapshot=True) as connection:
        paths = log.paths(registered_files(connection))
        live, links = unlogged_events(connection), dict(active_links(connection))
        excluded, erased = member_kinds(connection), erased_subjects(connection)
    duck.register("live", live)
    _register_texts(duck, "links", subject=list(links), member=list(links.values()))
    _register_texts(duck, "excluded", member=list(excluded))
    _register_texts(duck, "erased", subject=list(erased))
    names = "subject, item_id, store_id, order_id, quantity, occurred_at, kind, status, event_id"
    stored = "".join(f"SELECT {names} FROM read_parquet({text(str(path))}) UNION ALL " for path in paths)
    own = f"CASE WHEN starts_with(subject, '{MEMBER_NAMESPACE}:') THEN substr(subject, {len(MEMBER_NAMESPACE) + 2}) END"
    local = f"timezone({text(settings.time_zone)}, occurred_at)"
    duck.execute(
        f"""CREATE TEMP TABLE purchases AS SELECT * FROM (
          SELECT coalesce({own}, member) AS member_id, item_id, store_id, coalesce(quantity, 1) AS quantity,
            coalesce(order_id, event_id) AS order_key, CAST({local} AS DATE) AS day, hour({local}) AS hour
          FROM ({stored}SELECT {names} FROM live) LEFT JOIN links USING (subject)
          WHERE kind = 'purchase' AND subject NOT IN (SELECT subject FROM erased)
            AND coalesce(status, '') NOT IN ({texts(sorted(UNPAID_STATUSES))}))
        WHERE member_id IS NOT NULL AND member_id NOT IN (SELECT member FROM excluded)"""
    )


def _register_texts(duck: duckdb.DuckDBPyConnection, name: str, **columns: list[str]) -> None:
    duck.register(name, pa.table({column: pa.array(values, pa.string()) for column, values in columns.items()}))


def _judge(duck: duckdb.DuckDBPyConnection, signal: Signal) -> list[tuple[str, Evidence]]:
    rows = duck.execute(
        f"""WITH highest AS (
          SELECT member_id, max(value) AS value, arg_max(day, value) AS day FROM ({signal.query}) GROUP BY 1),
        usual AS (SELECT quantile_disc(value, 0.9) AS usual FROM highest)
        SELECT member_id, value, usual, day FROM highest, usual
        WHERE value >= $least AND value >= $factor * usual
        ORDER BY value DESC, member_id""",
        {"least": signal.least, "factor": signal.factor},
    ).fetchall()
    found = []
    for member, value, usual, day in rows:
        strength = round(value / max(signal.least, signal.factor * usual), 3)
        names = (signal.name, signal.meaning, signal.suggests)
        found.append((member, Evidence(*names, float(value), float(usual), strength, day)))
    return found
