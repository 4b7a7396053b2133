"""Each scenario's own question: what is asked, what counts, and what it is compared with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from recommender.pipeline import Recommender
from recommender.query import Scenario
from recommender.retrievers.arrivals import ArrivalRetriever
from tests.training.datasets import Line, dataset_of, minute_of
from tests.training.fit.market import SETTINGS, market
from training.dataset import Dataset
from training.evaluate import panel_for
from training.fit.recommender import fit_recommender
from training.scenario_questions import AMONG_NEW, IN_CATEGORY, Question, questions
from training.scenarios import MEASURES, evaluate_scenarios
from training.settings import EvaluationSettings
from training.split import person_windows, time_windows
from training.windows import Protocol, Window

LINES: list[Line] = [
    *((f"p{person}", f"i{item}", day) for person in range(6) for item in (0, 1) for day in (0, 3)),
    ("p0", "i3", 1),
    ("p0", "i2", 8.1),
    ("p0", "i0", 8.2),
    ("p0", "i1", 8.3),
    ("p0", "i4", 9),
    ("p1", "i3", 8),
    *((f"p{person}", "i4", 9) for person in (3, 4, 5)),
    ("p2", "i5", 8.1, "view"),
    ("p2", "i4", 8.2, "view"),
    ("p2", "i5", 8.3, "basket_add"),
    ("p2", "i3", 8.4, "purchase"),
    ("p2", "i1", 9.5, "view"),
]
"""Until day 7 all buy i0 and i1; then p0 an order of three and another, p1 and others one item; p2 visits and buys."""


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    made = dataset_of(LINES)
    category = np.array([0, 0, 1, 0, 1, 2], np.int32)
    return replace(made, facts=replace(made.facts, categories=("a", "b", ""), category_row=category))


@pytest.fixture(scope="module")
def window(dataset: Dataset) -> Window:
    (found,) = time_windows(dataset, 3, ["test"])
    assert found.fit_minute == minute_of(7)
    return found


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    with threadpool_limits(1, "blas"):
        yield


def settings() -> object:
    return replace(SETTINGS, evaluation=EvaluationSettings(members=0, bootstrap_rounds=20))


@pytest.fixture(scope="module")
def fitted(dataset: Dataset, window: Window) -> Recommender:
    made = fit_recommender(window.cut(dataset), window.fit_minute, SETTINGS)
    others = tuple(part for part in made.retrievers if not isinstance(part, ArrivalRetriever))
    arrivals = next(part for part in made.retrievers if isinstance(part, ArrivalRetriever))
    new = replace(arrivals, arrival_row=np.array([3], np.int32), arrival_score=np.ones(1, np.float32))
    return replace(made, retrievers=(*others, new))


@pytest.fixture(scope="module")
def asked(fitted: Recommender, dataset: Dataset, window: Window) -> dict[tuple[Scenario, int], Question]:
    panel = panel_for(dataset, window, SETTINGS, 0)
    made: dict[tuple[Scenario, int], Question] = {}
    for question in questions(fitted, dataset, window, panel, 7):
        number = sum(key[0] is question.scenario for key in made)
        made[question.scenario, number] = question
    return made


def test_one_item_of_the_first_order_is_left_out(asked: dict[tuple[Scenario, int], Question]) -> None:
    question = asked[Scenario.BASKET, 0]
    assert len(question.queries) == 1
    (query,) = question.queries
    assert sorted([*query.context.row.tolist(), *question.truth.row.tolist()]) == [0, 1, 2]
    assert len(question.truth.row) == 1
    assert len(query.history.item_row) == 5
    assert not set(question.baselines["popularity"].row.tolist()) & set(query.context.row.tolist())
    (stranger,) = asked[Scenario.BASKET, 1].queries
    assert len(stranger.history.item_row) == 0
    assert stranger.context.row.tolist() == query.context.row.tolist()


def test_a_visit_asks_for_its_last_new_item(asked: dict[tuple[Scenario, int], Question]) -> None:
    question = asked[Scenario.SESSION, 0]
    (query,) = question.queries
    # i5, i4, i5 again, and then i3 was bought.
    assert query.context.row.tolist() == [4, 5]
    assert query.context.weight.tolist() == pytest.approx([1, 0.8])
    assert question.truth.row.tolist() == [3]
    assert len(query.history.item_row) == 0


def test_similar_asks_for_the_rest_of_a_visit_and_of_a_section(asked: dict[tuple[Scenario, int], Question]) -> None:
    visit = asked[Scenario.SIMILAR, 0]
    assert sorted([*visit.queries[0].context.row.tolist(), *visit.truth.row.tolist()]) == [3, 4, 5]
    section = asked[Scenario.SIMILAR, 1]
    for query, taken in zip(section.queries, np.split(section.truth.row, section.truth.indptr[1:-1]), strict=True):
        kinds = {0: "a", 1: "a", 3: "a", 2: "b", 4: "b", 5: "none"}
        assert len({kinds[row] for row in [*query.context.row.tolist(), *taken.tolist()]}) == 1


def test_substitutes_ask_for_what_was_taken_in_place_of_the_usual(asked: dict[tuple[Scenario, int], Question]) -> None:
    question = asked[Scenario.SUBSTITUTES, 0]
    found = {
        int(query.context.row[0]): taken.tolist()
        for query, taken in zip(
            question.queries, np.split(question.truth.row, question.truth.indptr[1:-1]), strict=True
        )
    }
    # All usually buy i0 or i1, twice each, i1 named last; p0 took i0 again, p1 and p2 took i3.
    assert found.keys() == {1} or found.keys() == {0}
    assert [3] in found.values()
    lists = question.baselines[IN_CATEGORY]
    first = lists.row[lists.indptr[:-1]].tolist()
    assert set(first) <= {0, 1}


def test_new_items_are_those_of_the_models(asked: dict[tuple[Scenario, int], Question]) -> None:
    question = asked[Scenario.NEW, 0]
    assert len(question.queries) == 2
    assert set(question.truth.row.tolist()) == {3}
    assert set(question.baselines[AMONG_NEW].row.tolist()) == {3}


def test_a_trend_is_what_more_members_buy_than_before(asked: dict[tuple[Scenario, int], Question]) -> None:
    question = asked[Scenario.TRENDING, 0]
    assert set(question.truth.row.tolist()) == {4}
    assert len(question.queries) == 4


def test_no_query_holds_what_came_later(asked: dict[tuple[Scenario, int], Question]) -> None:
    for question in asked.values():
        for query in question.queries:
            assert query.as_of == minute_of(7)
            assert (query.history.minute < query.as_of).all()
        assert len(question.queries) == len(question.truth)
        assert all(len(lists) == len(question.truth) for lists in question.baselines.values())


def test_nothing_after_the_window_is_asked(fitted: Recommender, dataset: Dataset) -> None:
    later: list[Line] = [("p3", "i2", 20.1, "view"), ("p3", "i5", 20.2, "view"), ("p4", "i0", 20.3)]
    longer = replace(dataset_of([*LINES, *later]), facts=dataset.facts)
    (_, window) = time_windows(longer, 7, ["test", "validation"])
    assert window.fit_minute == minute_of(7)
    panel = panel_for(longer, window, SETTINGS, 0)
    visits = [q for q in questions(fitted, longer, window, panel, 7) if q.scenario is Scenario.SESSION]
    assert [question.truth.row.tolist() for question in visits] == [[3]]
    own = person_windows(longer, Protocol.LAST_ORDER, ["test", "validation"])[1]
    asked = questions(fitted, longer, own, panel_for(longer, own, SETTINGS, 0), 7)
    assert not {question.scenario for question in asked} & {Scenario.SESSION, Scenario.TRENDING}


def test_every_task_is_measured_beside_its_baselines(fitted: Recommender, dataset: Dataset, window: Window) -> None:
    steps: list[int] = []
    rows = evaluate_scenarios(fitted, dataset, window, settings(), steps.append)  # type: ignore[arg-type]
    assert {row.scenario for row in rows} == {"basket", "session", "similar", "substitutes", "new", "trending"}
    assert sum(steps) > 0
    for row in rows:
        assert row.measure in MEASURES
        assert 0 <= row.interval.mean <= 1
        assert (row.gain is None) == (row.method == "memberwise")
    new = {row.method: row.interval.mean for row in rows if (row.scenario, row.measure) == ("new", "recall@10")}
    assert new == {"memberwise": 1.0, AMONG_NEW: 1.0}


def test_what_the_data_cannot_ask_is_left_out() -> None:
    lines = [line for line in LINES if len(line) == 3]
    dataset = dataset_of(lines)
    (window,) = time_windows(dataset, 3, ["test"])
    fitted = fit_recommender(window.cut(dataset), window.fit_minute, SETTINGS)
    rows = evaluate_scenarios(fitted, dataset, window, settings())  # type: ignore[arg-type]
    assert {row.scenario for row in rows} == {"basket", "similar", "new", "trending"}
    assert {row.task for row in rows if row.scenario == "similar"} == {"what else a member bought"}


def test_a_market_is_asked_the_same_twice() -> None:
    (window,) = time_windows(market(), 14, ["test"])
    fitted = fit_recommender(window.cut(market()), window.fit_minute, SETTINGS)
    first = evaluate_scenarios(fitted, market(), window, settings())  # type: ignore[arg-type]
    assert first == evaluate_scenarios(fitted, market(), window, settings())  # type: ignore[arg-type]
