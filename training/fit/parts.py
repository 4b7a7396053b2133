"""How each retriever is fitted: one function per name, from the material that they share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property, partial

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recommender.history import Histories
from recommender.interactions import Pairs, Weights, matrix_of, summarize
from recommender.retrievers.base import Retriever
from recommender.retrievers.browsed import BrowsedRetriever
from recommender.retrievers.converted import ConvertedRetriever
from recommender.retrievers.factors import FactorRetriever
from recommender.retrievers.frequency import FrequencyRetriever
from recommender.retrievers.linear import LinearRetriever
from recommender.retrievers.neighbors import ItemNeighborRetriever
from recommender.retrievers.peers import PeerRetriever
from recommender.retrievers.similar import SimilarRetriever
from recommender.retrievers.substitutes import SubstituteRetriever
from recommender.retrievers.together import TogetherRetriever
from training.dataset import Snapshot
from training.fit.arrivals import fit_arrivals
from training.fit.converted import fit_converted
from training.fit.factors import fit_factors
from training.fit.linear import fit_linear
from training.fit.neighbors import fit_item_neighbors
from training.fit.occasion import fit_occasion
from training.fit.peers import fit_peers
from training.fit.popularity import fit_popularity, fit_trending
from training.fit.repeat import fit_repeat
from training.fit.sections import fit_sections
from training.fit.similar import fit_likeness
from training.fit.store_popularity import fit_store_popularity
from training.fit.together import fit_together
from training.fit.weights import learn_weights, weights_of
from training.settings import TrainingSettings


class Material:
    """What was known at one minute, and what several fits make of it; made when first asked for.

    data: the history.  day_offset_minutes: what makes local days begin at multiples of a day.
    settings: what to fit.  warm: factors of an earlier fit, from which new ones continue.
    """

    def __init__(
        self, data: Snapshot, day_offset_minutes: int, settings: TrainingSettings, warm: FactorRetriever | None
    ) -> None:
        self.data, self.day_offset_minutes, self.settings, self.warm = data, day_offset_minutes, settings, warm

    @cached_property
    def recall(self) -> Weights:
        """Weights of a member's own past."""
        return self.weights(self.settings.weights.purchase_half_life_days)

    @cached_property
    def taste(self) -> Weights:
        """Weights of what is learned from all members."""
        return self.weights(self.settings.weights.taste_half_life_days)

    def weights(self, purchase_half_life_days: float) -> Weights:
        """Return weights whose purchases have a given half-life."""
        return replace(self.learned, purchase_half_life_days=purchase_half_life_days)

    @cached_property
    def learned(self) -> Weights:
        """Weights of a member's own past, by kind and channel as the history teaches."""
        option = self.settings.weights
        default = weights_of(option.purchase_half_life_days, option.browse_half_life_days, self.data.n_channels)
        return learn_weights(self.data, default, self.settings.repeat.horizon_days) if option.learned else default

    @property
    def browse_weight(self) -> float:
        """Weight of browsing beside purchases."""
        return self.settings.weights.browse_weight

    @cached_property
    def pairs(self) -> Pairs:
        """Every learned person's pairs by taste."""
        return _pairs(self.data.histories, self.data.as_of, self.taste)

    @cached_property
    def matrix(self) -> sp.csr_matrix:
        """The pairs as a matrix, float32 CSR, (n_people with any, n_items)."""
        return self._everyone[self._people]

    @cached_property
    def votes(self) -> sp.csr_matrix:
        """What the people of `matrix` have had lately, likewise laid out."""
        late = self.weights(self.settings.neighbors.vote_half_life_days)
        pairs = _pairs(self.data.histories, self.data.as_of, late)
        return matrix_of(pairs, self.data.n_items, self.browse_weight)[self._people]

    @cached_property
    def _everyone(self) -> sp.csr_matrix:
        return matrix_of(self.pairs, self.data.n_items, self.browse_weight)

    @cached_property
    def _people(self) -> npt.NDArray[np.int64]:
        """Rows of the people with anything to learn from, rising."""
        return np.flatnonzero(np.diff(self._everyone.indptr))

    @cached_property
    def neighbors(self) -> ItemNeighborRetriever:
        """The item neighbours, which likeness needs even where they are switched off."""
        option = self.settings.neighbors
        return fit_item_neighbors(
            self.matrix,
            self.taste,
            self.browse_weight,
            neighbors=option.neighbors,
            shrinkage=option.shrinkage,
            history_items=option.history_items,
            threads=self.settings.thread_count,
        )

    @cached_property
    def likeness(self) -> tuple[SimilarRetriever, SubstituteRetriever]:
        """What is like an item, and what can stand in for it."""
        return fit_likeness(
            self.data,
            self.pairs,
            self.neighbors.similarity,
            half_life_days=self.settings.popularity.half_life_days,
            behaviour=self.settings.similar.behaviour,
            listed=self.settings.similar.listed,
            history_items=self.settings.neighbors.history_items,
            threads=self.settings.thread_count,
        )


