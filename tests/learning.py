"""Builders for tests of retrieval and ranking: histories, queries and masks, in days before one present."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from hypothesis import HealthCheck, settings

from recommender.candidates import Candidates
from recommender.events import BROWSING_KINDS, KIND_CODES, EventKind
from recommender.history import MINUTES_PER_DAY, Histories, stack
from recommender.interactions import Weights
from recommender.query import Batch, Context, Mask, Query, Scenario, batch_of
from recommender.retrievers.base import Json, Retriever, State

AS_OF = 20_000 * MINUTES_PER_DAY
"""The present of these tests, at a UTC midnight."""
PURCHASE, VIEW = EventKind.PURCHASE, EventKind.VIEW

CHEAP = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""Of property tests: few examples, and no complaints on a busy machine."""

Entry = tuple[int, float] | tuple[int, float, EventKind]
"""Item row, days before AS_OF, kind; a purchase unless told otherwise."""
BoolVector = npt.NDArray[np.bool_]
R = TypeVar("R", bound=Retriever)


def plain_weights(purchase_half_life: float = 10.0, browse_half_life: float = 5.0, n_channels: int = 2) -> Weights:
    """Weigh every purchase and every browsing event 1 when it happens."""
    counted = (PURCHASE, *BROWSING_KINDS)
    by_kind = tuple(1.0 if kind in counted else 0.0 for kind in EventKind)
    return Weights(purchase_half_life, browse_half_life, by_kind, (1.0,) * n_channels)


def minutes_ago(days: float) -> int:
    """Return the minute so many days before AS_OF."""
    return AS_OF - round(days * MINUTES_PER_DAY)


def history(*entries: Entry) -> Histories:
    """Return one history, ordered by time."""
    rows = sorted((minutes_ago(entry[1]), entry[0], KIND_CODES[(*entry, PURCHASE)[2]]) for entry in entries)
    table = np.array(rows, np.int64).reshape(-1, 3)
    return Histories(
        np.array([0, len(rows)], np.int64),
        table[:, 1].astype(np.int32),
        table[:, 0].astype(np.int32),
        table[:, 2].astype(np.uint8),
        np.zeros(len(rows), np.uint8),
        np.ones(len(rows), np.uint8),
    )


def histories(*people: Sequence[Entry]) -> Histories:
    """Return one history per person."""
    return stack([history(*entries) for entries in people])


def ask(
    *entries: Entry,
    scenario: Scenario = Scenario.HOME,
    count: int = 10,
    store_row: int | None = None,
    personal: bool = True,
    masks: tuple[Mask, ...] = (),
    context: Sequence[int] = (),
) -> Query:
    """Ask as of AS_OF for somebody with this history."""
    return Query(scenario, count, AS_OF, history(*entries), store_row, personal, masks, Context.of(context))


def batch(*queries: Query, allowed: Sequence[BoolVector | None] | None = None) -> Batch:
    """Lay queries side by side, every item allowed unless told otherwise."""
    return batch_of(queries, allowed or [None] * len(queries))


def mask_of(n_items: int, *rows: int) -> BoolVector:
    """Allow these rows only."""
    allowed = np.zeros(n_items, bool)
    allowed[list(rows)] = True
    return allowed


def answer(retriever: Retriever, query: Query, count: int = 100) -> dict[int, float]:
    """Return what a retriever finds for one query as score by row, best first."""
    row, score = retriever.retrieve(batch(query), count).of_query(0)
    return dict(zip(row.tolist(), score.tolist(), strict=True))


def lists_of(candidates: Candidates) -> list[list[int]]:
    """Return the rows found for each query."""
    return [candidates.of_query(i)[0].tolist() for i in range(len(candidates.indptr) - 1)]


def random_queries(rng: np.random.Generator, count: int, n_items: int, n_stores: int, longest: int = 25) -> list[Query]:
    """Draw queries with histories of all kinds and lengths, some empty, some impersonal, some without a store
    or about items.
    """
    kinds = (PURCHASE, PURCHASE, *BROWSING_KINDS)
    about = np.random.default_rng(count)
    queries = []
    for _ in range(count):
        size = int(rng.integers(0, longest))
        entries: list[Entry] = [
            (int(rng.integers(n_items)), float(rng.uniform(0.1, 120)), kinds[int(rng.integers(len(kinds)))])
            for _ in range(size)
        ]
        if size:  # so long ago that it weighs nothing any more
            entries.append((int(rng.integers(n_items)), 9000.0))
        store = int(rng.integers(n_stores + 1))
        context = about.permutation(n_items)[: max(0, int(about.integers(-3, 4)))].tolist()
        personal = bool(rng.random() < 0.9)
        queries.append(ask(*entries, store_row=store if store < n_stores else None, personal=personal, context=context))
    return queries


def through_disk(part: R, folder: Path) -> R:
    """Save a retriever's state as a bundle does and load it from memory maps."""
    state = part.state()
    arrays = {}
    for name, array in state.arrays.items():
        path = folder / f"{name}.npy"
        np.save(path, array, allow_pickle=False)
        arrays[name] = np.asarray(np.load(path, mmap_mode="r"))
    settings: dict[str, Json] = json.loads(json.dumps(dict(state.settings), sort_keys=True))
    return type(part).from_state(State(arrays, settings))
