"""Aligned: the rows of one reading of the data and those of a bundle, turned into one another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from recommender.candidates import Slate
from recommender.diversity import Spread
from recommender.errors import TrainingDataError
from recommender.history import Histories
from recommender.pipeline import Recommender
from recommender.query import Query
from training.dataset import Dataset, ItemFacts
from training.fit.diversity import kinds_of

RowVector = npt.NDArray[np.int32]
CodeVector = npt.NDArray[np.uint8]


def aligned(dataset: Dataset, recommender: Recommender) -> Dataset:
    """Return the dataset in the rows of a recommender; events of items that it does not know are left out.

    Raises: TrainingDataError if it knows none of the items.
    """
    item_row, known = item_rows(dataset, recommender)
    if not known.any():
        raise TrainingDataError("The bundle knows none of the items in the history.", field="bundle")
    kept = dataset.entries.where(known[dataset.entries.item_row])
    entries = replace(
        kept,
        item_row=item_row[kept.item_row],
        store_row=store_rows(dataset, recommender)[kept.store_row],
        channel=channel_codes(dataset, recommender)[kept.channel],
    )
    sold = known[dataset.sales.item_row]
    sales = replace(
        dataset.sales,
        item_row=item_row[dataset.sales.item_row[sold]],
        store_row=store_rows(dataset, recommender)[dataset.sales.store_row[sold]],
        minute=dataset.sales.minute[sold],
    )
    return replace(
        dataset,
        items=recommender.items,
        stores=recommender.stores,
        channels=recommender.channels,
        entries=entries,
        sales=sales,
        facts=_facts(dataset, recommender, item_row, known),
    )


def _facts(dataset: Dataset, recommender: Recommender, item_row: RowVector, known: npt.NDArray[np.bool_]) -> ItemFacts:
    """Return the facts in the recommender's rows; of items that the dataset lacks nothing is known."""
    facts, n_items = dataset.facts, len(recommender.items)
    at, own = item_row[known], np.flatnonzero(known)

    def moved(values: npt.NDArray[Any], unknown: float) -> npt.NDArray[Any]:
        found = np.full(n_items, unknown, values.dtype)
        found[at] = values[own]
        return found

    product = np.arange(n_items, dtype=np.int32)
    product[at] = np.where(known[facts.product_row[own]], item_row[facts.product_row[own]], at)
    both = known[facts.substitutes].all(axis=1)
    return replace(
        facts,
        category_row=moved(facts.category_row, len(facts.categories) - 1),
        brand_row=moved(facts.brand_row, len(facts.brands) - 1),
        price_cents=moved(facts.price_cents, np.nan),
        available_from=moved(facts.available_from, np.iinfo(np.int32).max),
        product_row=product,
        substitutes=item_row[facts.substitutes[both]],
    )


def spread_for(dataset: Dataset, recommender: Recommender) -> Spread:
    """Return how a recommender's slates spread, with the kinds of items in the rows of a dataset."""
    spread = recommender.spread
    return replace(spread, diversity=replace(spread.diversity, kinds=kinds_of(dataset.facts)))


class Translated:
    """A recommender that is asked, and answers, in the rows of a dataset instead of its own."""

    def __init__(self, recommender: Recommender, dataset: Dataset) -> None:
        self._recommender = recommender
        self._item_row, self._known = item_rows(dataset, recommender)
        self._store_row = store_rows(dataset, recommender)
        self._channel = channel_codes(dataset, recommender)
        own = recommender.items
        rows, found = dataset.items.rows(own.ids(np.arange(len(own))))
        self._back, self._wanted = np.zeros(len(own), np.int32), found
        self._back[found] = rows

    def recommend(self, queries: Sequence[Query]) -> list[Slate]:
        """Answer queries in the dataset's rows; items that the dataset lacks are left out of the slates."""
        histories: dict[int, Histories] = {}  # queries about one member share a history, which is scored once
        for query in queries:
            histories.setdefault(id(query.history), self._history(query.history))
        asked = [
            replace(query, history=histories[id(query.history)], store_row=self._store(query.store_row))
            for query in queries
        ]
        return [self._slate(slate) for slate in self._recommender.recommend(asked)]

    def _history(self, history: Histories) -> Histories:
        kept = history.where(self._known[history.item_row])
        return replace(kept, item_row=self._item_row[kept.item_row], channel=self._channel[kept.channel])

    def _store(self, row: int | None) -> int | None:
        found = None if row is None else int(self._store_row[row])
        return None if found == len(self._recommender.stores) else found

    def _slate(self, slate: Slate) -> Slate:
        kept = self._wanted[slate.row]
        source = tuple(name for name, stays in zip(slate.source, kept, strict=True) if stays)
        return replace(slate, row=self._back[slate.row[kept]], score=slate.score[kept], source=source)


def item_rows(dataset: Dataset, recommender: Recommender) -> tuple[RowVector, npt.NDArray[np.bool_]]:
    """Return the recommender's row of each item of a dataset, and whether it knows the item at all."""
    rows, known = recommender.items.rows(dataset.items.ids(np.arange(len(dataset.items))))
    found = np.zeros(len(known), np.int32)
    found[known] = rows
    return found, known


def store_rows(dataset: Dataset, recommender: Recommender) -> RowVector:
    """Return the recommender's row of each store, and of "no store", which also stands for unknown stores."""
    rows, known = recommender.stores.rows(dataset.stores.ids(np.arange(len(dataset.stores))))
    found = np.full(len(dataset.stores) + 1, len(recommender.stores), np.int32)
    found[:-1][known] = rows
    return found


def channel_codes(dataset: Dataset, recommender: Recommender) -> CodeVector:
    """Return the recommender's code of each channel; unknown ones have the first."""
    codes = {name: code for code, name in enumerate(recommender.channels)}
    return np.array([codes.get(name, 0) for name in dataset.channels], np.uint8)
