"""Recent events of one customer as history entries, by the same rules as training applies to the log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

from recommender.events import KIND_CODES, UNPAID_STATUSES, EventKind
from recommender.history import Histories
from recommender.ids import IdIndex
from recommender.interactions import HISTORY_KINDS, PURCHASE_CODE
from recommender.storage.events import RecentEvents

RowVector = npt.NDArray[np.int32]
MinuteVector = npt.NDArray[np.int32]

MICROS_PER_MINUTE = 60_000_000
NO_ALIASES: Mapping[str, str] = {}
_KEPT = {str(kind): KIND_CODES[kind] for kind in HISTORY_KINDS}


@dataclass(frozen=True, slots=True)
class Recent:
    """What happened lately: entries, one segment in rising time; and items given back, aligned with when."""

    entries: Histories
    returned_row: RowVector
    returned_minute: MinuteVector


NOTHING_NEW = Recent(Histories.empty(1), np.empty(0, np.int32), np.empty(0, np.int32))


def read_recent(
    events: RecentEvents,
    items: IdIndex,
    channels: Mapping[str, int],
    now: datetime,
    aliases: Mapping[str, str] = NO_ALIASES,
) -> Recent:
    """Turn recent events into history entries; items that the bundle does not know are left out.

    Of a corrected order line the highest revision counts, cancelled and unpaid lines do not. A line that is
    cancelled after the bundle took it in is given back like a return. Events dated later than now count as of now.

    Args:
        events: of one customer.
        items: the bundle's items.
        channels: code of each channel; others count as the first.
        now: the present.
        aliases: for an item's id the one under which the bundle knows it.
    """
    if not len(events):
        return NOTHING_NEW
    rows, known = items.rows([aliases.get(item_id, item_id) for item_id in events.item_id])
    valid, cancelled = _judge(events)
    kept = np.flatnonzero(known & valid)
    row = np.zeros(len(events), np.int32)
    row[known] = rows
    latest = int(now.timestamp() // 60)
    minute = np.minimum(np.array(events.occurred_at, np.int64) // MICROS_PER_MINUTE, latest).astype(np.int32)
    is_return = np.array([events.kind[int(i)] == EventKind.RETURN for i in kept], np.bool_)
    given_back = np.concatenate((kept[is_return], np.flatnonzero(known & cancelled)))
    entries = kept[~is_return]
    entries = entries[np.argsort(minute[entries], kind="stable")]
    history = Histories(
        np.array([0, len(entries)], np.int64),
        row[entries],
        minute[entries],
        np.array([_KEPT[events.kind[int(i)]] for i in entries], np.uint8),
        np.array([channels.get(events.channel[int(i)], 0) for i in entries], np.uint8),
        np.ones(len(entries), np.uint8),
    )
    return Recent(history, row[given_back], minute[given_back])


def take_back(history: Histories, returned_row: RowVector, returned_minute: MinuteVector) -> Histories:
    """Remove for each returned item its latest purchase before the return.

    Args:
        history: one segment.
        returned_row, returned_minute: int32, (n,), aligned.
    """
    if len(returned_row) == 0:
        return history
    kept = np.ones(len(history.item_row), bool)
    for row, minute in zip(returned_row, returned_minute, strict=True):
        bought = (history.item_row == row) & (history.kind == PURCHASE_CODE) & (history.minute <= minute) & kept
        places = np.flatnonzero(bought)
        if len(places):
            kept[places[-1]] = False
    return history.where(kept)


def _judge(events: RecentEvents) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Tell which events count, and which cancel a line that came before them all.

    Returns: valid, of a kind that matters, of the highest revision of their line, and paid; cancelled, the last
        word on a line whose first revision is not among the events.
    """
    revisions: dict[tuple[str | None, str | None], list[int]] = {}
    lines = list(zip(events.order_id, events.order_line, strict=True))
    for line, revision in zip(lines, events.revision, strict=True):
        if None not in line:
            revisions.setdefault(line, []).append(revision or 0)
    valid, cancelled = [], []
    for kind, line, revision, status in zip(events.kind, lines, events.revision, events.status, strict=True):
        known = revisions.get(line, [revision or 0])
        bought = kind == EventKind.PURCHASE
        superseded = bought and (revision or 0) < max(known)
        unpaid = bought and status in UNPAID_STATUSES
        valid.append((kind in _KEPT or kind == EventKind.RETURN) and not superseded and not unpaid)
        cancelled.append(unpaid and not superseded and min(known) > 0)
    return np.array(valid, bool), np.array(cancelled, bool)
