"""The two baselines every model is shown beside: what many buy, and what the member bought before.

They are built with care, because a weak baseline makes any model look good: popularity counts member-days
in a recent window, personal frequency comes plain and decayed, and is filled up with popularity.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recommender.events import KIND_CODES, EventKind
from recommender.history import MINUTES_PER_DAY, Histories
from training.metrics import Ragged, first
from training.windows import Subset

FloatVector = npt.NDArray[np.float64]
IntVector = npt.NDArray[np.int64]
RowVector = npt.NDArray[np.int32]
MinuteVector = npt.NDArray[np.int32]

POPULARITY = "popularity"
PERSONAL = "personal"
PERSONAL_DECAYED = "personal_decayed"
BASELINES = (POPULARITY, PERSONAL, PERSONAL_DECAYED)
POPULARITY_DAYS = 28.0
"""The recent period in which popularity is counted."""
FILL_POOL = 500
"""Most popular items from which short lists are filled up."""
_PURCHASE = KIND_CODES[EventKind.PURCHASE]


@dataclass(frozen=True, slots=True)
class Past:
    """What some people did before a window: distinct items, rising within a person.

    bought: items bought.  seen: items met in any way.  count: float64 per bought item, days with a purchase.
    decayed: float64 per bought item, the same with older days counting less.
    """

    bought: Ragged
    seen: Ragged
    count: FloatVector
    decayed: FloatVector

    def filter(self, lists: Ragged, subset: Subset) -> Ragged:
        """Return the lists without items that cannot belong to a subset."""
        if subset is Subset.REPEAT:
            return lists.keep(self.bought.contains(lists))
        if subset is Subset.NOVEL:
            return lists.keep(~self.bought.contains(lists))
        if subset is Subset.NEVER_SEEN:
            return lists.keep(~self.seen.contains(lists))
        return lists


def past_of(histories: Histories, as_of: MinuteVector, half_life_days: float) -> Past:
    """Summarise histories for baselines and subsets.

    Args:
        histories: one segment per person, entries before `as_of`; one entry per item, day and kind.
        as_of: int32, (n_people,), the minute at which each person is asked.
        half_life_days: age at which a purchase counts half; > 0.
    """
    person = np.repeat(np.arange(len(histories)), np.diff(histories.indptr))
    width = int(histories.item_row.max(initial=0)) + 1
    key = person * width + histories.item_row
    purchase = histories.kind == _PURCHASE
    bought, place = np.unique(key[purchase], return_inverse=True)
    age_days = (as_of[person] - histories.minute)[purchase] / MINUTES_PER_DAY
    weight = np.exp2(-age_days / half_life_days)
    n_people = len(histories)
    return Past(
        _ragged(bought, width, n_people),
        _ragged(np.unique(key), width, n_people),
        np.bincount(place, minlength=len(bought)).astype(np.float64),
        np.bincount(place, weight, minlength=len(bought)).astype(np.float64),
    )


def popularity_counts(
    histories: Histories, minute: int, window_days: float, n_items: int
) -> tuple[IntVector, IntVector]:
    """Count purchases for the popularity baseline and for novelty.

    Args:
        histories: everybody's history.
        minute: the end of the history.
        window_days: the recent period; if nobody bought anything in it, the whole history counts.
        n_items: number of items.
    Returns: int64, (n_items,), member-days with a purchase in the recent period; and members who ever bought.
    """
    person = np.repeat(np.arange(len(histories)), np.diff(histories.indptr))
    purchase = histories.kind == _PURCHASE
    recent = purchase & (histories.minute >= minute - window_days * MINUTES_PER_DAY)
    counted = recent if recent.any() else purchase
    key = np.unique(person[purchase] * np.int64(n_items) + histories.item_row[purchase])
    return (
        np.bincount(histories.item_row[counted], minlength=n_items),
        np.bincount(key % max(n_items, 1), minlength=n_items),
    )


def baseline_lists(name: str, subset: Subset, past: Past, popularity: IntVector, count: int) -> Ragged:
    """Make one baseline's lists for a subset.

    Args:
        name: POPULARITY, PERSONAL or PERSONAL_DECAYED.
        subset: REPEAT lists hold bought items only, NOVEL and NEVER_SEEN lists others only.
        past: of the people asked.
        popularity: int64, (n_items,), from popularity_counts; ties go to the smaller row.
        count: items per list; > 0.
    Returns: lists of at most `count` items, best first.
    """
    n_people = len(past.bought)
    popular = np.lexsort((np.arange(len(popularity)), -popularity))[:FILL_POOL].astype(np.int32)
    popular = popular[popularity[popular] > 0]
    fill = Ragged(np.arange(n_people + 1) * len(popular), np.tile(popular, n_people))
    if subset in (Subset.NOVEL, Subset.NEVER_SEEN):
        return first(past.filter(fill, subset), count)
    if name == POPULARITY:
        return first(_ordered(past.bought, popularity[past.bought.row]) if subset is Subset.REPEAT else fill, count)
    score = past.count if name == PERSONAL else past.decayed
    # Equal counts are told apart by popularity, which is far below one count.
    own = _ordered(past.bought, score + popularity[past.bought.row] / (1e6 * (1 + popularity.max(initial=0))))
    if subset is Subset.REPEAT:
        return first(own, count)
    return first(_append(own, past.filter(fill, Subset.NOVEL)), count)


def _ragged(key: IntVector, width: int, n_people: int) -> Ragged:
    person, row = np.divmod(key, width)
    indptr = np.concatenate(([0], np.cumsum(np.bincount(person, minlength=n_people)))).astype(np.int64)
    return Ragged(indptr, row.astype(np.int32))


def _ordered(lists: Ragged, score: npt.NDArray[np.generic]) -> Ragged:
    """Order each list by falling score, ties by rising row."""
    return Ragged(lists.indptr, lists.row[np.lexsort((lists.row, -np.asarray(score, np.float64), lists.member))])


def _append(lists: Ragged, others: Ragged) -> Ragged:
    """Put each person's second list behind the first."""
    member = np.concatenate((lists.member, others.member))
    order = np.argsort(member, kind="stable")
    return Ragged(lists.indptr + others.indptr, np.concatenate((lists.row, others.row))[order])
