"""The chance of a redemption: calibrated, rising with the discount, and sensible where there is nothing to learn."""

from __future__ import annotations

import numpy as np
import pytest

from recommender.coupons.features import FEATURES
from recommender.coupons.response import ResponseModel
from training.fit import response
from training.fit.response import FACE, FitOptions, fit_response

OPTIONS = FitOptions(3, FACE)


def history(rows=4000, seed=1):
    """Redemptions that depend on spend, and on the face value."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(rows, len(FEATURES))).astype(np.float32)
    odds = -2 + features[:, FEATURES.index("spend_middle")] + 0.7 * features[:, FEATURES.index("face")]
    return features, rng.random(rows) < 1 / (1 + np.exp(-odds)), rng.integers(0, rows // 2, rows)


def test_chances_are_calibrated_on_members_not_seen():
    features, outcome, group = history()
    model, seen = fit_response(features, outcome, group, OPTIONS)
    assert seen.mean() == pytest.approx(outcome.mean(), abs=0.01)
    order = np.argsort(seen)
    for part in np.array_split(order, 5):
        assert seen[part].mean() == pytest.approx(outcome[part].mean(), abs=0.05)
    assert model.trees


def test_a_falling_face_value_effect_is_not_believed():
    features, _, group = history()
    outcome = np.random.default_rng(2).random(len(features)) < 1 / (1 + np.exp(features[:, FEATURES.index("face")]))
    model, _ = fit_response(features, outcome, group, OPTIONS)
    more = features.copy()
    more[:, FEATURES.index("face")] += 1
    assert (model.chance(more) >= model.chance(features) - 1e-12).all()


def test_leaving_out_some_of_the_many_does_not_move_the_chance(monkeypatch):
    features, outcome, group = history(20_000)
    monkeypatch.setattr(response, "LEAST_OTHERS", 3000)
    monkeypatch.setattr(response, "OTHERS_EACH", 1)
    model, seen = fit_response(features, outcome, group, OPTIONS)
    assert model.chance(features).mean() == pytest.approx(outcome.mean(), rel=0.08)
    assert seen.mean() == pytest.approx(outcome.mean(), rel=0.08)


@pytest.mark.parametrize("alike", [True, False])
def test_where_all_outcomes_are_alike_the_chance_stays_off_the_edge(alike):
    features, _, group = history(50)
    model, seen = fit_response(features, np.full(50, alike), group, OPTIONS)
    assert model.chance(features) == pytest.approx(np.full(50, 51 / 52 if alike else 1 / 52))
    assert np.isfinite(seen).all()


def test_the_same_seed_gives_the_same_model_and_parts_make_it_again():
    features, outcome, group = history(1500)
    one, _ = fit_response(features, outcome, group, OPTIONS)
    other, _ = fit_response(features, outcome, group, OPTIONS)
    assert np.array_equal(one.chance(features), other.chance(features))
    again = ResponseModel.from_parts(*one.parts())
    assert np.array_equal(again.chance(features), one.chance(features))
