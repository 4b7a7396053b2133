"""Retrievers: each finds candidates for a batch of queries; one file per retriever. RETRIEVERS names them all."""

from __future__ import annotations

from recommender.retrievers.arrivals import ArrivalRetriever
from recommender.retrievers.base import Retriever
from recommender.retrievers.browsed import BrowsedRetriever
from recommender.retrievers.converted import ConvertedRetriever
from recommender.retrievers.factors import FactorRetriever
from recommender.retrievers.frequency import FrequencyRetriever
from recommender.retrievers.linear import LinearRetriever
from recommender.retrievers.neighbors import ItemNeighborRetriever
from recommender.retrievers.occasion import OccasionRetriever
from recommender.retrievers.peers import PeerRetriever
from recommender.retrievers.popularity import (
    PopularityRetriever,
    StorePopularityRetriever,
    TrendingRetriever,
)
from recommender.retrievers.repeat import RepeatRetriever
from recommender.retrievers.sections import SectionRetriever
from recommender.retrievers.similar import SimilarRetriever
from recommender.retrievers.substitutes import SubstituteRetriever
from recommender.retrievers.together import TogetherRetriever

_ALL: tuple[type[Retriever], ...] = (
    RepeatRetriever,
    FrequencyRetriever,
    BrowsedRetriever,
    FactorRetriever,
    ItemNeighborRetriever,
    LinearRetriever,
    TogetherRetriever,
    ConvertedRetriever,
    PeerRetriever,
    SectionRetriever,
    PopularityRetriever,
    StorePopularityRetriever,
    TrendingRetriever,
    OccasionRetriever,
    ArrivalRetriever,
    SimilarRetriever,
    SubstituteRetriever,
)
RETRIEVERS: dict[str, type[Retriever]] = {kind.name: kind for kind in _ALL}
"""Every retriever by the name under which bundles keep it."""
