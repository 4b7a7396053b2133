"""Joins events to the exposures they came from: incrementally, each event once, before any is pruned from SQL.

The counter `attributed` is the sequence up to which events are joined. A page of events is matched first; then one
transaction moves the counter, writes the credits and adds them up beside the shown items. Two workers at the same
page, or one killed half-way, find the counter moved or the credits made. An event whose recommendation has not
arrived from its worker's spool waits as long as the window is open.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any

from sqlalchemy.engine import Connection

from recommender.attribution import (
    CLOCK_SKEW_MICROS,
    CREDITED_KINDS,
    Credit,
    Ledger,
    Shown,
    Window,
    act_key,
    find_shown,
    is_counted,
)
from recommender.events import EventKind
from recommender.storage.database import Database
from recommender.storage.identities import resolve, subjects_of
from recommender.storage.statements import execute, execute_many, fetch, last_sequence, marks, read_counter
from recommender.storage.types import to_micros

ATTRIBUTED = "attributed"
"""Counter: events up to this sequence are joined to exposures."""
PAGE_ROWS = 500
"""Events joined in one transaction."""

_CREDIT = tuple(entry.name for entry in fields(Credit))
_KINDS = ", ".join(f"'{kind}'" for kind in CREDITED_KINDS)
_PAGE = f"""
SELECT event_id, kind, occurred_at, subject, item_id, recommendation_id, position, order_id, order_line, revision,
  status, quantity, unit_price_cents, discount_cents, channel, sequence
FROM events
WHERE sequence >= ? AND (sequence, event_id) > (?, ?) AND sequence <= ? AND kind IN ({_KINDS})
  AND (recommendation_id IS NOT NULL OR kind IN ('purchase', 'return'))
ORDER BY sequence, event_id LIMIT ?"""
_WAITING = f"""
SELECT {", ".join(f"a.{name}" for name in _CREDIT)} FROM attributions a
WHERE a.waiting_until >= ? AND (
  (a.kind <> 'return' AND EXISTS (SELECT 1 FROM exposures e WHERE e.recommendation_id = a.recommendation_id))
  OR (a.kind = 'return' AND EXISTS (
    SELECT 1 FROM attributions p WHERE p.order_id = a.order_id AND p.kind = 'purchase'
      AND p.waiting_until IS NULL AND (p.item_id = a.item_id OR a.item_id IS NULL))))
ORDER BY a.act LIMIT ?"""
_EXPIRED = "DELETE FROM attributions WHERE waiting_until < ?"
_SLATES = "SELECT recommendation_id, position, item_id, occurred_at FROM exposures WHERE recommendation_id IN ({marks})"
_LATEST = """
SELECT recommendation_id, position, item_id, occurred_at FROM exposures
WHERE subject IN ({marks}) AND occurred_at BETWEEN ? AND ? AND item_id = ?
ORDER BY occurred_at DESC, recommendation_id DESC, position LIMIT 1"""
_BOUGHT = """
SELECT a.act FROM exposures e
JOIN attributions a ON a.recommendation_id = e.recommendation_id AND a.position = e.position
WHERE e.subject IN ({marks}) AND e.item_id = ? AND a.kind = 'purchase' AND a.waiting_until IS NULL
  AND a.occurred_at <= ?
ORDER BY a.occurred_at DESC, a.act LIMIT ?"""
MOST_BOUGHT = 20
"""Purchases from which a return without an order may take back."""
_KNOWN = f"SELECT {', '.join(_CREDIT)} FROM attributions WHERE {{column}} IN ({{marks}})"
_START = f"INSERT INTO counters (name, value) VALUES ('{ATTRIBUTED}', 0) ON CONFLICT (name) DO NOTHING"
_HOLD = f"UPDATE counters SET value = value WHERE name = '{ATTRIBUTED}'"
"""Lets one worker at a time change credits."""
_MOVE = f"UPDATE counters SET value = ? WHERE name = '{ATTRIBUTED}' AND value = ?"
_WRITE = (
    f"INSERT INTO attributions ({', '.join(_CREDIT)}) VALUES ({marks(len(_CREDIT))}) ON CONFLICT (act) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in _CREDIT[1:])
)
_REMOVE = "DELETE FROM attributions WHERE act = ?"
_ADD_UP = """
UPDATE exposures SET views = views + ?, basket_adds = basket_adds + ?, purchases = purchases + ?,
  revenue_cents = revenue_cents + ?, assisted_purchases = assisted_purchases + ?, assisted_cents = assisted_cents + ?
