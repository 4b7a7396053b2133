"""A recommender made by hand for tests of the pipeline: every retriever that needs no fit, over few items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import scipy.sparse as sp

from recommender.ids import IdIndex
from recommender.pipeline import Recommender
from recommender.query import Scenario
from recommender.ranking import Blend
from recommender.retrievers.arrivals import ArrivalRetriever
from recommender.retrievers.base import Retriever
from recommender.retrievers.browsed import BrowsedRetriever
from recommender.retrievers.neighbors import ItemNeighborRetriever
from recommender.retrievers.popularity import (
    PopularityRetriever,
    RankedLists,
    StorePopularityRetriever,
    TrendingRetriever,
)
from recommender.retrievers.repeat import RepeatRetriever
from tests.learning import plain_weights

WEIGHTS = plain_weights(purchase_half_life=10, browse_half_life=5)
HOME_WEIGHTS = {"repeat": 1.0, "browsed": 0.5, "item_neighbors": 0.25, "popularity": 0.125}
NO_LIST: Mapping[int, float] = {}


def ranked_lists(*parts: Mapping[int, float]) -> RankedLists:
    """Lay lists of score by row side by side, each best first."""
    ordered = [sorted(part.items(), key=lambda entry: (-entry[1], entry[0])) for part in parts]
    return RankedLists(
        np.cumsum([0, *(len(part) for part in ordered)]).astype(np.int64),
        np.array([row for part in ordered for row, _ in part], np.int32),
        np.array([score for part in ordered for _, score in part], np.float32),
    )


def repeat_retriever(n_items: int) -> RepeatRetriever:
    """Frequency alone: being due changes nothing."""
    return RepeatRetriever(
        WEIGHTS,
        np.arange(n_items, dtype=np.int32),
        np.full(n_items, 7, np.float32),
        np.array([1.0], np.float32),
        np.array([1.0, 1.0], np.float32),
        2.0,
    )


def toy_recommender(
    popular: Sequence[float],
    *,
    weights: Mapping[Scenario, Mapping[str, float]] | None = None,
    near: Mapping[tuple[int, int], float] | None = None,
    stores: Sequence[Mapping[int, float]] = (),
    trending: Mapping[int, float] = NO_LIST,
    new: Mapping[int, float] = NO_LIST,
    depth: int = 100,
) -> Recommender:
    """Make a recommender over items "i00", "i01", ... with these popularity scores.

    Args:
        popular: by item row.
        weights: of the blend; by default HOME_WEIGHTS everywhere.
        near: similarity of item neighbours by (row, row), in both directions.
        stores, trending, new: score by row, per store "s0", "s1", ... ; of trends; of arrivals.
        depth: candidates asked of each retriever.
    """
    n_items = len(popular)
    similarity = np.zeros((n_items, n_items), np.float32)
    for (left, right), value in (near or {}).items():
        similarity[left, right] = similarity[right, left] = value
    none = np.zeros(n_items, np.int32)
    rows = np.array(sorted(new), np.int32)
    retrievers: tuple[Retriever, ...] = (
        repeat_retriever(n_items),
        BrowsedRetriever(WEIGHTS),
        ItemNeighborRetriever(WEIGHTS, 0.5, 100, sp.csr_matrix(similarity)),
        PopularityRetriever(ranked_lists(dict(enumerate(popular)))),
        StorePopularityRetriever(ranked_lists(*stores)),
        TrendingRetriever(ranked_lists(trending)),
        ArrivalRetriever(
            WEIGHTS, 0.5, none, none, none, rows, np.array([new[int(row)] for row in rows], np.float32), rows * 1440
        ),
    )
    return Recommender(
        items=IdIndex.of(f"i{row:02d}" for row in range(n_items)),
        stores=IdIndex.of(f"s{number}" for number in range(len(stores))),
        channels=("app", "pos"),
        retrievers=retrievers,
        ranker=Blend(weights or dict.fromkeys(Scenario, HOME_WEIGHTS)),
        depth={part.name: depth for part in retrievers},
        day_offset_minutes=0,
    )
