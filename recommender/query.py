"""Query: everything known when a slate is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from recommender.history import Histories, stack
from recommender.interactions import Pairs, Weights, summarize

BoolVector = npt.NDArray[np.bool_]
MinuteVector = npt.NDArray[np.int32]
RowVector = npt.NDArray[np.int32]


class Scenario(StrEnum):
    """A placement with its own idea of a good slate."""

    HOME = "home"
    BUY_AGAIN = "buy_again"
    DISCOVER = "discover"
    TRENDING = "trending"


@dataclass(frozen=True, slots=True)
class Mask:
    """A named condition on items: `allowed` is bool, (n_items,); what it drops is counted under `rule`."""

    rule: str
    allowed: BoolVector


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
    """

    scenario: Scenario
    count: int
    as_of: int
    history: Histories = field(default_factory=lambda: Histories.empty(1))
    store_row: int | None = None
    personal: bool = True
    masks: tuple[Mask, ...] = ()


@dataclass(frozen=True, slots=True)
class Batch:
    """What retrievers see of a batch of queries.

    histories: one segment per query, entries before the query's `as_of` only.
    as_of: int32, (n,), minutes since 1970-01-01 UTC.
    store_row: int32, (n,); where has_store is False the value is 0 and means nothing.
    has_store: bool, (n,).
    allowed: per query, bool, (n_items,), the items it may hold; None = all.
    """

    histories: Histories
    as_of: MinuteVector
    store_row: RowVector
    has_store: BoolVector
    allowed: tuple[BoolVector | None, ...]
    _pairs: dict[Weights, Pairs] = field(default_factory=dict)

    def pairs(self, weights: Weights) -> Pairs:
        """Return the member-item pairs under these weights; computed once per batch."""
        if weights not in self._pairs:
            self._pairs[weights] = summarize(self.histories, self.as_of, weights)
        return self._pairs[weights]

    def __len__(self) -> int:
        return len(self.as_of)


def batch_of(queries: Sequence[Query], allowed: Sequence[BoolVector | None]) -> Batch:
    """Lay queries side by side; members who opted out enter without their history."""
    histories = stack([query.history if query.personal else Histories.empty(1) for query in queries])
    return Batch(
        histories=histories,
        as_of=np.array([query.as_of for query in queries], np.int32),
        store_row=np.array([query.store_row or 0 for query in queries], np.int32),
        has_store=np.array([query.store_row is not None for query in queries], bool),
        allowed=tuple(allowed),
    )
