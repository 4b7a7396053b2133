"""Query: everything known when a slate is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recommender.arrangement import NO_ARRANGEMENT, Arrangement
from recommender.history import Histories, stack
from recommender.interactions import Arranged, Pairs, Weights, arrange, summarize, weigh

if TYPE_CHECKING:
    from recommender.lately import Slot
    from recommender.newcomers import Newcomers

BoolVector = npt.NDArray[np.bool_]
FloatVector = npt.NDArray[np.float32]
IntVector = npt.NDArray[np.int64]
MinuteVector = npt.NDArray[np.int32]
RowVector = npt.NDArray[np.int32]


class Scenario(StrEnum):
    """A placement with its own idea of a good slate."""

    HOME = "home"
    BUY_AGAIN = "buy_again"
    DISCOVER = "discover"
    TRENDING = "trending"
    SIMILAR = "similar"
    BASKET = "basket"
    SUBSTITUTES = "substitutes"
    NEW = "new"
    SESSION = "session"


CONTEXT_SCENARIOS = frozenset({Scenario.SIMILAR, Scenario.BASKET, Scenario.SUBSTITUTES, Scenario.SESSION})
"""Placements about items that the request names: one item, a basket, or what was looked at just now."""


@dataclass(frozen=True, slots=True)
class Context:
    """The items a request is about: the item of `similar` and `substitutes`, a basket, a session's items.

    row: int32, (n,), distinct, the most telling first.  weight: float32, (n,), > 0.
    stand_in: the items only stand for one that the bundle does not know, so that they may be shown themselves.
    """

    row: RowVector
    weight: FloatVector
    stand_in: bool = False

    @classmethod
    def of(cls, rows: Sequence[int] | RowVector, decay: float = 1.0) -> Context:
        """Return a context of distinct rows, each of which weighs `decay` times the one before."""
        row = np.array(rows, np.int32)
        return cls(row, np.float32(decay) ** np.arange(len(row), dtype=np.float32))

    def __len__(self) -> int:
        return len(self.row)

    @property
    def hidden(self) -> RowVector:
        """Rows that no slate about this context holds, int32."""
        return self.row[:0] if self.stand_in else self.row


NO_CONTEXT = Context.of(())


@dataclass(frozen=True, slots=True)
class Mask:
    """A named condition on items: `allowed` is bool, (n_items,); what it drops is counted under `rule`.

    yields: it gives way where the slate would be short: what it drops comes after all else.
    """

    rule: str
    allowed: BoolVector
    yields: bool = False


@dataclass(frozen=True, slots=True)
class Ready:
    """Ranked candidates of one query, from which its slate is chosen.

    row: int32, (n,).  score: float32, (n,).  source: int64, (n,), position of the retriever in `names`.
    company: of how many similar members how many have each: counts, int64, (n,), and their number; None: not counted.
    partner: int32, (n,), the item of the history that speaks most for each, -1 where none does; None: not known.
    _told, _counted: what reasons have found out of it: partners by retriever and row, -1 = none; the company.
    """

    row: RowVector
    score: FloatVector
    source: IntVector
    names: tuple[str, ...]
    company: tuple[IntVector, int] | None = None
    partner: RowVector | None = None
    _told: dict[tuple[str, int], int] = field(default_factory=dict, init=False, repr=False, compare=False)
    _counted: list[tuple[Mapping[int, int], int]] = field(default_factory=list, init=False, repr=False, compare=False)

    def best(self, count: int) -> Ready:
        """Return the `count` best, by falling score, ties by rising row."""
        order = np.lexsort((self.row, -self.score))[:count]
        return Ready(self.row[order], self.score[order], self.source[order], self.names)


@dataclass(frozen=True, slots=True)
class Query:
    """One request, with ids already turned into rows.

    Attributes:
        scenario: the placement.
        count: items wanted; > 0.
        as_of: the present, in minutes since 1970-01-01 UTC; the history lies before it.
        history: one segment; empty for an unknown customer.
        store_row: row of the store in the bundle's store index, or None if none is known.
        personal: False for members who opted out of personalisation: the history is not used.
        masks: conditions on items (sellable, in stock, filters), in the order in which drops are counted.
        context: the items the request is about; only in CONTEXT_SCENARIOS. It is used even if not `personal`.
        arrangement: how the order is changed by hand.
        newcomers: the items that are newer than the models; None if there are none.
        unnamed: bool, (all items,), items that no reason may name, nor say of them what the customer did; None: none.
        ready: candidates from which to choose; None: they are to be found.
    slot: where the candidates that are found for it are remembered; None: nowhere.
    """

    scenario: Scenario
    count: int
    as_of: int
    history: Histories = field(default_factory=lambda: Histories.empty(1))
    store_row: int | None = None
    personal: bool = True
    masks: tuple[Mask, ...] = ()
    context: Context = NO_CONTEXT
    arrangement: Arrangement = NO_ARRANGEMENT
    newcomers: Newcomers | None = None
    unnamed: BoolVector | None = None
    ready: Ready | None = None
    slot: Slot | None = None
    _pairs: dict[Weights, Pairs] = field(default_factory=dict, init=False, repr=False, compare=False)

    def pairs(self, weights: Weights) -> Pairs:
        """Return the pairs of the history under these weights; computed once, also for a batch of this query alone."""
        if weights not in self._pairs:
            self._pairs[weights] = summarize(self.history, np.array([self.as_of], np.int32), weights)
        return self._pairs[weights]


@dataclass(frozen=True, slots=True)
class Batch:
    """What retrievers see of a batch of queries; queries about the same history share it, so it is scored once.

    histories: one segment per distinct history, entries before its `as_of` only.
    as_of: int32, (n_histories,), minutes since 1970-01-01 UTC.
    history_of: int64, (n,), the history of each query.
    store_row: int32, (n,); where has_store is False the value is 0 and means nothing.
    has_store: bool, (n,).
    allowed: per query, bool, (n_items,), the items it may hold; None = all.
    contexts: per query, the items it is about; empty for most.
    """

    histories: Histories
    as_of: MinuteVector
    history_of: IntVector
    store_row: RowVector
    has_store: BoolVector
    allowed: tuple[BoolVector | None, ...]
    contexts: tuple[Context, ...]
    _pairs: dict[Weights, Pairs] = field(default_factory=dict)
    _arranged: list[Arranged] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.history_of)

    @property
    def arranged(self) -> Arranged:
        """The histories with the entries of each item together; computed once per batch."""
        if not self._arranged:
            self._arranged.append(arrange(self.histories))
        return self._arranged[0]

    def pairs(self, weights: Weights) -> Pairs:
        """Return the pairs of each history under these weights; computed once per batch."""
        if weights not in self._pairs:
            self._pairs[weights] = weigh(self.arranged, self.histories, self.as_of, weights)
        return self._pairs[weights]

    def context_matrix(self, n_items: int) -> sp.csr_matrix | None:
        """Return the weights of the items that each query is about, float32 CSR, (n, n_items); None if there are none.

        Unlike histories, contexts are not shared: there is a row per query.
        """
        if not any(map(len, self.contexts)):
            return None
        indptr = np.cumsum([0, *map(len, self.contexts)])
        row = np.concatenate([context.row for context in self.contexts])
        weight = np.concatenate([context.weight for context in self.contexts])
        return sp.csr_matrix((weight, row, indptr), shape=(len(self), n_items))

    def spread(self, indptr: IntVector) -> tuple[IntVector, IntVector]:
        """Hand what belongs to histories out to the queries.

        Args:
            indptr: int64, (n_histories + 1,), bounds of each history's entries.
        Returns: query, int64, rising; and the entry each query gets, int64; aligned.
        """
        starts = indptr[:-1][self.history_of]
        sizes = indptr[1:][self.history_of] - starts
        query = np.repeat(np.arange(len(self)), sizes)
        ends = np.cumsum(sizes)
        return query, np.arange(len(query)) + np.repeat(starts - (ends - sizes), sizes)


def batch_of(queries: Sequence[Query], allowed: Sequence[BoolVector | None]) -> Batch:
    """Lay queries side by side; members who opted out enter without their history."""
    nothing = Histories.empty(1)
    numbers: dict[tuple[int, int], int] = {}
    distinct: list[tuple[Histories, int]] = []
    history_of = []
    for query in queries:
        history = query.history if query.personal else nothing
        key = (id(history), query.as_of)
        if key not in numbers:
            numbers[key] = len(distinct)
            distinct.append((history, query.as_of))
        history_of.append(numbers[key])
    return Batch(
        histories=stack([history for history, _ in distinct]),
        as_of=np.array([as_of for _, as_of in distinct], np.int32),
        history_of=np.array(history_of, np.int64),
        store_row=np.array([query.store_row or 0 for query in queries], np.int32),
        has_store=np.array([query.store_row is not None for query in queries], bool),
        allowed=tuple(allowed),
        contexts=tuple(query.context for query in queries),
        _pairs=queries[0]._pairs if len(queries) == 1 and queries[0].personal else {},
    )
