"""How much slates are spread: no more than costs nothing, unless told otherwise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recommender.query import Scenario
from tests.training.datasets import Line, dataset_of, minute_of
from tests.training.fit.market import SETTINGS, market
from training.dataset import Dataset
from training.evaluate import panel_for
from training.fit.diversity import CALIBRATIONS, STRENGTHS, diversity_curve, fit_spread, kinds_of, novel_share
from training.fit.recommender import fit_recommender
from training.pools import PanelPools, retrieve_pools
from training.settings import SlateSettings
from training.split import person_windows, time_windows
from training.windows import Protocol, Window


@pytest.fixture(scope="module")
def window() -> Window:
    (found,) = time_windows(market(), 14, ["validation"])
    return found


@pytest.fixture(scope="module")
def pools(window: Window) -> PanelPools:
    fitted = fit_recommender(window.cut(market()), window.fit_minute, SETTINGS)
    return retrieve_pools(fitted, panel_for(market(), window, SETTINGS, 0), (Scenario.HOME,), 20)


def test_the_curve_pays_ndcg_for_diversity(pools: PanelPools, window: Window) -> None:
    diverse, calibrated = diversity_curve(pools, market(), SETTINGS, window)
    assert [row.strength for row in diverse] == list(STRENGTHS)
    assert [row.strength for row in calibrated] == list(CALIBRATIONS)
    assert diverse[-1].diversity > diverse[0].diversity
    assert diverse[0].ndcg.mean == pytest.approx(calibrated[0].ndcg.mean)
    assert calibrated[-1].distance < calibrated[0].distance
    assert all(0 <= row.coverage <= 1 for row in diverse)


def test_nothing_is_switched_on_that_costs_ndcg(pools: PanelPools, window: Window) -> None:
    diverse, _ = diversity_curve(pools, market(), SETTINGS, window)
    spread = fit_spread(pools, market(), window, SETTINGS)
    chosen = spread.diversity.strength.get(Scenario.HOME, 0.0)
    reached = {row.strength: row.ndcg.mean for row in diverse}
    assert reached[chosen] >= reached[0.0]
    assert all(value < reached[0.0] for strength, value in reached.items() if strength > chosen)
    assert spread.calibration.strength in CALIBRATIONS
    assert spread.calibration.novel_share == pytest.approx(novel_share(market(), window.fit_minute))


def test_settings_have_the_last_word(pools: PanelPools, window: Window) -> None:
    told = replace(SETTINGS, slate=SlateSettings(diversity=0.7, calibration=1.0))
    spread = fit_spread(pools, market(), window, told)
    assert (spread.diversity.strength, spread.calibration.strength) == ({Scenario.HOME: 0.7}, 1.0)
    off = replace(SETTINGS, slate=SlateSettings(diversity=0.0, calibration=0.0))
    spread = fit_spread(pools, market(), window, off)
    assert (spread.diversity.strength, spread.calibration.strength) == ({Scenario.HOME: 0.0}, 0.0)


def test_without_categories_there_is_nothing_to_spread(pools: PanelPools, window: Window) -> None:
    plain = replace(market().facts, categories=("",), category_row=np.zeros(30, np.int32))
    assert not kinds_of(plain).any()
    spread = fit_spread(pools, replace(market(), facts=plain), window, SETTINGS)
    assert spread.diversity.strength == {}


def test_kinds_are_category_and_section() -> None:
    facts = replace(
        market().facts,
        categories=("food > milk", "food > tea", "tools", ""),
        category_row=np.array([0, 1, 0, 2, 3], np.int32),
    )
    category, section = kinds_of(facts)
    assert category[0] == category[2] != category[1]
    assert section[0] == section[1] == section[2] != 0
    assert (section[3], category[4], section[4]) == (0, 0, 0)


def test_everybodys_share_of_novel_items_is_of_those_with_a_past() -> None:
    lines: list[Line] = [("a", "x", 0), ("a", "x", 50), ("a", "y", 51), ("a", "z", 52), ("b", "y", 53), ("a", "y", 59)]
    dataset: Dataset = dataset_of(lines)
    assert novel_share(dataset, minute_of(60)) == pytest.approx(2 / 3)
    assert novel_share(dataset, minute_of(10)) == 0.5


def test_everybodys_share_is_that_of_the_history_before_the_window() -> None:
    # Everybody buys the same again and again, until the last order, which the window asks for.
    lines: list[Line] = [(f"p{person}", f"i{person}", day) for person in range(4) for day in (1, 41, 61)]
    dataset = dataset_of([*lines, *((f"p{person}", "novel", 69) for person in range(4))])
    (last,) = person_windows(dataset, Protocol.LAST_ORDER, ["validation"])
    fitted = fit_recommender(last.cut(dataset), last.fit_minute, SETTINGS)
    found = retrieve_pools(fitted, panel_for(dataset, last, SETTINGS, 0), (Scenario.HOME,), 5)
    assert fit_spread(found, dataset, last, SETTINGS).calibration.novel_share == 0
