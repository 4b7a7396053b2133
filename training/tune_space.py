"""What tuning may change: for each retriever, settings, their ranges, and the purchases that judge it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from recommender.retrievers.popularity import PopularityRetriever
from training.fit.recommender import DEPTH
from training.settings import TrainingSettings
from training.windows import Subset

if TYPE_CHECKING:
    import optuna

DIGITS = 3
"""Digits that a tuned value keeps: more would be read as a precision that is not there."""


@dataclass(frozen=True, slots=True)
class Range:
    """Values that a setting may take, both ends included; `whole` for whole numbers, `log` for factors."""

    low: float
    high: float
    log: bool = True
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """A retriever whose settings are tuned by what it finds alone."""

    name: str
    subset: Subset
    ranges: Mapping[str, Range]


SHARED = (
    Part(
        "repeat",
        Subset.ALL,
        {
            "weights.purchase_half_life_days": Range(15, 400),
            "repeat.horizon_days": Range(5, 90),
            "repeat.prior_gaps": Range(0.5, 20),
        },
    ),
    Part(
        "linear",
        Subset.NOVEL,
        {
            "weights.taste_half_life_days": Range(10, 365),
            "weights.browse_weight": Range(0.02, 1.0),
            "linear.regularization": Range(0.3, 100),
        },
    ),
    Part("browsed", Subset.NOVEL, {"weights.browse_half_life_days": Range(2, 90)}),
    Part("popularity", Subset.NOVEL, {"popularity.half_life_days": Range(2, 120)}),
)
"""Tuned first: other retrievers use these half-lives too."""

OWN = (
    Part(
        "factors",
        Subset.NOVEL,
        {
            "factors.factors": Range(16, 128, whole=True),
            "factors.alpha": Range(0.5, 30),
            "factors.regularization": Range(0.1, 3),
        },
    ),
    Part(
        "item_neighbors",
        Subset.NOVEL,
        {
            "neighbors.shrinkage": Range(0.0, 1.0, log=False),
            "neighbors.neighbors": Range(30, 300, whole=True),
        },
    ),
    Part(
        "peers",
        Subset.NOVEL,
        {
            "neighbors.peer_share": Range(0.01, 0.5),
            "neighbors.sharpness": Range(0.5, 10),
            "neighbors.vote_half_life_days": Range(0.7, 60),
        },
    ),
    Part(
        "together",
        Subset.NOVEL,
        {
            "together.half_life_days": Range(30, 730),
            "together.recent_half_life_days": Range(2, 90),
            "together.prior": Range(1, 200),
        },
    ),
    Part("converted", Subset.NOVEL, {"converted.days": Range(14, 365), "converted.prior": Range(2, 500)}),
    Part("store_popularity", Subset.NOVEL, {"popularity.store_prior": Range(20, 50_000)}),
    Part(
        "trending",
        Subset.NOVEL,
        {"popularity.trending_days": Range(2, 60), "popularity.trending_prior": Range(1, 200)},
    ),
)
"""Tuned with the shared settings found."""

PHASES = (SHARED, OWN)


def suggested(part: Part, trial: optuna.Trial, settings: TrainingSettings) -> TrainingSettings:
    """Return the settings with the values that a trial suggests for a part."""
    values: dict[str, float] = {}
    for name, span in part.ranges.items():
        if span.whole:
            values[name] = trial.suggest_int(name, int(span.low), int(span.high), log=span.log)
        else:
            values[name] = trial.suggest_float(name, span.low, span.high, log=span.log)
    return changed(settings, values)


def values_of(part: Part, settings: TrainingSettings) -> dict[str, float]:
    """Return what the settings say now of a part, brought into its ranges."""
    found = {}
    for name, span in part.ranges.items():
        table, _, field = name.partition(".")
        found[name] = min(max(getattr(getattr(settings, table), field), span.low), span.high)
    return found


def changed(settings: TrainingSettings, values: Mapping[str, float]) -> TrainingSettings:
    """Return the settings with other values, by "table.name"; numbers keep DIGITS digits, whole ones all."""
    for name, value in values.items():
        table, _, field = name.partition(".")
        kept: Any = value if isinstance(value, int) else float(f"{value:.{DIGITS}g}")
        part = replace(getattr(settings, table), **{field: kept})
        settings = replace(settings, **{table: part})
    return settings


def alone(part: Part, settings: TrainingSettings) -> TrainingSettings:
    """Return the settings with every other retriever switched off."""
    others = tuple(sorted(set(DEPTH) - {part.name, PopularityRetriever.name}))
    return replace(settings, retrievers=replace(settings.retrievers, off=others))
