"""Rules: which items a slate may hold, for a business reason; each counts what it dropped."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from recommender.interactions import PURCHASE_CODE
from recommender.query import Query, Scenario

BoolVector = npt.NDArray[np.bool_]
RowVector = npt.NDArray[np.int32]

NEVER_BOUGHT = (Scenario.DISCOVER, Scenario.NEW)
"""Scenarios that hold only what the customer never bought."""


def scenario_mask(query: Query, n_items: int) -> BoolVector | None:
    """Return the items that the scenario is about, or None for all.

    `buy_again` holds only items bought before, `discover` and `new` only items never bought. The items that a request
    is about are known to the customer: no slate holds them.
    """
    allowed = _by_purchases(query, n_items)
    if len(query.context.hidden):
        allowed = np.ones(n_items, bool) if allowed is None else allowed
        allowed[query.context.hidden] = False
    return allowed


def _by_purchases(query: Query, n_items: int) -> BoolVector | None:
    """Return the items that the customer must have bought, or must not."""
    if query.scenario not in (Scenario.BUY_AGAIN, *NEVER_BOUGHT) or not query.personal:
        return None
    bought = np.zeros(n_items, bool)
    bought[query.history.item_row[query.history.kind == PURCHASE_CODE]] = True
    if query.scenario in NEVER_BOUGHT:
        return ~bought
    # Without anything bought there is nothing to buy again: the slate is filled from popularity instead.
    return bought if bought.any() else None


def count_dropped(query: Query, row: RowVector) -> dict[str, int]:
    """Return how many of the candidates each rule removes; the first rule that removes one counts it.

    Args:
        query: with its masks.
        row: int32, (n,), candidates of the query.
    """
    dropped = {}
    for mask in query.masks:
        kept = mask.allowed[row]
        if not kept.all():
            dropped[mask.rule] = int(len(row) - kept.sum())
            row = row[kept]
    return dropped


def all_masks(query: Query) -> BoolVector | None:
    """Return the items that every mask of the query allows, or None if it has no masks."""
    if not query.masks:
        return None
    allowed = query.masks[0].allowed
    for mask in query.masks[1:]:
        allowed = allowed & mask.allowed
    return allowed


def both(left: BoolVector | None, right: BoolVector | None) -> BoolVector | None:
    """Return what two masks both allow; None allows all."""
    if left is None or right is None:
        return right if left is None else left
    return left & right
