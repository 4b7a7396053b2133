"""Erasure of a member: the tombstone that ends all use at once, then the rows in SQL, each step safe to repeat.

`request_erasure` writes the tombstone in one transaction: from then on every request, every read of history and the
next training leave the member out. `sweep` takes the rows away. Files of the event log and bundles follow with
`memberwise erase --apply`, see recommender/erasing.py. What was done stands in the erasure's proof.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from recommender.events import member_subject
from recommender.storage.database import Database
from recommender.storage.hashing import HashKey
from recommender.storage.identities import subjects_of
from recommender.storage.personal import PERSONAL, Fate, Personal, keys_of
from recommender.storage.statements import execute, execute_many, fetch, marks, next_sequence, set_counter
from recommender.storage.tables import erased_subjects, erasures
from recommender.storage.types import to_micros

CHUNK_ROWS = 500
PSEUDONYM = "erased:"
"""What member ids of kept books begin with; the id of the erasure follows."""

Proof = dict[str, Any]
Step = Callable[[str], None]
"""Told the name of each step when it is done."""

_BURY = """
INSERT INTO erased_subjects (subject, erased_at, erasure_id) VALUES (?, ?, ?)
ON CONFLICT (subject) DO UPDATE SET erasure_id = COALESCE(erased_subjects.erasure_id, excluded.erasure_id)"""
_AUDITED = """
UPDATE audit SET target = ? WHERE target = ? OR substr(target, 1, ?) = ?"""


@dataclass(frozen=True, slots=True)
class Erasure:
    """One erasure.

    reference: a keyed hash of the member id: whoever has the id and the key can tell whose proof it is.
    sequence: bundles that include it know nothing of the member.
    finished_at: None until the event log is rewritten and older bundles are gone.
    proof: what was removed, how much and when; names neither the member nor an identity.
    """

    erasure_id: str
    reference: str
    requested_at: datetime
    requested_by: str
    sequence: int
    finished_at: datetime | None
    proof: Proof

    @property
    def pseudonym(self) -> str:
        """The member id under which books are kept."""
        return PSEUDONYM + self.erasure_id


def reference_of(member_id: str, key: HashKey) -> str:
    """Return the keyed hash that stands for a member in a proof, which itself names nobody."""
    return hmac.new(key.secret, f"erasure:{member_id}".encode(), hashlib.sha256).hexdigest()


def find_erasure(connection: Connection, member_id: str) -> Erasure | None:
    """Return the erasure of a member, None if there is none."""
    same = sa.select(erased_subjects.c.erasure_id).where(erased_subjects.c.subject == member_subject(member_id))
    row = connection.execute(sa.select(erasures).where(erasures.c.erasure_id.in_(same))).mappings().first()
    return None if row is None else _erasure(row)


def list_erasures(connection: Connection, unfinished: bool = False) -> list[Erasure]:
    """Return the erasures in the order in which they were asked for."""
    chosen = sa.select(erasures).order_by(erasures.c.sequence)
    if unfinished:
        chosen = chosen.where(erasures.c.finished_at.is_(None))
    return [_erasure(row) for row in connection.execute(chosen).mappings()]


def request_erasure(connection: Connection, member_id: str, requested_by: str, key: HashKey, now: datetime) -> Erasure:
    """Bury a member and their identities, inside a write transaction; asked again, return the first erasure.

    An identity that leads to several members belongs to none of them: it loses its link and keeps its history.
    """
    sequence = next_sequence(connection)
    known = find_erasure(connection, member_id)
    if known is not None:
        return known
    subjects = subjects_of(connection, member_id) or (member_subject(member_id),)
    erasure_id = secrets.token_hex(8)
    execute_many(connection, _BURY, [(subject, to_micros(now), erasure_id) for subject in subjects])
    proof: Proof = {"subjects": len(subjects), "sql": {}, "log_files": [], "bundles_removed": []}
    found = Erasure(erasure_id, reference_of(member_id, key), now, requested_by, sequence, None, proof)
    values: dict[str, object] = {name: getattr(found, name) for name in Erasure.__slots__}
    connection.execute(erasures.insert(), values | {"proof": orjson.dumps(proof).decode()})
    set_counter(connection, "changed:members", sequence)
    set_counter(connection, "changed:identities", sequence)
    return found


def buried_subjects(connection: Connection, erasure: Erasure) -> tuple[str, ...]:
    """Return the subjects of an erasure."""
    rows = fetch(
        connection,
        "SELECT subject FROM erased_subjects WHERE erasure_id = ? ORDER BY subject",
        (erasure.erasure_id,),
    )
    return tuple(row[0] for row in rows)


def sweep(database: Database, erasure: Erasure, now: datetime, after_step: Step = lambda _step: None) -> Erasure:
    """Take the rows of an erased member out of SQL, in short transactions; safe to kill and to repeat.

    Returns: the erasure with what was done in its proof.
    """
    with database.read() as connection:
        subjects = buried_subjects(connection, erasure)
    prefix = member_subject("")
    member_id = next((name.removeprefix(prefix) for name in subjects if name.startswith(prefix)), None)
    if member_id is None:
        return erasure
    for one in PERSONAL:
        with database.read() as connection:
            keys = keys_of(connection, one, member_id, subjects)
        for start in range(0, len(keys), CHUNK_ROWS):
            chunk = keys[start : start + CHUNK_ROWS]
            with database.write(durable=True) as connection:
                changed = _clear(connection, one, chunk, erasure)
                _count(connection, erasure, one, changed, now)
        after_step(one.table)
    own = member_subject(member_id)
    with database.write(durable=True) as connection:
        execute(connection, _AUDITED, (erasure.pseudonym, own, len(own) + 1, own + "/"))
        found = reread(connection, erasure)
    after_step("audit")
    return found


def reread(connection: Connection, erasure: Erasure) -> Erasure:
    """Return an erasure as it stands in the database."""
    chosen = sa.select(erasures).where(erasures.c.erasure_id == erasure.erasure_id)
    return _erasure(connection.execute(chosen).mappings().one())


def write_proof(connection: Connection, erasure: Erasure, proof: Mapping[str, Any]) -> None:
    """Replace an erasure's proof, inside a write transaction."""
    same = erasures.c.erasure_id == erasure.erasure_id
    connection.execute(erasures.update().where(same).values(proof=orjson.dumps(proof).decode()))


