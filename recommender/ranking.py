"""Rankers: scores of several retrievers into one order.

Blend is a weighted sum. LearnedRanker adds boosted trees to it, for the scenarios that they improve.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from recommender.candidates import Pool, head, relative_scores
from recommender.errors import BundleError
from recommender.features import FeatureSource
from recommender.query import Batch, Scenario
from recommender.retrievers.base import Json, State, as_number, as_table

if TYPE_CHECKING:
    from lightgbm import Booster

Array = npt.NDArray[np.generic]
BoolVector = npt.NDArray[np.bool_]
FloatVector = npt.NDArray[np.float32]
FloatMatrix = npt.NDArray[np.float32]

BLEND_FEATURE = "blend"
"""The trees' first feature: the blend's score. The others are those of FeatureSource."""
SURE_ODDS = 8.0
"""Log-odds from which scores near 1 more slowly: soon they would be 1 in float32, and the best candidates tied."""
LOOKED_AT = 120
"""How many of a query's candidates, the first by the blend, trees look at; the others stay below, in its order."""
_FEATURES = "ranker."
"""What begins the names of the arrays that a learned ranker keeps in a bundle."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """The worth of every candidate of a pool.

    score: float32, (n,), finite; higher is better.
    source: int64, (n,), column of the retriever that did most for the candidate.
    """

    score: FloatVector
    source: npt.NDArray[np.int64]


class Ranker(Protocol):
    """Gives every candidate one score; pure, and independent of the other queries of a batch."""

    def rank(self, pool: Pool, batch: Batch, scenarios: Sequence[Scenario]) -> Ranked:
        """Score a pool; `scenarios` names the placement of each query."""
        ...

    def heeded(self, scenario: Scenario) -> frozenset[str]:
        """Return the names of the retrievers whose scores count in a placement; the others need not be asked."""
        ...

    def importance(self) -> dict[Scenario, dict[str, float]]:
        """Return what the features of each learned scenario gain in growing its trees, as shares of 1."""
        ...

    def parts(self) -> tuple[dict[str, Array], dict[str, Json], dict[str, str]]:
        """Return arrays by name, a JSON description, and texts by file name, from which ranker_from() makes it."""
        ...


@dataclass(frozen=True, slots=True)
class Blend:
    """Weighted sum of retriever scores, each relative to the retriever's best candidate of the query.

    weights: per scenario, the weight of each retriever by name; a retriever that is not named weighs 0.
    """

    weights: Mapping[Scenario, Mapping[str, float]]

    def of(self, scenario: Scenario) -> Mapping[str, float]:
        """Return the weights of a placement; those of `home` for one that is newer than the blend."""
        return self.weights[scenario if scenario in self.weights else Scenario.HOME]

    def rank(self, pool: Pool, batch: Batch, scenarios: Sequence[Scenario]) -> Ranked:
        """Score a pool; `scenarios` names the placement of each query."""
        table = np.array(
            [[self.of(scenario).get(name, 0.0) for name in pool.retrievers] for scenario in scenarios],
            np.float32,
        )
        weights = table[pool.query]
        parts = relative_scores(pool) * weights
        # The source is a retriever that found the candidate, and before all others one that counts.
        credit = np.where(weights > 0, parts, np.float32(-1))
        credit[np.isnan(pool.scores)] = -2
        return Ranked(summed(parts), credit.argmax(axis=1))

    def heeded(self, scenario: Scenario) -> frozenset[str]:
        """Return the names of the retrievers that weigh more than nothing."""
        return frozenset(name for name, weight in self.of(scenario).items() if weight > 0)

    def importance(self) -> dict[Scenario, dict[str, float]]:
        """Return nothing: the weights say it all."""
        return {}

    def parts(self) -> tuple[dict[str, Array], dict[str, Json], dict[str, str]]:
        """Return the weights as JSON."""
        weights: dict[str, Json] = {str(name): dict(part) for name, part in self.weights.items()}
        return {}, {"kind": "blend", "weights": weights}, {}


@dataclass(frozen=True, slots=True)
class Trees:
    """Boosted trees that correct the blend in one scenario.

    slope: what one unit of the blend is worth beside the trees.
    text: LightGBM's text format.
    """

    slope: float
    text: str
    _booster: list[Booster] = field(default_factory=list, init=False, repr=False, compare=False)

    @property
    def booster(self) -> Booster:
        """The trees, read at the first call: LightGBM is loaded in the process that ranks."""
        if not self._booster:
            from lightgbm import Booster

            # OpenMP's threads would not survive a later fork of this process.
            with threadpool_limits(1, "openmp"):
                self._booster.append(Booster(model_str=self.text))
        return self._booster[0]

    def score(self, blend: FloatVector, features: FloatMatrix) -> FloatVector:
        """Return a score in (0, 1) that rises with slope * blend + trees.

        Args:
            blend: float32, (n,), its scores in the scenario.
            features: float32, (n, n_features), the blend first.
        """
        raw = self.booster.predict(features, raw_score=True, num_threads=1)
        total = np.float32(self.slope) * blend + np.asarray(raw, np.float32)
        score = 1 / (1 + np.exp(-np.clip(total, -SURE_ODDS * 10, SURE_ODDS)))
        return np.asarray(score + (1 - score) * (1 - SURE_ODDS / np.maximum(total, SURE_ODDS)), np.float32)


@dataclass(frozen=True, slots=True)
class LearnedRanker:
    """Boosted trees on top of a blend, for the scenarios that they improve; the blend orders the others.

    trees: by scenario.
    """

    blend: Blend
    source: FeatureSource
    trees: Mapping[Scenario, Trees]

    def rank(self, pool: Pool, batch: Batch, scenarios: Sequence[Scenario]) -> Ranked:
        """Score a pool; `scenarios` names the placement of each query."""
        ranked = self.blend.rank(pool, batch, scenarios)
        learned = sorted(set(scenarios) & set(self.trees))
        if not learned or len(pool.row) == 0:
            return ranked
        looked = first_of(pool, ranked.score, LOOKED_AT)
        features = np.column_stack((ranked.score[looked], self.source.build(pool, batch, looked)))
        score = ranked.score.copy()
        for name in learned:
            asked = np.array([scenario is name for scenario in scenarios])[pool.query]
            own = features[asked[looked]]
            score[asked & looked] = self.trees[name].score(own[:, 0], own)
            _put_below(score, pool, asked & looked, asked & ~looked)
        return Ranked(score, ranked.source)

    def contributions(self, pool: Pool, batch: Batch, scenario: Scenario) -> tuple[tuple[str, ...], FloatMatrix] | None:
        """Return what each feature adds to the score of each candidate, as LightGBM computes it (TreeSHAP).

        Args:
            pool: candidates.
            batch: the queries behind them, all of one scenario.
            scenario: the placement.
        Returns: names of the features and float32, (n, n_features), in the trees' unit, what slope * blend adds
            under BLEND_FEATURE; None where only the blend counts.
        """
        if scenario not in self.trees:
            return None
        trees = self.trees[scenario]
        blend = self.blend.rank(pool, batch, [scenario] * len(batch)).score
        features = np.column_stack((blend, self.source.build(pool, batch)))
        found = np.asarray(trees.booster.predict(features, pred_contrib=True, num_threads=1), np.float32)[:, :-1]
        found[:, 0] += np.float32(trees.slope) * blend
        return (BLEND_FEATURE, *self.source.names), found

    def heeded(self, scenario: Scenario) -> frozenset[str]:
        """Return all retrievers whose ranks the trees see; elsewhere those that weigh more than nothing."""
        heeded = self.blend.heeded(scenario)
        return heeded | frozenset(self.source.retrievers) if scenario in self.trees else heeded

    def importance(self) -> dict[Scenario, dict[str, float]]:
        """Return what the features of each learned scenario gained in growing its trees, as shares of 1."""
        names = (BLEND_FEATURE, *self.source.names)
        found = {}
        for scenario, trees in self.trees.items():
            gain = trees.booster.feature_importance("gain")
            found[scenario] = dict(zip(names, (gain / max(gain.sum(), 1e-9)).tolist(), strict=True))
        return found

    def parts(self) -> tuple[dict[str, Array], dict[str, Json], dict[str, str]]:
        """Return the feature source's arrays, the settings, and the trees as texts."""
        state = self.source.state()
        described: dict[str, Json] = {}
        texts = {}
        for scenario, trees in self.trees.items():
            described[str(scenario)] = {"slope": trees.slope}
            texts[_tree_file(scenario)] = trees.text
        return (
            {f"{_FEATURES}{name}": array for name, array in state.arrays.items()},
            {
                "kind": "learned",
                "blend": self.blend.parts()[1],
                "features": dict(state.settings),
                "trees": described,
            },
            texts,
        )


