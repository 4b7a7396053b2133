"""Exploration: a small share of slates is shuffled with what came next, with a chance known for every item shown.

A customer's slates of one scenario and local day are either all shuffled or all as ranked, so that a retry gets the
same answer. A shuffled slate takes its items in random order from a pool: the slate as ranked and about as many items
after it. Every item of the pool is then equally likely at every position, which is what makes the chances simple:

    chance of an item at a position = share / pool, plus 1 - share if it stands there as ranked.

It is never zero for an item that is shown. Pins stay where they are.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import date

import numpy as np

from recommender.arrangement import PINNED
from recommender.candidates import Slate
from recommender.query import Query
from recommender.rules import all_masks

SALT = "exploration"
POOL_FACTOR = 2
"""Items of the pool for each item of the slate."""
EXPLORED = "+explored"
"""Ends the strategy of a shuffled slate."""


@dataclass(frozen=True, slots=True)
class Exploration:
    """What chance has decided for a customer's slates of one scenario and day.

    share: the part of slates that are shuffled, in (0, 1].  draw: in [0, 1).  seed: of the order.
    """

    share: float
    draw: float
    seed: int

    @property
    def shuffled(self) -> bool:
        """Whether the slates are shuffled."""
        return self.draw < self.share

    def query(self, query: Query) -> Query:
        """Return the query whose slate apply() cuts: longer by the rest of the pool."""
        pins = tuple(pin for pin in query.arrangement.pins if pin[0] <= query.count)
        return replace(query, count=query.count * POOL_FACTOR, arrangement=replace(query.arrangement, pins=pins))

    def apply(self, slate: Slate, query: Query) -> tuple[Slate, tuple[float, ...]]:
        """Cut a slate to what is shown, shuffled or not.

        Args:
            slate: of query(); its head is what is shown without exploration.
            query: as asked. What its masks only let in where nothing else is left is not brought forward.
        Returns: the slate, and the chance of each of its items to stand at its position; scores stay with the items.
        """
        size = min(query.count, len(slate.row))
        place = np.arange(len(slate.row))
        free = np.array([source != PINNED for source in slate.source], np.bool_)
        if any(mask.yields for mask in query.masks):
            allowed = all_masks(query)
            assert allowed is not None
            free &= (place < size) | allowed[slate.row]
        pool, positions = place[free], place[:size][free[:size]]
        order = place[:size].copy()
        chance = np.ones(size)
        if len(pool) > 1:
            if self.shuffled:
                order[positions] = np.random.default_rng(self.seed).permutation(pool)[: len(positions)]
            chance[positions] = self.share / len(pool) + (1 - self.share) * (order[positions] == positions)
        strategy = f"{slate.strategy}{EXPLORED}" if self.shuffled else slate.strategy
        source = tuple(slate.source[at] for at in order)
        cut = Slate(slate.row[order], slate.score[order], source, strategy, slate.dropped, slate.instead_of)
        return cut, tuple(chance.tolist())


def draw_exploration(share: float, subject: str | None, scenario: str, day: date) -> Exploration | None:
    """Decide whether a customer's slates of a scenario and a local day are shuffled, and how.

    Args:
        share: the part of slates to shuffle; 0 = exploration is off.
        subject: the customer's own, whatever identity the request named; None if nobody is known or the customer
            opted out of personalisation, whose slates are never shuffled.
    """
    if share <= 0 or subject is None:
        return None
    digest = hashlib.blake2b(f"{SALT}\0{scenario}\0{day.isoformat()}\0{subject}".encode(), digest_size=16).digest()
    first, second = int.from_bytes(digest[:8], "big"), int.from_bytes(digest[8:], "big")
    return Exploration(share, first / 2**64, second)
