"""Fit every retriever on what was known at one minute, and put them into a Recommender."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.sparse as sp

from recommender.history import Histories
from recommender.interactions import Pairs, Weights, matrix_of, summarize
from recommender.pipeline import Recommender
from recommender.query import Scenario
from recommender.ranking import Blend
from recommender.retrievers.base import Retriever
from recommender.retrievers.browsed import BrowsedRetriever
from recommender.retrievers.factors import FactorRetriever
from recommender.retrievers.frequency import FrequencyRetriever
from recommender.retrievers.neighbors import ItemNeighborRetriever
from training.dataset import Dataset, Snapshot, snapshot
from training.fit.arrivals import fit_arrivals
from training.fit.factors import fit_factors
from training.fit.linear import fit_linear
from training.fit.neighbors import fit_item_neighbors, fit_peers
from training.fit.popularity import fit_popularity, fit_store_popularity, fit_trending
from training.fit.repeat import fit_repeat
from training.fit.similar import fit_likeness
from training.fit.weights import weights_of
from training.settings import TrainingSettings

Progress = Callable[[str], None]

DEPTH = {
    "repeat": 300,
    "frequency": 300,
    "browsed": 200,
    "factors": 150,
    "item_neighbors": 150,
    "linear": 150,
    "peers": 150,
    "popularity": 100,
    "store_popularity": 100,
    "trending": 50,
    "arrivals": 50,
    "similar": 100,
    "substitutes": 100,
}
"""Candidates asked of each retriever."""

PERSONAL_START = {
    "repeat": 1.0,
    "browsed": 0.5,
    "factors": 0.3,
    "item_neighbors": 0.2,
    "linear": 0.2,
    "peers": 0.2,
    "store_popularity": 0.1,
    "popularity": 0.1,
    "arrivals": 0.02,
}
START_WEIGHTS: dict[Scenario, dict[str, float]] = {
    Scenario.HOME: PERSONAL_START,
    Scenario.BUY_AGAIN: PERSONAL_START,
    Scenario.DISCOVER: {**PERSONAL_START, "repeat": 0.0},
    Scenario.TRENDING: {"trending": 1.0, "store_popularity": 0.05, "popularity": 0.01},
    Scenario.SIMILAR: {"similar": 1.0, "popularity": 0.001},
    Scenario.BASKET: {"similar": 1.0, "store_popularity": 0.02, "popularity": 0.01},
    Scenario.SUBSTITUTES: {"substitutes": 1.0, "popularity": 0.001},
    Scenario.NEW: {"arrivals": 1.0, "popularity": 0.001},
    Scenario.SESSION: {"similar": 1.0, "item_neighbors": 0.5, "store_popularity": 0.02, "popularity": 0.01},
}
"""Blend weights before tuning; only those of some scenarios are tuned, see `training.fit.blend`."""


def fit_recommender(
    dataset: Dataset,
    minute: int,
    settings: TrainingSettings,
    progress: Progress = lambda name: None,
    warm: Recommender | None = None,
) -> Recommender:
    """Fit all retrievers; the blend has its start weights.

    Args:
        dataset: the history; entries at or after `minute` are not used.
        minute: the present of the fit, minutes since 1970-01-01 UTC.
        settings: what to fit.
        progress: told the name of each retriever when it is fitted.
        warm: a recommender fitted on an earlier part of the same dataset, from which factors continue.
    """
    data = snapshot(dataset, minute)
    recall = weights_of(
        settings.weights.purchase_half_life_days, settings.weights.browse_half_life_days, data.n_channels
    )
    taste = weights_of(settings.weights.taste_half_life_days, settings.weights.browse_half_life_days, data.n_channels)
    retrievers: list[Retriever] = []

    def add(part: Retriever | None, name: str) -> None:
        if part is not None:
            retrievers.append(part)
        progress(name)

    add(fit_repeat(data, recall, settings.repeat.horizon_days, settings.repeat.prior_gaps), "repeat")
    add(FrequencyRetriever(recall), "frequency")
    add(BrowsedRetriever(recall), "browsed")
    for part, name in _fit_tastes(data, taste, settings, warm):
        add(part, name)
    near = next(part.similarity for part in retrievers if isinstance(part, ItemNeighborRetriever))
    for part in (*_fit_popularity(data, settings), *_fit_likeness(data, taste, settings, near)):
        add(part, part.name)
    add(
        fit_arrivals(
            data,
            taste,
            settings.weights.browse_weight,
            window_days=settings.popularity.arrival_days,
            most=settings.popularity.arrivals,
        ),
        "arrivals",
    )
    return Recommender(
        items=dataset.items,
        stores=dataset.stores,
        channels=dataset.channels,
        retrievers=tuple(retrievers),
        ranker=Blend(START_WEIGHTS),
        depth=DEPTH,
        day_offset_minutes=dataset.day_offset_minutes,
    )


def _fit_tastes(
    data: Snapshot, weights: Weights, settings: TrainingSettings, warm: Recommender | None
) -> list[tuple[Retriever | None, str]]:
    """Fit what learns from everybody's interactions: factors, item neighbours, linear, peers."""
    pairs = _pairs(data.histories, data.as_of, weights)
    browse_weight = settings.weights.browse_weight
    matrix = _without_empty_rows(matrix_of(pairs, data.n_items, browse_weight))
    earlier = None if warm is None else next((p for p in warm.retrievers if isinstance(p, FactorRetriever)), None)
    option, near = settings.factors, settings.neighbors
    factors = fit_factors(
        matrix,
        weights,
        browse_weight,
        factors=option.factors,
        iterations=option.iterations if earlier is None else option.warm_iterations,
        alpha=option.alpha,
        regularization=option.regularization,
        min_members=option.min_members,
        seed=settings.seed,
        threads=settings.thread_count,
        warm=earlier,
    )
    neighbors = fit_item_neighbors(
        matrix,
        weights,
        browse_weight,
        neighbors=near.neighbors,
        shrinkage=near.shrinkage,
        history_items=near.history_items,
        threads=settings.thread_count,
    )
    peers = fit_peers(
        matrix,
        weights,
        browse_weight,
        history_items=near.history_items,
        dimensions=near.dimensions,
        pool_size=near.pool_size,
        n_peers=near.n_peers,
        sharpness=near.sharpness,
        seed=settings.seed,
    )
    linear = fit_linear(
        matrix,
        weights,
        browse_weight,
        items=settings.linear.items,
        kept=settings.linear.kept,
        regularization=settings.linear.regularization,
        history_items=near.history_items,
        threads=settings.thread_count,
    )
    return [(factors, "factors"), (neighbors, "item_neighbors"), (linear, "linear"), (peers, "peers")]


def _fit_popularity(data: Snapshot, settings: TrainingSettings) -> list[Retriever]:
    option = settings.popularity
    return [
        fit_popularity(data, option.half_life_days),
        fit_store_popularity(data, option.half_life_days, option.store_prior, option.store_depth),
        fit_trending(data, option.trending_days, option.trending_prior),
    ]


def _fit_likeness(
    data: Snapshot, weights: Weights, settings: TrainingSettings, near: sp.csr_matrix
) -> tuple[Retriever, Retriever]:
    return fit_likeness(
        data,
        _pairs(data.histories, data.as_of, weights),
        near,
        half_life_days=settings.popularity.half_life_days,
        behaviour=settings.similar.behaviour,
        listed=settings.similar.listed,
        history_items=settings.neighbors.history_items,
        threads=settings.thread_count,
    )


def _pairs(histories: Histories, minute: int, weights: Weights) -> Pairs:
    return summarize(histories, np.full(len(histories), minute, np.int32), weights)


def _without_empty_rows(matrix: sp.csr_matrix) -> sp.csr_matrix:
    return matrix[np.flatnonzero(np.diff(matrix.indptr))]
