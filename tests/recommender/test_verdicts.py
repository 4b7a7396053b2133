"""Verdicts: one sentence for every outcome, rule and placement, in both languages."""

from __future__ import annotations

import pytest

from recommender.explanation import Explanation, Outcome
from recommender.query import Scenario
from recommender.verdicts import verdict


def found(outcome: Outcome, **changes: object) -> Explanation:
    plain: dict[str, object] = {
        "outcome": outcome,
        "rule": None,
        "rules": (),
        "position": None,
        "without_moves": None,
        "rank": 7,
        "candidates": 300,
        "score": 0.5,
        "source": "repeat",
        "sightings": (),
        "contributions": {},
        "reasons": (),
    }
    return Explanation(**(plain | changes))  # type: ignore[arg-type]


def test_shown() -> None:
    shown = found(Outcome.SHOWN, position=3, without_moves=3)
    assert verdict(shown, Scenario.HOME, 10, "en") == (
        "Shown at position 3; by score it is number 7 of 300 candidates."
    )
    assert verdict(shown, Scenario.HOME, 10, "zh") == "展示在第3位；按得分在300个候选商品中排第7。"
    moved = found(Outcome.SHOWN, position=3, without_moves=5)
    assert verdict(moved, Scenario.HOME, 10, "en").endswith(
        "Its score alone would put it at 5: variety, boosts, pins, substitutes or new items moved it."
    )
    assert verdict(found(Outcome.SHOWN, position=9, rank=None), Scenario.HOME, 10, "fr") == (
        "Shown at position 9, to fill up the slate."
    )


def test_what_variety_moved_out_of_the_slate() -> None:
    kept_out = found(Outcome.BELOW_THE_CUT, rank=4, without_moves=4)
    moved = " Its score alone would put it at 4: variety, boosts, pins, substitutes or new items moved it."
    plain = "Not shown: number 4 of 300 candidates by score; the slate holds {count}."
    assert verdict(kept_out, Scenario.HOME, 5, "en") == plain.format(count=5) + moved
    assert verdict(kept_out, Scenario.HOME, 3, "en") == plain.format(count=3)
    assert verdict(kept_out, Scenario.HOME, 5, "zh").endswith(
        "仅按得分应排第4位，因列表多样性、加权、固定位置、替代商品或新品而调整。"
    )


def test_dropped_by_rules_old_and_new() -> None:
    dropped = found(Outcome.DROPPED, rule="out_of_stock")
    assert verdict(dropped, Scenario.HOME, 10, "en") == "Not shown: it is out of stock."
    assert verdict(dropped, Scenario.HOME, 10, "zh") == "未展示：已缺货。"
    unheard = found(Outcome.DROPPED, rule="unheard_of")
    assert verdict(unheard, Scenario.HOME, 10, "en") == "Not shown: the rule unheard_of removed it."


@pytest.mark.parametrize("rule", ["scenario_filter", "filtered", "shown_before", "buried", "cool_down"])
def test_rules_that_marketers_set_have_sentences(rule: str) -> None:
    dropped = found(Outcome.DROPPED, rule=rule)
    assert rule not in verdict(dropped, Scenario.HOME, 10, "en")
    assert rule not in verdict(dropped, Scenario.HOME, 10, "zh")


def test_pinned() -> None:
    pinned = found(Outcome.SHOWN, position=2, without_moves=40, source="pinned")
    assert verdict(pinned, Scenario.HOME, 10, "en") == "Pinned at position 2."
    assert verdict(pinned, Scenario.HOME, 10, "zh") == "固定展示在第2位。"


def test_placements_about_other_items() -> None:
    other = found(Outcome.NOT_OF_SCENARIO)
    assert "not bought before" in verdict(other, Scenario.DISCOVER, 10, "en")
    assert verdict(other, Scenario.SIMILAR, 10, "zh") == "未展示：请求本身就是关于它的。"


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("outcome", list(Outcome))
def test_every_outcome_can_be_said(outcome: Outcome, language: str) -> None:
    text = verdict(found(outcome, rule="not_listed", position=1, without_moves=1), Scenario.HOME, 10, language)
    assert text
    assert "{" not in text
    assert "None" not in text


@pytest.mark.parametrize("scenario", [Scenario.BUY_AGAIN, Scenario.NEW])
def test_placements_that_are_filled_up_do_not_claim_to_hold_nothing_else(scenario: Scenario) -> None:
    about = found(Outcome.NOT_OF_SCENARIO, rank=None)
    assert verdict(about, scenario, 10, "en").endswith("; others only fill it up.")
    assert "其他商品只用于补足列表" in verdict(about, scenario, 10, "zh")
