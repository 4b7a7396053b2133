"""Stand-ins: when an item that a customer would have got is sold out, its best substitute takes a place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recommender.query import Query, Scenario

BoolVector = npt.NDArray[np.bool_]
FloatVector = npt.NDArray[np.float32]
IntVector = npt.NDArray[np.int64]
RowVector = npt.NDArray[np.int32]

NAME = "substitutes"
"""What slates name as the source of stand-ins."""
STOCK_RULE = "out_of_stock"
SHARE = 0.95
"""What a stand-in is worth beside the item that is sold out."""
SCENARIOS = frozenset({Scenario.HOME, Scenario.BUY_AGAIN, Scenario.DISCOVER, Scenario.BASKET, Scenario.SESSION})
"""Where stand-ins are looked for; the others are about likeness, novelty or trends themselves."""


@dataclass(frozen=True, slots=True)
class StandIn:
    """A substitute: its row, the row of the item that is sold out, and its score."""

    row: int
    lost: int
    score: float


def find_stand_ins(
    likeness: sp.csr_matrix,
    query: Query,
    row: RowVector,
    score: FloatVector,
    allowed: BoolVector | None,
    subject: BoolVector | None,
) -> list[StandIn]:
    """Return stand-ins for what is sold out among the best candidates, in the order of these.

    Args:
        likeness: float32 CSR, (n_items, n_items), row i holds what can stand in for item i.
        query: with its masks.
        row, score: the candidates before the rules, aligned.
        allowed: bool, (all items,), what all masks allow.
        subject: bool, (n_items,), what the scenario is about; None for all.
    """
    stock = next((mask for mask in query.masks if mask.rule == STOCK_RULE), None)
    if stock is None or allowed is None or query.scenario not in SCENARIOS:
        return []
    lost = ~stock.allowed[row]
    if not lost.any():
        return []
    for mask in query.masks:
        if mask is not stock:
            lost &= mask.allowed[row]
    if not lost.any():
        return []
    eligible = np.flatnonzero(lost | allowed[row])
    best = eligible[np.lexsort((row[eligible], -score[eligible]))[: query.count]]
    taken = set(row[best[~lost[best]]].tolist())
    found: list[StandIn] = []
    for at in best[lost[best]].tolist():
        part = slice(int(likeness.indptr[row[at]]), int(likeness.indptr[row[at] + 1]))
        columns, values = likeness.indices[part], likeness.data[part]
        free = allowed[columns] if subject is None else allowed[columns] & subject[columns]
        for place in np.lexsort((columns, -values)).tolist():
            if free[place] and int(columns[place]) not in taken:
                taken.add(int(columns[place]))
                found.append(StandIn(int(columns[place]), int(row[at]), float(score[at]) * SHARE))
                break
    return found


def joined(
    others: Sequence[StandIn], row: RowVector, score: FloatVector, source: IntVector, column: int
) -> tuple[RowVector, FloatVector, IntVector]:
    """Return candidates with stand-ins: those that are candidates already rise, if they do.

    Args:
        others: the stand-ins.
        row, score, source: the candidates, aligned.
        column: the source of stand-ins.
    """
    place = {int(found): at for at, found in enumerate(row)}
    score, source = score.copy(), source.copy()
    new = [other for other in others if other.row not in place]
    for other in others:
        at = place.get(other.row)
        if at is not None and other.score > score[at]:
            score[at], source[at] = other.score, column
    return (
        np.concatenate((row, np.array([other.row for other in new], np.int32))),
        np.concatenate((score, np.array([other.score for other in new], np.float32))),
        np.concatenate((source, np.full(len(new), column))),
    )
