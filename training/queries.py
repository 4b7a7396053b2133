"""Queries for people of a dataset, as blends are tuned on them and evaluation replays them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from recommender.query import Query, Scenario
from training.dataset import Dataset, Entries
from training.windows import Window

RowVector = npt.NDArray[np.int32]


def window_queries(
    dataset: Dataset, window: Window, people: RowVector, scenario: Scenario, count: int
) -> list[Query]:
    """Ask for a slate for each person as of the window's start, with what was known then.

    Args:
        dataset: the whole dataset; only what the window may see is used.
        window: the question.
        people: int32, (n,), person rows.
        scenario, count: of every query.
    Returns: queries in the order of `people`; the store is the one each person shopped in most.
    """
    histories = window.histories(dataset)
    stores = main_stores(dataset.entries.where(window.history), len(dataset.people), len(dataset.stores))
    return [
        Query(
            scenario,
            count,
            int(window.as_of[person]),
            histories.of(int(person)),
            int(stores[person]) if stores[person] < len(dataset.stores) else None,
        )
        for person in people
    ]


def main_stores(entries: Entries, n_people: int, n_stores: int) -> RowVector:
    """Return the store with most of each person's entries, ties to the lower row; n_stores where there is none.

    Args:
        entries: history entries.
        n_people, n_stores: sizes of the row spaces.
    Returns: int32, (n_people,).
    """
    named = entries.store_row < n_stores
    key = entries.person_row[named].astype(np.int64) * max(n_stores, 1) + entries.store_row[named]
    visited, visits = np.unique(key, return_counts=True)
    person, store = np.divmod(visited, max(n_stores, 1))
    order = np.lexsort((-store, visits, person))
    main = np.full(n_people, n_stores, np.int32)
    main[person[order]] = store[order]
    return main
