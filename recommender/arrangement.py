"""Arrangement: how the order of a slate is changed by hand: boosts, pins, and how much variety there is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recommender.candidates import Slate

BoolVector = npt.NDArray[np.bool_]
FloatVector = npt.NDArray[np.float32]
RowVector = npt.NDArray[np.int32]

PINNED = "pinned"
"""The source of items that were put in their place by hand, and the rule under which the others leave them out."""


@dataclass(frozen=True, slots=True)
class Arrangement:
    """What changes the order of one query's slate, in rows.

    boosts: items, bool, (n_items,), and what their scores are multiplied by; > 0.
    pins: (position, row), distinct positions from 1 and rows, by rising position.
    diversity: strength in place of the fitted one; None leaves that.
    repeat_share: the part held for items bought before; None leaves the fitted order.
    plain: the scores alone order, whatever was fitted.
    """

    boosts: tuple[tuple[BoolVector, float], ...] = ()
    pins: tuple[tuple[int, int], ...] = ()
    diversity: float | None = None
    repeat_share: float | None = None
    plain: bool = False

    def boosted(self, row: RowVector, score: FloatVector) -> FloatVector:
        """Return the scores of candidates after boosts, float32, (n,)."""
        for applies, factor in self.boosts:
            score = np.where(applies[row], score * np.float32(factor), score)
        return score


NO_ARRANGEMENT = Arrangement()


def put_pins(slate: Slate, pins: tuple[tuple[int, int], ...], count: int) -> Slate:
    """Return a slate with pinned rows at their positions; where it is too short for one, that comes last.

    Args:
        slate: without the pinned rows.
        pins: (position, row) by rising position, at most `count`.
        count: most items of the result.
    """
    if not pins:
        return slate
    order: list[tuple[int, float | None, str]] = []
    others = list(zip(slate.row.tolist(), slate.score.tolist(), slate.source, strict=True))
    waiting = list(pins)
    while others or waiting:
        if waiting and (waiting[0][0] == len(order) + 1 or not others):
            order.append((waiting.pop(0)[1], None, PINNED))
        else:
            order.append(others.pop(0))
    order = order[:count]
    dropped = {rule: number for rule, number in slate.dropped.items() if rule != PINNED}
    row = np.array([row for row, _, _ in order], np.int32)
    source = tuple(name for _, _, name in order)
    scores = _beside([score for _, score, _ in order])
    return Slate(row, scores, source, slate.strategy, dropped, slate.instead_of)


def _beside(scores: list[float | None]) -> FloatVector:
    """Return scores in which each missing one is that of the item before, or of the first one that follows."""
    known = [score for score in scores if score is not None]
    last = known[0] if known else 1.0
    filled = []
    for score in scores:
        last = last if score is None else score
        filled.append(last)
    return np.array(filled, np.float32)