def ranker_from(description: Mapping[str, Json], arrays: Mapping[str, Array], texts: Mapping[str, str]) -> Ranker:
    """Make the ranker whose parts() these are.

    Raises: BundleError if this version does not know its kind or its features.
    """
    if description["kind"] == "blend":
        return _blend_from(as_table(description["weights"]))
    if description["kind"] != "learned":
        raise BundleError("The bundle has an unknown ranker.", value=description["kind"], accepted="blend, learned")
    own = {name.removeprefix(_FEATURES): array for name, array in arrays.items() if name.startswith(_FEATURES)}
    source = FeatureSource.from_state(State(own, as_table(description["features"])))
    trees = {}
    for name, value in as_table(description["trees"]).items():
        trees[Scenario(name)] = Trees(as_number(as_table(value)["slope"]), texts[_tree_file(Scenario(name))])
    return LearnedRanker(_blend_from(as_table(as_table(description["blend"])["weights"])), source, trees)


def summed(parts: FloatMatrix) -> FloatVector:
    """Return the sum of each row, float32, (n,), column by column.

    So retrievers that were asked for other queries of a batch, and add nothing here, change no digit.
    """
    total = np.zeros(len(parts), np.float32)
    for column in parts.T:
        total += column
    return total


def first_of(pool: Pool, score: FloatVector, count: int) -> BoolVector:
    """Tell which candidates are among the `count` highest scores of their query, ties by rising row.

    Returns: bool, (len(pool.row),).
    """
    chosen = np.ones(len(pool.row), bool)
    for start, stop in zip(pool.indptr[:-1].tolist(), pool.indptr[1:].tolist(), strict=True):
        if stop - start > count:
            chosen[start:stop] = False
            chosen[start + head(score[start:stop], pool.row[start:stop], count)] = True
    return chosen


def _put_below(score: FloatVector, pool: Pool, above: BoolVector, below: BoolVector) -> None:
    """Bring some scores under the lowest of others of the same query, in their own order; in place."""
    if not below.any():
        return
    n, query = len(pool.indptr) - 1, pool.query
    floor, top = np.full(n, np.inf, np.float32), np.zeros(n, np.float32)
    np.minimum.at(floor, query[above], score[above])
    np.maximum.at(top, query[below], score[below])
    share = score[below] / np.maximum(top[query[below]], np.float32(1e-12))
    score[below] = floor[query[below]] * share * np.float32(0.999)


def _tree_file(scenario: Scenario) -> str:
    return f"ranker.{scenario}.txt"


def _blend_from(weights: Mapping[str, Json]) -> Blend:
    return Blend(
        {
            Scenario(name): {key: as_number(weight) for key, weight in as_table(part).items()}
            for name, part in weights.items()
        }
    )
