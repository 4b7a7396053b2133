"""Fit every retriever on what was known at one minute, and put them into a Recommender."""

from __future__ import annotations

from collections.abc import Callable

from recommender.pipeline import Recommender
from recommender.query import Scenario
from recommender.ranking import Blend
from recommender.retrievers.base import Retriever
from recommender.retrievers.factors import FactorRetriever
from training.dataset import Dataset, snapshot
from training.fit.parts import FITS, Material
from training.settings import TrainingSettings

Progress = Callable[[str], None]

DEPTH = {
    "repeat": 150,
    "frequency": 150,
    "browsed": 100,
    "factors": 50,
    "item_neighbors": 50,
    "linear": 50,
    "together": 50,
    "converted": 50,
    "peers": 50,
    "sections": 50,
    "popularity": 50,
    "store_popularity": 50,
    "trending": 50,
    "occasion": 30,
    "arrivals": 30,
    "similar": 100,
    "substitutes": 100,
}
"""Candidates asked of each retriever."""
CONTEXTUAL = frozenset({"similar", "substitutes"})
"""Retrievers that only answer requests about an item or a basket."""

PERSONAL_START = {
    "repeat": 1.0,
    "browsed": 0.5,
    "factors": 0.3,
    "item_neighbors": 0.2,
    "linear": 0.2,
    "together": 0.1,
    "converted": 0.1,
    "peers": 0.2,
    "sections": 0.1,
    "store_popularity": 0.1,
    "popularity": 0.1,
    "arrivals": 0.02,
}
START_WEIGHTS: dict[Scenario, dict[str, float]] = {
    Scenario.HOME: PERSONAL_START,
    Scenario.BUY_AGAIN: PERSONAL_START,
    Scenario.DISCOVER: {**PERSONAL_START, "repeat": 0.0},
    Scenario.TRENDING: {"trending": 1.0, "occasion": 0.2, "store_popularity": 0.05, "popularity": 0.01},
    Scenario.SIMILAR: {"similar": 1.0, "popularity": 0.001},
    Scenario.BASKET: {"together": 1.0, "similar": 0.3, "store_popularity": 0.02, "popularity": 0.01},
    Scenario.SUBSTITUTES: {"substitutes": 1.0, "popularity": 0.001},
    Scenario.NEW: {"arrivals": 1.0, "popularity": 0.001},
    Scenario.SESSION: {
        "similar": 1.0,
        "item_neighbors": 0.5,
        "converted": 0.2,
        "store_popularity": 0.02,
        "popularity": 0.01,
    },
}
"""Blend weights before tuning; only those of some scenarios are tuned, see `training.fit.blend`."""


def fit_recommender(
    dataset: Dataset,
    minute: int,
    settings: TrainingSettings,
    progress: Progress = lambda name: None,
    warm: Recommender | None = None,
    personal: bool = False,
) -> Recommender:
    """Fit all retrievers that are not switched off; the blend has its start weights.

    Args:
        dataset: the history; entries at or after `minute` are not used.
        minute: the present of the fit, minutes since 1970-01-01 UTC.
        settings: what to fit.
        progress: told the name of each retriever when it is fitted.
        warm: a recommender fitted on an earlier part of the same dataset, from which factors continue.
        personal: leave out what only answers requests about an item or a basket.
    """
    earlier = None if warm is None else next((p for p in warm.retrievers if isinstance(p, FactorRetriever)), None)
    material = Material(snapshot(dataset, minute), dataset.day_offset_minutes, settings, earlier)
    retrievers: list[Retriever] = []
    for name, fit in FITS.items():
        left_out = name in settings.retrievers.off or (personal and name in CONTEXTUAL)
        part = None if left_out else fit(material)
        if part is not None:
            retrievers.append(part)
        progress(name)
    return Recommender(
        items=dataset.items,
        stores=dataset.stores,
        channels=dataset.channels,
        retrievers=tuple(retrievers),
        ranker=Blend(START_WEIGHTS),
        depth={part.name: DEPTH[part.name] for part in retrievers},
        day_offset_minutes=dataset.day_offset_minutes,
    )
