"""Evaluation: what came of replaying a window, as rows that reports, tables and notebooks read."""

from __future__ import annotations

from dataclasses import dataclass

from training.metrics import Interval
from training.windows import Subset


@dataclass(frozen=True, slots=True)
class MeasureRow:
    """One measure of one method on one subset."""

    method: str
    subset: str
    measure: str
    interval: Interval


@dataclass(frozen=True, slots=True)
class DifferenceRow:
    """How much more `method` reaches than `baseline`, paired by member."""

    method: str
    baseline: str
    subset: str
    measure: str
    interval: Interval


@dataclass(frozen=True, slots=True)
class GroupRow:
    """NDCG@10 of one method in one group: of members, or of items.

    For a group of items, lists and purchases are both cut to its items, so that members who bought none of them
    do not count.
    """

    group: str
    value: str
    method: str
    interval: Interval


@dataclass(frozen=True, slots=True)
class SlateRow:
    """What the lists of a method are like, whether bought or not.

    coverage: share of the catalogue shown to anybody.  novelty: in bits.  gini: how unequally items are shown.
    diversity: mean distance of two items of a list in the category tree; NaN without categories.
    """

    method: str
    subset: str
    depth: int
    coverage: float
    novelty: float
    gini: float
    diversity: Interval


@dataclass(frozen=True, slots=True)
class TenthRow:
    """How the first ten positions of a method spread over best sellers and the tail.

    shares: of each tenth of the recent sales, best sellers first; the last one of items that did not sell lately.
    """

    method: str
    shares: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The result of replaying one window.

    cut: the beginning of the window in minutes since 1970-01-01 UTC.
    members, asked: people with truth in the window, and how many of them were evaluated.
    catalogue: number of items, of which coverage is a share.
    """

    window: str
    cut: int
    members: int
    asked: int
    catalogue: int
    measures: tuple[MeasureRow, ...]
    differences: tuple[DifferenceRow, ...]
    groups: tuple[GroupRow, ...]
    slates: tuple[SlateRow, ...]
    tenths: tuple[TenthRow, ...]

    def interval(self, method: str, subset: Subset, name: str) -> Interval:
        """Return one figure."""
        return next(
            row.interval
            for row in self.measures
            if (row.method, row.subset, row.measure) == (method, subset.value, name)
        )
