"""What stands out on weekdays and in seasons, by hand."""

from __future__ import annotations

import pytest

from recommender.retrievers.occasion import DAYS_PER_WEEK, SEASONS, OccasionRetriever
from tests.training.datasets import Line, dataset_of, minute_of
from training.dataset import snapshot
from training.fit.occasion import fit_occasion

# Day 0 of these datasets is Monday, 2024-01-01.


def occasion(lines: list[Line], day: float, depth: int = 10) -> OccasionRetriever:
    return fit_occasion(snapshot(dataset_of(lines), minute_of(day)), 0, prior=1, depth=depth)


def listed(part: OccasionRetriever, season: int, weekday: int) -> dict[int, float]:
    number = season * DAYS_PER_WEEK + weekday
    span = slice(int(part.lists.indptr[number]), int(part.lists.indptr[number + 1]))
    return dict(zip(part.lists.row[span].tolist(), part.lists.score[span].tolist(), strict=True))


def test_weekdays() -> None:
    # Mondays: a 4 times, b once. Saturdays: a once, b twice. 5 of 8 sales are Mondays', 5 are of a.
    lines: list[Line] = [("p", "a", 7.0 * week + 0.5) for week in range(4)]
    lines += [("p", "b", 0.5), ("p", "a", 5.5), ("p", "b", 5.5), ("p", "b", 12.5)]
    part = occasion(lines, 30)
    # a on Mondays: 4 against 25 / 8, over sqrt(25 / 8 + 1). b on Saturdays: 2 against 9 / 8.
    assert listed(part, 1, 0) == pytest.approx({0: 0.875 / (33 / 8) ** 0.5})
    assert listed(part, 20, 5) == pytest.approx({1: 0.875 / (17 / 8) ** 0.5})
    assert listed(part, 1, 2) == {}
    assert len(part.lists.indptr) == SEASONS * DAYS_PER_WEEK + 1


def test_old_weekdays_do_not_count() -> None:
    lines: list[Line] = [("p", "a", 0.5), ("p", "b", 1.5), ("p", "a", 200.5), ("p", "b", 201.5)]
    alone = [("p", "a", 200.5), ("p", "b", 201.5)]
    assert occasion(lines, 203).lists.score.tolist() == occasion(alone, 203).lists.score.tolist()  # type: ignore[arg-type]


def test_seasons_of_earlier_years() -> None:
    # In the first fortnight of last year a sold twice, half a year later b twice: 2 of 4 sales each, and each season
    # stands in two lists, its own and the one before.
    lines: list[Line] = [("p", "a", 1), ("q", "a", 2), ("p", "b", 170), ("q", "b", 171)]
    part = occasion([*lines, ("p", "c", 399)], 400)
    assert listed(part, 0, 3) == pytest.approx({0: 1 / 2**0.5})
    assert listed(part, 26, 3) == pytest.approx({0: 1 / 2**0.5})
    assert listed(part, 12, 3) == listed(part, 11, 3) == pytest.approx({1: 1 / 2**0.5})
    assert listed(part, 5, 3) == {}
    # With less than a year and four weeks nothing is known of seasons.
    assert listed(occasion([*lines, ("p", "c", 299)], 300), 0, 6) == {}


def test_the_best_are_kept_in_order() -> None:
    lines: list[Line] = [("p", "a", 0.5), ("q", "a", 0.5), ("p", "b", 0.6), ("p", "c", 3.5), ("q", "c", 3.6)]
    assert list(listed(occasion(lines, 10), 0, 0)) == [0, 1]
    assert list(listed(occasion(lines, 10, depth=1), 0, 0)) == [0]


def test_an_empty_history() -> None:
    part = occasion([("p", "a", 5)], 1)
    assert len(part.lists.row) == 0
