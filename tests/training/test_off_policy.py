"""Off-policy estimates: where the truth is known, the intervals hold it; the log is made by the real exploration."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from recommender.candidates import Slate
from recommender.exploration import draw_exploration
from recommender.query import Query, Scenario
from training.off_policy import NO_ITEM, LoggedItems, estimate, reward_model

ITEMS, COUNT, SHARE = 12, 3, 0.3
POSITION = np.array([0.0, 1.0, 0.6, 0.4])
"""How much a position is looked at, from 1."""
CUSTOMERS, DAYS = 250, 4


def simulate(seed: int) -> tuple[LoggedItems, float]:
    """Return a log of shuffled and ranked slates, and what another order would earn per item shown.

    Each customer likes items at random; the log ranks them by a poor guess, the other policy by a better one.
    """
    rng = np.random.default_rng(seed)
    taste = np.clip(rng.beta(1.0, 4.0, ITEMS) + rng.normal(0, 0.05, (CUSTOMERS, ITEMS)), 0.01, 0.99)
    columns: list[tuple[int, int, int, int, float, float]] = []
    truth, shown_items = 0.0, 0
    for customer in range(CUSTOMERS):
        ranked = np.argsort(-(taste[customer] + rng.normal(0, 0.3, ITEMS)))[: 2 * COUNT]
        better = ranked[np.argsort(-(taste[customer][ranked] + rng.normal(0, 0.05, 2 * COUNT)))][:COUNT]
        for day in range(DAYS):
            subject = f"member:{seed}-{customer}"
            drawn = draw_exploration(SHARE, subject, "home", date(2026, 3, 1 + day))
            assert drawn is not None
            slate = Slate(ranked.astype(np.int32), np.ones(2 * COUNT, np.float32), ("repeat",) * 6, "personal", {})
            shown, chances = drawn.apply(slate, Query(Scenario.HOME, COUNT, 1000))
            for place, (item, chance) in enumerate(zip(shown.row.tolist(), chances, strict=True)):
                worth = POSITION[place + 1] * taste[customer, item]
                columns.append((customer, place + 1, item, int(better[place]), chance, float(rng.random() < worth)))
                truth += POSITION[place + 1] * taste[customer, better[place]]
                shown_items += 1
    arrays = [np.array(column) for column in zip(*columns, strict=True)]
    log = LoggedItems(arrays[0], arrays[1], arrays[2], arrays[3], arrays[4].astype(float), arrays[5].astype(float))
    return log, truth / shown_items


def test_intervals_hold_the_truth_and_the_gain_is_seen() -> None:
    rounds, held = 60, {"ips": 0, "snips": 0, "dr": 0, "mean_weight": 0}
    errors: dict[str, list[float]] = {name: [] for name in ("ips", "snips", "dr")}
    for seed in range(rounds):
        log, truth = simulate(seed)
        found = estimate(log, np.random.default_rng(seed), rounds=300)
        assert found.logged.value < truth
        for name in held:
            bounds, wanted = getattr(found, name), 1.0 if name == "mean_weight" else truth
            held[name] += bounds.low <= wanted <= bounds.high
            if name in errors:
                errors[name].append(bounds.value - wanted)
    assert held.pop("mean_weight") >= 0.8 * rounds, "few and large weights"
    assert min(held.values()) >= 0.88 * rounds, held
    for name, gaps in errors.items():
        bias, error = float(np.mean(gaps)), float(np.std(gaps) / np.sqrt(rounds))
        assert abs(bias) < 4 * error, f"{name} is off by {bias}"
    assert np.std(errors["dr"]) < np.std(errors["ips"])


def test_the_ranked_policy_itself_is_what_it_earned_without_exploration() -> None:
    # One customer each, all chances 1: the estimates are the mean reward, of the positions that agree.
    log = LoggedItems(
        np.array([0, 0, 1, 1]),
        np.array([1, 2, 1, 2]),
        np.array([5, 6, 5, 7]),
        np.array([5, 6, 5, 7]),
        np.ones(4),
        np.array([1.0, 0.0, 1.0, 1.0]),
    )
    found = estimate(log, np.random.default_rng(1))
    assert found.ips.value == found.snips.value == found.logged.value == 0.75
    assert found.dr.value == pytest.approx(0.75)
    assert found.gain.value == pytest.approx(0.0)
    assert (found.matched, found.effective_items, found.mean_weight.value) == (1.0, 4.0, 1.0)
    assert (found.items, found.customers) == (4, 2)


def test_weights_by_hand() -> None:
    log = LoggedItems(
        np.array([0, 1, 2, 3]),
        np.array([1, 1, 1, 1]),
        np.array([0, 1, 0, 1]),
        np.array([0, 0, 0, NO_ITEM]),
        np.array([0.5, 0.5, 0.25, 0.5]),
        np.array([1.0, 1.0, 1.0, 1.0]),
    )
    found = estimate(log, np.random.default_rng(1))
    assert found.ips.value == (2 + 4) / 4
    assert found.snips.value == 1.0
    assert found.mean_weight.value == 1.5
    assert found.effective_items == 36 / 20
    clipped = estimate(log, np.random.default_rng(1), clip=3.0)
    assert (clipped.ips.value, clipped.largest_weight, clipped.clipped) == (5 / 4, 3.0, 1)


def test_no_reward_predicts_itself() -> None:
    # Only one customer ever acts: the prediction for that customer knows nothing of it.
    customers = np.arange(50)
    reward = np.zeros(50)
    reward[7] = 1.0
    one = np.ones(50, np.int64)
    shown, wanted = reward_model(
        LoggedItems(customers, one, one, np.full(50, NO_ITEM), np.ones(50), reward), np.random.default_rng(3)
    )
    assert shown[7] == 0.0
    assert shown.max() > 0
    assert wanted.tolist() == [0.0] * 50