def _pairs(histories: Histories, minute: int, weights: Weights) -> Pairs:
    return summarize(histories, np.full(len(histories), minute, np.int32), weights)


def _factors(given: Material) -> FactorRetriever | None:
    option = given.settings.factors
    return fit_factors(
        given.matrix,
        given.taste,
        given.browse_weight,
        factors=option.factors,
        iterations=option.iterations if given.warm is None else option.warm_iterations,
        alpha=option.alpha,
        regularization=option.regularization,
        min_members=option.min_members,
        seed=given.settings.seed,
        threads=given.settings.thread_count,
        warm=given.warm,
    )


def _peers(given: Material) -> PeerRetriever:
    option = given.settings.neighbors
    return fit_peers(
        given.matrix,
        given.votes,
        given.taste,
        given.browse_weight,
        history_items=option.history_items,
        pool_size=option.pool_size,
        peer_share=option.peer_share,
        sharpness=option.sharpness,
    )


def _linear(given: Material) -> LinearRetriever:
    option = given.settings.linear
    return fit_linear(
        given.matrix,
        given.taste,
        given.browse_weight,
        items=option.items,
        kept=option.kept,
        regularization=option.regularization,
        history_items=given.settings.neighbors.history_items,
        threads=given.settings.thread_count,
    )


def _together(given: Material) -> TogetherRetriever:
    option = given.settings.together
    return fit_together(
        given.data,
        given.weights(option.recent_half_life_days),
        given.day_offset_minutes,
        half_life_days=option.half_life_days,
        items=option.items,
        kept=option.kept,
        prior=option.prior,
        largest_order=option.largest_order,
        history_items=given.settings.neighbors.history_items,
    )


def _converted(given: Material) -> ConvertedRetriever | None:
    option = given.settings.converted
    return fit_converted(
        given.data,
        given.taste,
        days=option.days,
        items=option.items,
        kept=option.kept,
        prior=option.prior,
        history_items=given.settings.neighbors.history_items,
    )


def _popularity(given: Material, name: str) -> Retriever:
    data, option = given.data, given.settings.popularity
    if name == "store_popularity":
        return fit_store_popularity(data, option.half_life_days, option.store_prior, option.store_depth)
    if name == "trending":
        return fit_trending(data, option.trending_days, option.trending_prior)
    if name == "occasion":
        return fit_occasion(data, given.day_offset_minutes, prior=option.trending_prior, depth=option.occasion_depth)
    return fit_popularity(data, option.half_life_days)


def _sections(given: Material) -> Retriever | None:
    return fit_sections(
        given.data,
        given.taste,
        given.browse_weight,
        half_life_days=given.settings.popularity.half_life_days,
        history_sections=given.settings.neighbors.history_items,
    )


def _arrivals(given: Material) -> Retriever:
    option = given.settings.popularity
    return fit_arrivals(
        given.data, given.taste, given.browse_weight, window_days=option.arrival_days, most=option.arrivals
    )


FITS: Mapping[str, Callable[[Material], Retriever | None]] = {
    "repeat": lambda given: fit_repeat(
        given.data, given.recall, given.settings.repeat.horizon_days, given.settings.repeat.prior_gaps
    ),
    "frequency": lambda given: FrequencyRetriever(given.recall),
    "browsed": lambda given: BrowsedRetriever(given.recall),
    "factors": _factors,
    "item_neighbors": lambda given: given.neighbors,
    "linear": _linear,
    "together": _together,
    "converted": _converted,
    "peers": _peers,
    "sections": _sections,
    "popularity": partial(_popularity, name="popularity"),
    "store_popularity": partial(_popularity, name="store_popularity"),
    "trending": partial(_popularity, name="trending"),
    "occasion": partial(_popularity, name="occasion"),
    "similar": lambda given: given.likeness[0],
    "substitutes": lambda given: given.likeness[1],
    "arrivals": _arrivals,
}
"""Every retriever's fit by its name; None where the history has nothing for it."""
