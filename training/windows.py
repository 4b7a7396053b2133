"""What a split is made of: a window asks one question, its truth holds the answer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from recommender.history import Histories
from training.dataset import Dataset, Entries, Sales
from training.metrics import Ragged

BoolVector = npt.NDArray[np.bool_]
MinuteVector = npt.NDArray[np.int32]
RowVector = npt.NDArray[np.int32]


class Protocol(StrEnum):
    """How history and truth are told apart."""

    TIME = "time"
    ROLLING = "rolling"
    LAST_ORDER = "last_order"
    LEAVE_ONE_OUT = "leave_one_out"


class Subset(StrEnum):
    """Which truth items count."""

    ALL = "all"
    REPEAT = "repeat"
    NOVEL = "novel"
    NEVER_SEEN = "never_seen"


@dataclass(frozen=True, slots=True)
class Truth:
    """What people really bought in a window: distinct items per person, items rising.

    person_row: int32, (n,), the people with at least one item, rising.  items: one list per person.
    bought, seen: bool per item: had the person bought it, or met it at all, in the history before?
    """

    person_row: RowVector
    items: Ragged
    bought: BoolVector
    seen: BoolVector

    def of(self, subset: Subset) -> Ragged:
        """Return the items that count in a subset; lists may be empty."""
        kept = {
            Subset.ALL: np.ones(len(self.bought), bool),
            Subset.REPEAT: self.bought,
            Subset.NOVEL: ~self.bought,
            Subset.NEVER_SEEN: ~self.seen,
        }[subset]
        return self.items.keep(kept)

    def select(self, people: npt.NDArray[np.integer]) -> Truth:
        """Return the truth of some of the people, given by position, rising."""
        chosen = np.zeros(len(self.person_row), bool)
        chosen[people] = True
        entry = np.repeat(chosen, self.items.sizes)
        return Truth(self.person_row[chosen], self.items.select(people), self.bought[entry], self.seen[entry])


@dataclass(frozen=True, slots=True)
class Window:
    """One question put to a model: what may be seen, when it is asked, what happened then.

    as_of: int32, (n_people,), the minute at which each person's slate is computed.
    history: bool, (n_entries,), the dataset entries that lie before it.
    fit_minute: a model that sees only `history` is fitted as of this minute.
    end: the first minute after the window; None where everybody has a window of their own.
    """

    name: str
    as_of: MinuteVector
    history: BoolVector
    fit_minute: int
    truth: Truth
    end: int | None = None

    def cut(self, dataset: Dataset) -> Dataset:
        """Return the dataset without the entries that must not be seen, and without what they say of items."""
        entries, facts = dataset.entries.where(self.history), dataset.facts
        # Where everybody has a window of their own, a hidden first event would lie in the past of the fit.
        by_event = facts.available_from == _first_events(dataset.entries, dataset.sales, len(dataset.items))
        seen = _first_events(entries, dataset.sales, len(dataset.items))
        start = np.where(by_event, seen, facts.available_from)
        return replace(dataset, entries=entries, facts=replace(facts, available_from=start))

    def histories(self, dataset: Dataset) -> Histories:
        """Return every person's visible history, one segment per person row."""
        return self.cut(dataset).histories(int(np.iinfo(np.int32).max))


@dataclass(frozen=True, slots=True)
class Split:
    """The windows chosen for a dataset, oldest first, and why.

    origins: the test windows; protocols other than ROLLING have one.
    window_days: the length of a window, if it has one.
    """

    protocol: Protocol
    reason: str
    window_days: float | None
    ranker: tuple[Window, ...]
    validation: Window
    origins: tuple[Window, ...]

    @property
    def test(self) -> Window:
        """The newest test window."""
        return self.origins[-1]


def _first_events(entries: Entries, sales: Sales, n_items: int) -> MinuteVector:
    """Return the minute of each item's first event, int32, (n_items,); the largest int32 if there is none."""
    first = np.full(n_items, np.iinfo(np.int32).max, np.int32)
    np.minimum.at(first, entries.item_row, entries.minute)
    np.minimum.at(first, sales.item_row, sales.minute)
    return first