def purge_books(database: Database, keep_days: int, now: datetime) -> int:
    """Delete the pseudonymous books whose time is over; return how many rows there were.

    Coupons of the wallet stay: its ledger balances against them.

    Args:
        keep_days: how long books must be kept.
    """
    limit, total = now - timedelta(days=keep_days), 0
    for one in (entry for entry in PERSONAL if entry.fate is Fate.BOOK and entry.ends):
        table, time = one.sql, one.sql.c[one.time]
        owner = table.c[one.column]
        old = sa.and_(owner >= PSEUDONYM, owner < PSEUDONYM[:-1] + ";", sa.or_(time < limit, time.is_(None)))
        with database.read() as connection:
            keys = [tuple(row) for row in connection.execute(sa.select(*table.primary_key.columns).where(old))]
        for start in range(0, len(keys), CHUNK_ROWS):
            with database.write(durable=True) as connection:
                total += _delete(connection, one, keys[start : start + CHUNK_ROWS])
    return total


def _clear(connection: Connection, one: Personal, keys: Sequence[Sequence[Any]], erasure: Erasure) -> int:
    if one.fate is Fate.DELETED:
        return _delete(connection, one, keys)
    names = [column.name for column in one.sql.primary_key.columns]
    same = sa.tuple_(*(one.sql.c[name] for name in names)).in_([tuple(key) for key in keys])
    renamed = dict.fromkeys((one.column, *one.also), erasure.pseudonym)
    values: dict[str, object] = dict.fromkeys(one.cleared) if one.cleared else {**renamed}
    return connection.execute(one.sql.update().where(same).values(values)).rowcount


def _delete(connection: Connection, one: Personal, keys: Sequence[Sequence[Any]]) -> int:
    columns = list(one.sql.primary_key.columns)
    if len(columns) == 1 and all(isinstance(key[0], str) for key in keys):
        statement = f"DELETE FROM {one.table} WHERE {columns[0].name} IN ({marks(len(keys))})"
        return execute(connection, statement, [key[0] for key in keys])
    same = sa.tuple_(*columns).in_([tuple(key) for key in keys])
    return connection.execute(one.sql.delete().where(same)).rowcount


def _count(connection: Connection, erasure: Erasure, one: Personal, changed: int, now: datetime) -> None:
    """Add rows to the proof, inside the transaction that changed them."""
    proof = reread(connection, erasure).proof
    entry = proof["sql"].setdefault(one.table, {"fate": str(one.fate), "rows": 0})
    entry["rows"] += changed
    entry["at"] = now.isoformat()
    write_proof(connection, erasure, proof)


def _erasure(row: Mapping[Any, Any]) -> Erasure:
    return Erasure(**{**row, "proof": orjson.loads(row["proof"])})
