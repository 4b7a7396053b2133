"""What a request says of the moment."""

from __future__ import annotations

import pytest

from recommender.context import SESSION_ITEMS, RequestContext, SessionEvent, with_visit
from recommender.events import EventKind
from recommender.ids import IdIndex
from recommender.query import Scenario
from tests.learning import AS_OF, VIEW, history

ITEMS = IdIndex.of(f"i{number:02d}" for number in range(30))
CONTEXT = RequestContext("i07", ["i03", "i01", "i03"], [SessionEvent("i02"), SessionEvent("i04"), SessionEvent("i02")])


@pytest.mark.parametrize(
    ("scenario", "item_ids"),
    [
        (Scenario.HOME, []),
        (Scenario.SIMILAR, ["i07"]),
        (Scenario.SUBSTITUTES, ["i07"]),
        (Scenario.BASKET, ["i03", "i01"]),
        (Scenario.SESSION, ["i02", "i04"]),
    ],
)
def test_each_scenario_is_about_its_part(scenario: Scenario, item_ids: list[str]) -> None:
    assert CONTEXT.item_ids(scenario) == item_ids
    assert RequestContext().item_ids(scenario) == []


def test_a_long_visit_is_about_its_latest_items() -> None:
    visit = RequestContext(events=[SessionEvent(f"i{number:02d}") for number in range(30)])
    assert visit.item_ids(Scenario.SESSION) == [f"i{29 - place:02d}" for place in range(SESSION_ITEMS)]


def test_the_latest_item_of_a_visit_weighs_most_and_those_of_a_basket_the_same() -> None:
    context, flags = CONTEXT.known(Scenario.SESSION, ITEMS)
    assert (context.row.tolist(), context.weight.tolist(), flags) == ([2, 4], pytest.approx([1, 0.8]), [])
    context, flags = CONTEXT.known(Scenario.BASKET, ITEMS)
    assert (context.row.tolist(), context.weight.tolist(), flags) == ([3, 1], [1, 1], [])


def test_what_is_missing_is_flagged() -> None:
    context, flags = RequestContext("other").known(Scenario.SIMILAR, ITEMS)
    assert (len(context), flags) == (0, ["unknown_item"])
    context, flags = RequestContext(basket_item_ids=["i05", "other"]).known(Scenario.BASKET, ITEMS)
    assert (context.row.tolist(), flags) == ([5], ["unknown_item"])
    assert RequestContext().known(Scenario.BASKET, ITEMS)[1] == ["empty_context"]


def test_a_visit_ends_the_history() -> None:
    past = history((9, 3), (2, 1))
    visit = RequestContext(events=[SessionEvent("i02"), SessionEvent("other"), SessionEvent("i05", EventKind.SHARE)])
    whole = with_visit(past, visit, ITEMS, 1, AS_OF, 0)
    assert whole.item_row.tolist() == [9, 2, 2, 5]
    assert whole.minute.tolist() == [*past.minute.tolist(), AS_OF - 1, AS_OF - 1]
    assert whole.channel.tolist() == [0, 0, 1, 1]
    assert whole.kind[2] == history((2, 0, VIEW)).kind[0]
    assert with_visit(past, RequestContext(), ITEMS, 1, AS_OF, 0) is past
