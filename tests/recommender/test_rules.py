"""Rules: what scenarios are about, and what masks drop."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recommender.query import Context, Mask, Scenario
from recommender.rules import all_masks, both, count_dropped, scenario_mask
from tests.learning import VIEW, ask, mask_of


def allowed_in(scenario: Scenario, **changes: bool) -> list[int] | None:
    mask = scenario_mask(ask((1, 3), (1, 9), (3, 2), (4, 1, VIEW), scenario=scenario, **changes), 5)  # type: ignore[arg-type]
    return None if mask is None else np.flatnonzero(mask).tolist()


def test_buy_again_is_about_what_was_bought() -> None:
    assert allowed_in(Scenario.BUY_AGAIN) == [1, 3]


def test_discover_and_new_are_about_what_was_never_bought() -> None:
    assert allowed_in(Scenario.DISCOVER) == [0, 2, 4]
    assert allowed_in(Scenario.NEW) == [0, 2, 4]


@pytest.mark.parametrize("scenario", [Scenario.HOME, Scenario.TRENDING])
def test_other_scenarios_are_about_everything(scenario: Scenario) -> None:
    assert allowed_in(scenario) is None


@pytest.mark.parametrize("scenario", list(Scenario))
def test_who_opted_out_is_not_known_by_purchases(scenario: Scenario) -> None:
    assert allowed_in(scenario, personal=False) is None


def test_nothing_bought_leaves_nothing_to_buy_again() -> None:
    assert scenario_mask(ask((1, 2, VIEW), scenario=Scenario.BUY_AGAIN), 5) is None
    discover = scenario_mask(ask(scenario=Scenario.DISCOVER), 3)
    assert discover is not None
    assert discover.all()


def test_what_a_request_is_about_is_not_shown() -> None:
    def allowed(scenario: Scenario) -> list[int]:
        mask = scenario_mask(ask((1, 3), scenario=scenario, context=[0, 2]), 5)
        assert mask is not None
        return np.flatnonzero(mask).tolist()

    assert allowed(Scenario.BASKET) == [1, 3, 4]
    assert allowed(Scenario.DISCOVER) == [3, 4]
    stand_in = Context(np.array([0], np.int32), np.ones(1, np.float32), stand_in=True)
    assert scenario_mask(replace(ask(), scenario=Scenario.SIMILAR, context=stand_in), 5) is None


def test_the_first_rule_that_removes_a_candidate_counts_it() -> None:
    masks = (
        Mask("hidden", mask_of(6, 0, 1, 2, 3)),
        Mask("season", mask_of(6, 0, 1, 2, 3, 4, 5)),
        Mask("stock", mask_of(6, 1, 5)),
    )
    query = ask(masks=masks)
    assert count_dropped(query, np.array([5, 4, 3, 1], np.int32)) == {"hidden": 2, "stock": 1}
    assert count_dropped(query, np.array([1], np.int32)) == {}
    assert count_dropped(ask(), np.array([1], np.int32)) == {}


def test_all_masks_must_allow() -> None:
    assert all_masks(ask()) is None
    whole = all_masks(ask(masks=(Mask("a", mask_of(4, 0, 1, 2)), Mask("b", mask_of(4, 1, 2, 3)))))
    assert whole is not None
    assert np.flatnonzero(whole).tolist() == [1, 2]


def test_both() -> None:
    left, right = mask_of(3, 0, 1), mask_of(3, 1, 2)
    assert both(None, None) is None
    assert both(left, None) is left
    assert both(None, right) is right
    assert both(left, right).tolist() == [False, True, False]  # type: ignore[union-attr]