WHERE recommendation_id = ? AND position = ?"""


@dataclass(frozen=True, slots=True)
class Attributed:
    """What a run did: acts looked at, and credits written or changed."""

    acts: int = 0
    credits: int = 0

    def __add__(self, other: Attributed) -> Attributed:
        return Attributed(self.acts + other.acts, self.credits + other.credits)


@dataclass(frozen=True, slots=True)
class _Page:
    """Acts with the channel of each, up to a place in the order of events.

    after: the counter as it was read.  upto: what it may be moved to.  cursor: the last event read.
    whole: nothing follows for now.
    """

    acts: Sequence[tuple[Credit, str]]
    after: int
    upto: int
    cursor: tuple[int, str]
    whole: bool


def attribute(database: Database, window: Window, now: datetime, page_rows: int = PAGE_ROWS) -> Attributed:
    """Join every new event; safe to kill, to repeat and to run twice at once.

    Raises: StoreBusyError; what was joined by then stays.
    """
    until = to_micros(now) + window.micros
    total = _settle_waiting(database, window, now, page_rows)
    with database.write() as connection:
        execute(connection, _START)
    cursor: tuple[int, str] | None = None
    while True:
        with database.read() as connection:
            page = _read_page(connection, cursor, page_rows)
            found = _match(connection, page.acts, window)
        with database.write() as connection:
            if execute(connection, _MOVE, (page.upto, page.after)) != 1:
                return total  # another worker is at it
            total += Attributed(len(page.acts), _enter(connection, page.acts, found, until))
        if page.whole:
            return total
        cursor = page.cursor


def attributed_sequence(connection: Connection) -> int:
    """Return the sequence up to which events are joined; later ones must stay in SQL."""
    return read_counter(connection, ATTRIBUTED)


def _settle_waiting(database: Database, window: Window, now: datetime, limit: int) -> Attributed:
    """Settle what waited for an exposure or a purchase that has come since, and let go of what waited too long."""
    total, micros = Attributed(), to_micros(now)
    while True:
        with database.read() as connection:
            rows = fetch(connection, _WAITING, (micros, limit))
            acts = [(replace(_credit(row), waiting_until=None), "") for row in rows]
            found = _match(connection, acts, window)
        with database.write() as connection:
            execute(connection, _HOLD)
            execute(connection, _EXPIRED, (micros,))
            total += Attributed(len(acts), _enter(connection, acts, found, None))
        if len(rows) < limit:
            return total


def _read_page(connection: Connection, cursor: tuple[int, str] | None, limit: int) -> _Page:
    after, last = read_counter(connection, ATTRIBUTED), last_sequence(connection)
    start = (after + 1, "") if cursor is None else cursor
    rows = fetch(connection, _PAGE, (start[0], *start, last, limit))
    acts = [(_act(row), str(row[-2])) for row in rows]
    if len(rows) < limit:
        return _Page(acts, after, max(last, after), (last, ""), True)
    # Events of one load share a sequence, so that the last one may have more of them.
    return _Page(acts, after, max(rows[-1][-1] - 1, after), (rows[-1][-1], rows[-1][0]), False)


def _act(row: tuple[Any, ...]) -> Credit:
    (event_id, kind, occurred_at, subject, item_id, recommendation_id, position) = row[:7]
    (order_id, order_line, revision, status, quantity, price, discount) = row[7:14]
    return Credit(
        act=act_key(kind, event_id, order_id, order_line),
        event_id=event_id,
        kind=kind,
        occurred_at=occurred_at,
        subject=subject,
        item_id=item_id,
        recommendation_id=recommendation_id,
        position=position,
        assisted=False,
        order_id=order_id,
        order_line=order_line,
        revision=revision or 0,
        counted=is_counted(status),
        quantity=quantity,
        returned=0.0,
        unit_price_cents=price,
        discount_cents=discount,
        waiting_until=None,
    )


@dataclass(frozen=True, slots=True)
class _Found:
    """What acts may be credited to: slates by recommendation id, and by event id where a purchase names none.

    bought: by event id of a return without an order, the acts by which its customer bought the item.
    """

    slates: dict[str, list[Shown]]
    assisted: dict[str, Shown]
    bought: dict[str, tuple[str, ...]]
    window: Window

    def shown(self, act: Credit) -> Shown | None:
        """Return what an act is credited to."""
        if act.recommendation_id is None:
            return self.assisted.get(act.event_id)
        return find_shown(act, self.slates.get(act.recommendation_id, ()), self.window.micros)

    def may_come(self, act: Credit) -> bool:
        """Tell whether what an act refers to may still arrive."""
        if act.kind == EventKind.RETURN:
            return act.order_id is not None
        return act.recommendation_id is not None and act.recommendation_id not in self.slates


def _match(connection: Connection, acts: Sequence[tuple[Credit, str]], window: Window) -> _Found:
    """Look up what acts may be credited to."""
    named = {act.recommendation_id for act, _ in acts if act.recommendation_id is not None}
    slates: dict[str, list[Shown]] = {}
    for row in _in_chunks(connection, _SLATES, sorted(named)):
        slates.setdefault(row[0], []).append(Shown(*row))
    silent = [act for act, channel in acts if _may_be_assisted(act, channel, window)]
    loose = [act for act, _ in acts if act.kind == EventKind.RETURN and act.order_id is None and act.item_id]
    oldest = fetch(connection, "SELECT MIN(occurred_at) FROM exposures")[0][0] if silent or loose else None
    people: dict[str, tuple[str, ...]] = {}
    found = _Found(slates, {}, {}, window)
    for act in (*silent, *loose):
        if oldest is None or act.subject is None or act.occurred_at < oldest - CLOCK_SKEW_MICROS:
            continue
        if act.subject not in people:
            people[act.subject] = _subjects(connection, act.subject)
        if not people[act.subject]:
            continue  # an erasure is under way
        if act.kind == EventKind.RETURN:
            found.bought[act.event_id] = _bought(connection, people[act.subject], act)
        elif (shown := _latest(connection, people[act.subject], act, window)) is not None:
            found.assisted[act.event_id] = shown
    return found


def _may_be_assisted(act: Credit, channel: str, window: Window) -> bool:
    silent = act.recommendation_id is None and act.subject is not None and act.item_id is not None
    return silent and act.kind == EventKind.PURCHASE and channel in window.assisted


def _subjects(connection: Connection, subject: str) -> tuple[str, ...]:
    """Return every subject of the customer behind one."""
    namespace, _, value = subject.partition(":")
    member_id = resolve(connection, namespace, value).member_id
    return (subject,) if member_id is None else subjects_of(connection, member_id)


def _latest(connection: Connection, subjects: Sequence[str], act: Credit, window: Window) -> Shown | None:
    statement = _LATEST.replace("{marks}", marks(len(subjects)))
    bounds = (act.occurred_at - window.micros, act.occurred_at + CLOCK_SKEW_MICROS)
    rows = fetch(connection, statement, (*subjects, *bounds, act.item_id))
    return Shown(*rows[0]) if rows else None


def _bought(connection: Connection, subjects: Sequence[str], act: Credit) -> tuple[str, ...]:
    """Return the credited acts by which a customer bought the item of a return before it, the latest first."""
    statement = _BOUGHT.replace("{marks}", marks(len(subjects)))
    rows = fetch(connection, statement, (*subjects, act.item_id, act.occurred_at, MOST_BOUGHT))
    return tuple(str(row[0]) for row in rows)


def _enter(connection: Connection, acts: Sequence[tuple[Credit, str]], found: _Found, until: int | None) -> int:
    """Settle acts and write what changes, inside a write transaction; return how many credits were written.

    Args:
        until: how long an act may wait; None: no longer, it has waited.
    """
    if not acts:
        return 0
    bought = [key for keys in found.bought.values() for key in keys]
    ledger = Ledger(_known(connection, [act for act, _ in acts], bought))
    for settled, _ in acts:
        shown = found.shown(settled)
        waits = until if shown is None and found.may_come(settled) else None
        act = replace(settled, assisted=settled.recommendation_id is None and shown is not None)
        ledger.settle(act, shown, waits, found.bought.get(act.event_id, ()))
    changed = ledger.changed()
    execute_many(connection, _REMOVE, [(act,) for act in ledger.removed()])
    execute_many(connection, _WRITE, [tuple(getattr(credit, name) for name in _CREDIT) for credit in changed])
    totals = sorted(ledger.differences().items())
    execute_many(connection, _ADD_UP, [(*worth, *place) for place, worth in totals])
    return len(changed)


def _known(connection: Connection, acts: Sequence[Credit], bought: Sequence[str]) -> Iterator[Credit]:
    """Return the credits that acts may change: their own, and those of orders and purchases that returns are about."""
    keys = sorted({*(act.act for act in acts), *bought})
    orders = sorted({act.order_id for act in acts if act.kind == EventKind.RETURN and act.order_id is not None})
    for column, values in (("act", keys), ("order_id", orders)):
        for row in _in_chunks(connection, _KNOWN.replace("{column}", column), values):
            yield _credit(row)


def _credit(row: Sequence[Any]) -> Credit:
    values = dict(zip(_CREDIT, row, strict=True))
    return Credit(**values | {name: bool(values[name]) for name in ("assisted", "counted")})


def _in_chunks(connection: Connection, statement: str, values: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    for start in range(0, len(values), PAGE_ROWS):
        chunk = values[start : start + PAGE_ROWS]
        yield from fetch(connection, statement.replace("{marks}", marks(len(chunk))), chunk)
