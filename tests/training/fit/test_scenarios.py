"""Blends of the scenarios about items: tuned on their own tasks, where there are enough of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recommender.candidates import Pool
from recommender.pipeline import Recommender
from recommender.query import Scenario
from recommender.ranking import Blend
from tests.training.datasets import minute_of
from tests.training.fit.market import SETTINGS, lines, market, market_of
from training.evaluate import panel_for
from training.fit.recommender import START_WEIGHTS, fit_recommender
from training.fit.scenarios import HEARD, _heard, fit_scenarios
from training.metrics import hit_matrix, ndcg
from training.scenario_questions import questions
from training.scenarios import answers
from training.split import time_windows
from training.windows import Window

WINDOW_DAYS = 14


@pytest.fixture(scope="module")
def window() -> Window:
    (found,) = time_windows(market(), WINDOW_DAYS, ["validation"])
    return found


@pytest.fixture(scope="module")
def fitted(window: Window) -> Recommender:
    return fit_recommender(window.cut(market()), window.fit_minute, SETTINGS)


def test_weights_are_no_worse_than_those_they_start_from(fitted: Recommender, window: Window) -> None:
    found = fit_scenarios(fitted, market(), window, SETTINGS, fewest=5)
    assert Scenario.SUBSTITUTES in found
    assert found.keys() <= HEARD.keys()
    tuned = replace(fitted, ranker=Blend({**START_WEIGHTS, **found}))
    panel = panel_for(market(), window, SETTINGS, 0)
    reached: dict[Scenario, list[tuple[float, float]]] = {}
    for question in questions(fitted, market(), window, panel, SETTINGS.seed):
        pair = []
        for shop in (fitted, tuned):
            hits = hit_matrix(answers(shop, question), question.truth, 10)
            pair.append(float(ndcg(hits, question.truth.sizes, 10).sum()))
        reached.setdefault(question.scenario, []).append((pair[0], pair[1]))
    for scenario in found:
        before, after = np.sum(reached[scenario], axis=0)
        assert after >= before - 1e-6


def test_few_cases_leave_the_start_weights(fitted: Recommender, window: Window) -> None:
    assert fit_scenarios(fitted, market(), window, SETTINGS).keys() < HEARD.keys()
    nobody = market_of(lines(people=range(3)))
    (short,) = time_windows(nobody, WINDOW_DAYS, ["validation"])
    few = fit_recommender(short.cut(nobody), minute_of(60), SETTINGS)
    assert fit_scenarios(few, nobody, short, SETTINGS) == {}


def test_popularity_never_makes_items_alike(fitted: Recommender) -> None:
    scores = np.ones((2, 3), np.float32)
    pool = Pool(np.array([0, 1, 2]), np.array([3, 4], np.int32), scores, scores, ("similar", "popularity", "repeat"))
    heard = _heard(pool, Scenario.SIMILAR)
    assert np.isnan(heard.scores).tolist() == [[False, True, True]] * 2
    assert _heard(pool, Scenario.BASKET) is pool
