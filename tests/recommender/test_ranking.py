"""The blend: a weighted sum of relative scores."""

from __future__ import annotations

import json

import numpy as np
import pytest

from recommender.candidates import Pool, relative_scores
from recommender.errors import BundleError
from recommender.query import Scenario
from recommender.ranking import Blend, ranker_from
from recommender.retrievers.base import Json
from tests.learning import ask, batch

NAN = np.nan
POOL = Pool(
    np.array([0, 3, 3, 5], np.int64),
    np.array([1, 4, 6, 0, 4], np.int32),
    np.array([[4, NAN], [1, 0.5], [NAN, 0.25], [NAN, 8], [2, 2]], np.float32),
    np.array([[0, NAN], [1, 0], [NAN, 1], [NAN, 0], [0, 1]], np.float32),
    ("a", "b"),
)
"""Three queries: three candidates, none, two."""


def test_scores_are_relative_to_the_best_of_the_query() -> None:
    assert relative_scores(POOL).tolist() == [[1, 0], [0.25, 1], [0, 0.5], [0, 1], [1, 0.25]]


def test_scores_below_zero_and_absent_ones_are_zero() -> None:
    scores = np.array([[-1, 0], [-2, NAN]], np.float32)
    pool = Pool(np.array([0, 2]), np.array([0, 1], np.int32), scores, np.zeros_like(scores), ("a", "b"))
    assert relative_scores(pool).tolist() == [[0, 0], [0, 0]]


def test_a_pool_may_be_empty() -> None:
    nothing = np.empty((0, 2), np.float32)
    pool = Pool(np.array([0, 0]), np.empty(0, np.int32), nothing, nothing, ("a", "b"))
    assert relative_scores(pool).shape == (0, 2)
    assert len(Blend({Scenario.HOME: {"a": 1}}).rank(pool, batch(ask()), [Scenario.HOME]).score) == 0


def test_blend_by_hand() -> None:
    blend = Blend({Scenario.HOME: {"a": 1.0, "b": 0.5}, Scenario.DISCOVER: {"b": 2.0, "not fitted": 9.0}})
    ranked = blend.rank(POOL, batch(ask(), ask(), ask()), [Scenario.HOME, Scenario.HOME, Scenario.DISCOVER])
    # home: 1, 0.25 + 0.5, 0.25; discover: 2 * 1, 2 * 0.25.
    assert ranked.score.tolist() == [1, 0.75, 0.25, 2, 0.5]
    assert [POOL.retrievers[column] for column in ranked.source] == ["a", "b", "b", "b", "b"]


def test_what_only_a_retriever_without_weight_found_comes_from_it() -> None:
    ranked = Blend({Scenario.HOME: {"a": 1.0}}).rank(POOL, batch(ask(), ask(), ask()), [Scenario.HOME] * 3)
    assert ranked.score.tolist() == [1, 0.25, 0, 0, 1]
    assert [POOL.retrievers[column] for column in ranked.source] == ["a", "a", "b", "b", "a"]


def test_retrievers_without_weight_need_not_be_asked() -> None:
    blend = Blend({Scenario.HOME: {"a": 1.0, "b": 0.0}, Scenario.DISCOVER: {"b": 1e-5}})
    assert blend.heeded(Scenario.HOME) == {"a"}
    assert blend.heeded(Scenario.DISCOVER) == {"b"}


def test_the_same_blend_from_its_description() -> None:
    blend = Blend({scenario: {"a": 0.5, "b": 1.0} for scenario in Scenario})
    assert ranker_from(json.loads(json.dumps(blend.parts()[1])), {}, {}) == blend


@pytest.mark.parametrize(
    "description",
    [
        {"kind": "oracle"},
        {"kind": "blend", "weights": [1]},
        {"kind": "blend", "weights": {"home": {"a": "much"}}},
    ],
)
def test_a_damaged_description_is_refused(description: dict[str, Json]) -> None:
    with pytest.raises(BundleError):
        ranker_from(description, {}, {})


def test_a_placement_newer_than_the_blend_is_ordered_as_home() -> None:
    blend = Blend({Scenario.HOME: {"a": 1.0}, Scenario.DISCOVER: {"b": 1.0}})
    assert blend.heeded(Scenario.SIMILAR) == {"a"}
    scores = [blend.rank(POOL, batch(ask(), ask(), ask()), [name] * 3).score for name in (Scenario.HOME, Scenario.NEW)]
    assert scores[0].tolist() == scores[1].tolist()
