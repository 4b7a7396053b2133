"""What browsing leads to, by hand."""

from __future__ import annotations

import pytest

from recommender.events import KIND_CODES, EventKind
from recommender.retrievers.converted import ConvertedRetriever
from tests.learning import plain_weights
from tests.training.datasets import Line, dataset_of, minute_of
from training.dataset import snapshot
from training.fit.converted import fit_converted


def converted(lines: list[Line], days: float = 50) -> ConvertedRetriever | None:
    data = snapshot(dataset_of(lines), minute_of(100))
    return fit_converted(data, plain_weights(), days=days, items=10, kept=10, prior=0, history_items=5)


def member(name: str, viewed: str, bought: str, day: float = 90) -> list[Line]:
    return [(name, item, day, "view") for item in viewed] + [(name, item, day + 1) for item in bought]


LINES = [
    *member("m1", "a", "ab"),
    *member("m2", "a", "b"),
    *member("m3", "ac", "c"),
    *member("m4", "c", "c"),
    *member("m5", "", "bbc"),  # buys without browsing: no case
]


def test_the_strength_is_the_excess_among_those_who_browse() -> None:
    part = converted(LINES)
    assert part is not None
    # Of four browsers three viewed a and two bought b, both after a: chance lets expect 3 * 2 / 4.
    assert part.purchases[0, 1] == pytest.approx(0.5 / (3**0.7 * 2**0.3), rel=1e-4)
    # Browsers of c bought c: an item does not speak for itself. A single purchase of a is no evidence either.
    assert part.purchases.nnz == 1


def test_purchases_do_not_ask() -> None:
    part = converted(LINES)
    assert part is not None
    assert part.weights.by_kind[KIND_CODES[EventKind.PURCHASE]] == 0
    assert part.weights.by_kind[KIND_CODES[EventKind.VIEW]] == 1


def test_long_ago_does_not_count() -> None:
    part = converted([*LINES, *member("m6", "c", "b", 10), *member("m7", "c", "b", 10), *member("m8", "a", "x", 10)])
    recent = converted(LINES)
    assert part is not None
    assert recent is not None
    assert part.purchases.sum() == recent.purchases.sum()
    longer = converted([*LINES, *member("m6", "c", "b", 10)], days=95)
    assert longer is not None
    assert longer.purchases.sum() != recent.purchases.sum()


def test_without_browsing_or_purchases_there_is_nothing_to_learn() -> None:
    assert converted(member("m1", "", "ab")) is None
    assert converted(member("m1", "ab", "")) is None
