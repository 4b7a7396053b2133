"""A market for tests of whole fits: people who buy their favourites again and again, view, and try new things."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np

from tests.training.datasets import Line, dataset_of
from training.dataset import Dataset
from training.settings import FactorSettings, NeighborSettings, TrainingSettings

N_PEOPLE, N_ITEMS, DAYS = 36, 30, 84
SETTINGS = TrainingSettings(
    seed=7,
    threads=1,
    factors=FactorSettings(factors=6, iterations=5, warm_iterations=2, min_members=2, regularization=0.05),
    neighbors=NeighborSettings(neighbors=10),
)


def lines(seed: int = 1, first: int = 0, last: int = DAYS, people: range = range(N_PEOPLE)) -> list[Line]:
    """Draw what happens between two days: a purchase or view of a favourite or, less often, of anything."""
    rng = np.random.default_rng(seed)
    found: list[Line] = []
    for person in people:
        favourites = [(person * 2 + step) % N_ITEMS for step in range(5)]
        for day in range(first, last):
            if rng.random() < 0.4:
                item = int(rng.choice(favourites)) if rng.random() < 0.75 else int(rng.integers(N_ITEMS))
                kind = "purchase" if rng.random() < 0.75 else "view"
                found.append((f"p{person:02d}", f"i{item:02d}", day + rng.random() * 0.9, kind, f"s{person % 3}"))
    return found


def market_of(events: list[Line], not_learned: tuple[str, ...] = ()) -> Dataset:
    """Make a dataset of N_ITEMS items, each in one of four categories and new since its first event."""
    dataset = dataset_of(events, not_learned=not_learned, items=[f"i{row:02d}" for row in range(N_ITEMS)])
    start = np.full(N_ITEMS, np.iinfo(np.int32).max, np.int32)
    np.minimum.at(start, dataset.entries.item_row, dataset.entries.minute)
    facts = replace(
        dataset.facts,
        categories=("a", "b", "c", "d", ""),
        category_row=(np.arange(N_ITEMS) % 4).astype(np.int32),
        available_from=start,
        product_row=np.where(np.arange(N_ITEMS) == 9, 4, np.arange(N_ITEMS)).astype(np.int32),
    )
    return replace(dataset, facts=facts)


@lru_cache
def market() -> Dataset:
    """Return the market that is the same for every test."""
    return market_of(lines())
