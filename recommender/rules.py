"""Rules: which items a slate may hold, for a business reason; each counts what it dropped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from recommender.arrangement import PINNED
from recommender.interactions import PURCHASE_CODE
from recommender.query import Mask, Query, Scenario

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
    return _allowed_by(query.masks)


def firm_masks(query: Query) -> BoolVector | None:
    """Return the items that every mask allows that does not give way to a short slate, or None if there is none."""
    return _allowed_by([mask for mask in query.masks if not mask.yields])


def _allowed_by(masks: Sequence[Mask]) -> BoolVector | None:
    if not masks:
        return None
    allowed = masks[0].allowed
    for mask in masks[1:]:
        allowed = allowed & mask.allowed
    return allowed


def within_reach(query: Query, allowed: BoolVector) -> BoolVector:
    """Return which of some items a slate can hold at all, also to fill it.

    Left out are the items that the request is about, and where only what was never bought is shown, what was.

    Args:
        query: whose slate it is.
        allowed: bool, (n,), at least one entry for each item that the models know; it is not changed.
    """
    reached = allowed.copy()
    reached[query.context.hidden] = False
    if query.scenario in NEVER_BOUGHT and query.personal:
        reached[query.history.item_row[query.history.kind == PURCHASE_CODE]] = False
    return reached


def pins_of(query: Query, subject: BoolVector | None) -> tuple[tuple[int, int], ...]:
    """Return the pins of a query that its rules and its scenario allow, at positions within the slate.

    Args:
        query: with its masks.
        subject: what its scenario is about, bool, (n_items,), of the items that the models know; None for all.
    """
    if not query.arrangement.pins:
        return ()
    allowed = all_masks(query)
    about = np.ones(0, bool) if subject is None else subject
    newer = subject is None or query.scenario is not Scenario.BUY_AGAIN
    return tuple(
        (position, row)
        for position, row in query.arrangement.pins
        if position <= query.count and (allowed is None or allowed[row]) and (about[row] if row < len(about) else newer)
    )


def beside_pins(query: Query, pins: Sequence[tuple[int, int]], n_items: int) -> Query:
    """Return a query for the places that pins leave, without the pinned rows.

    Args:
        query: the whole query.
        pins: (position, row), at most as many as the query asks for.
        n_items: how many items the models know.
    """
    if not pins:
        return query
    free = np.ones(max([n_items, *(len(mask.allowed) for mask in query.masks)]), bool)
    free[[row for _, row in pins]] = False
    return replace(query, count=query.count - len(pins), masks=(*query.masks, Mask(PINNED, free)))


def both(left: BoolVector | None, right: BoolVector | None) -> BoolVector | None:
    """Return what two masks both allow; None allows all."""
    if left is None or right is None:
        return right if left is None else left
    return left & right
