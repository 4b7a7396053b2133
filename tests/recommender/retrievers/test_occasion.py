"""Occasion: the list of the present weekday and season, by the retailer's clock."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np

from recommender.query import Query
from recommender.retrievers.occasion import (
    DAYS_PER_WEEK,
    SEASON_DAYS,
    SEASONS,
    OccasionRetriever,
    season_of,
    weekday_of,
)
from recommender.retrievers.popularity import RankedLists
from tests.contracts import N_ITEMS, RetrieverContract
from tests.learning import answer, ask

N_LISTS = SEASONS * DAYS_PER_WEEK


def days(*dates: date) -> np.ndarray:
    return np.array([(day - date(1970, 1, 1)).days for day in dates])


def asked(day: date, hours: float = 0) -> Query:
    return replace(ask(), as_of=int(days(day)[0]) * 1440 + round(hours * 60))


def one_item_lists() -> RankedLists:
    """List i holds item i % 100 only."""
    return RankedLists(
        np.arange(N_LISTS + 1), (np.arange(N_LISTS) % 100).astype(np.int32), np.ones(N_LISTS, np.float32)
    )


class TestContract(RetrieverContract):
    def retriever(self) -> OccasionRetriever:
        rng = np.random.default_rng(5)
        rows = [rng.permutation(N_ITEMS)[:20].astype(np.int32) for _ in range(N_LISTS)]
        score = np.tile(np.arange(20, 0, -1, dtype=np.float32), N_LISTS)
        return OccasionRetriever(RankedLists(np.arange(N_LISTS + 1) * 20, np.concatenate(rows), score), 480)


def test_weekdays_and_seasons_by_the_calendar() -> None:
    # 2024-05-06 was a Monday. Day 127 of a leap year, counted from 0: 126 = 9 * 14.
    some = days(date(2024, 5, 6), date(2024, 5, 5), date(2024, 12, 31), date(1970, 1, 1), date(2023, 1, 14))
    assert weekday_of(some).tolist() == [0, 6, 1, 3, 5]
    assert season_of(some).tolist() == [9, 8, 26, 0, 0]
    assert 365 // SEASON_DAYS == SEASONS - 1


def test_the_day_changes_at_the_retailers_midnight() -> None:
    part = OccasionRetriever(one_item_lists(), 0)
    monday = 9 * 7
    assert list(answer(part, asked(date(2024, 5, 6)))) == [monday]
    assert list(answer(part, asked(date(2024, 5, 6), 17))) == [monday]
    # Eight hours further east it is Tuesday by then.
    assert list(answer(OccasionRetriever(one_item_lists(), 480), asked(date(2024, 5, 6), 17))) == [monday + 1]
