"""Touches: what one history says of single items: how often each was bought, and when first and last."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from recommender.history import Histories
from recommender.interactions import PURCHASE_CODE


@dataclass(slots=True)
class Touch:
    """What a history says of one item.

    bought: days with a purchase.  first, last: minute of the first and last one; of the last event if never bought.
    """

    bought: int
    first: int
    last: int


def touches_of(history: Histories, rows: Collection[int]) -> dict[int, Touch]:
    """Return what a history says of those of some items that it holds.

    Args:
        history: one segment.
        rows: of the items.
    """
    wanted = np.fromiter(rows, np.int32, len(rows))
    found: dict[int, Touch] = {}
    for at in np.flatnonzero((history.item_row[:, None] == wanted).any(axis=1)).tolist():  # in rising time
        row, minute = int(history.item_row[at]), int(history.minute[at])
        bought = history.kind[at] == PURCHASE_CODE
        touch = found.get(row)
        if touch is None:
            found[row] = Touch(int(bought), minute, minute)
        elif bought:
            touch.first = touch.first if touch.bought else minute
            touch.bought, touch.last = touch.bought + 1, minute
        elif not touch.bought:
            touch.first = touch.last = minute
    return found


def last_purchase(history: Histories) -> int | None:
    """Return the minute of the last purchase in a history of one segment, None if nothing was bought."""
    bought = history.minute[history.kind == PURCHASE_CODE]
    return int(bought.max()) if len(bought) else None
