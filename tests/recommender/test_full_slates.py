"""The slate is full: over random catalogues, histories, rules, pins and moves, in every scenario."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommender.arrangement import PINNED, Arrangement
from recommender.candidates import Slate
from recommender.diversity import Calibration, Diversity, Spread
from recommender.interactions import PURCHASE_CODE
from recommender.pipeline import Recommender
from recommender.query import CONTEXT_SCENARIOS, Context, Mask, Query, Scenario
from recommender.rules import NEVER_BOUGHT, all_masks, firm_masks, pins_of
from tests.learning import VIEW, Entry, ask
from tests.toy_shop import toy_recommender

BoolVector = npt.NDArray[np.bool_]

N_MOST = 30
RULES = ("not_sellable", "excluded", "out_of_stock", "filtered")
YIELDING = ("cool_down", "buried")
SEEDS = st.integers(0, 2**32 - 1)


def random_shop(rng: np.random.Generator) -> Recommender:
    """Draw a catalogue with what is popular, alike, new and on the rise in it."""
    n_items = int(rng.integers(1, N_MOST))

    def listed(most: int) -> dict[int, float]:
        return {int(row): float(rng.integers(1, 5)) for row in rng.permutation(n_items)[: rng.integers(most)]}

    pairs = rng.integers(n_items, size=(int(rng.integers(12)), 2)).tolist()
    shop = toy_recommender(
        popular=rng.integers(0, 6, n_items).tolist(),
        near={(left, right): float(rng.random()) for left, right in pairs if left != right},
        stores=[listed(10) for _ in range(rng.integers(3))],
        trending=listed(10),
        new=listed(5),
        depth=int(rng.choice([1, 3, 40])),
    )
    kinds = rng.integers(0, 4, (2, n_items)).astype(np.int32)
    strength = float(rng.choice([0.0, 0.4]))
    diversity = Diversity(dict.fromkeys(Scenario, strength), kinds)
    return replace(shop, spread=Spread(diversity, Calibration(strength, 0.4, 2.0, 28.0)))


def random_query(rng: np.random.Generator, shop: Recommender, scenario: Scenario) -> Query:
    """Draw a customer, what rules leave, and what marketers want."""
    n_items = len(shop.items)
    n_all = n_items + int(rng.integers(5))

    def subset() -> BoolVector:
        return rng.random(n_all) < rng.choice([0.0, 0.2, 0.6, 1.0], p=[0.1, 0.4, 0.4, 0.1])

    history: list[Entry] = [
        (int(rng.integers(n_items)), float(rng.uniform(0.1, 60)), *([VIEW] if rng.random() < 0.3 else []))  # type: ignore[misc]
        for _ in range(rng.integers(13))
    ]
    rules = rng.permutation([*RULES, *YIELDING])[: rng.integers(4)].tolist()
    masks = [Mask("everything", np.ones(n_all, bool))]
    masks += [Mask(rule, ~subset(), yields=rule in YIELDING) for rule in rules]
    positions = np.sort(rng.permutation(np.arange(1, 13))[: rng.integers(4)]).tolist()
    about = rng.permutation(n_items)[: rng.integers(4)].tolist() if scenario in CONTEXT_SCENARIOS else []
    asked = ask(*history, scenario=scenario, count=int(rng.integers(1, 41)), personal=bool(rng.random() < 0.8))
    return replace(
        asked,
        masks=tuple(masks),
        context=Context.of(about),
        arrangement=Arrangement(
            boosts=((subset(), float(rng.choice([0.1, 3.0]))),),
            pins=tuple(zip(positions, rng.permutation(n_all).tolist(), strict=False)),
            diversity=rng.choice([None, 0.0, 0.5]),
            repeat_share=rng.choice([None, 0.0, 0.5, 1.0]),
        ),
    )


def may_be_shown(query: Query, allowed: BoolVector) -> set[int]:
    """Return the rows that a slate may hold, worked out apart from the pipeline."""
    found = set(np.flatnonzero(allowed).tolist()) - set(query.context.hidden.tolist())
    if query.scenario in NEVER_BOUGHT and query.personal:
        found -= set(query.history.item_row[query.history.kind == PURCHASE_CODE].tolist())
    return found


def check(query: Query, slate: Slate, shop: Recommender) -> None:
    firm, best = firm_masks(query), all_masks(query)
    assert firm is not None
    assert best is not None
    rows = slate.row.tolist()
    can, first = may_be_shown(query, firm), may_be_shown(query, best)
    assert len(rows) == min(query.count, len(can))
    assert len(set(rows)) == len(rows)
    assert set(rows) <= can
    if set(rows) - first:  # what gives way is shown where nothing else is left
        assert first <= set(rows)
    assert len(slate.score) == len(slate.source) == len(rows)
    assert np.isfinite(slate.score).all()
    assert (np.diff(slate.score) <= 0).all()
    assert PINNED not in slate.dropped
    for position, row in pins_of(query, shop.subject(query)):
        assert row in rows
        assert slate.source[rows.index(row)] == PINNED
        if position <= len(rows) - sum(place > position for place, _ in query.arrangement.pins):
            assert rows[position - 1] == row


def same(left: Slate, right: Slate) -> None:
    assert left.row.tolist() == right.row.tolist()
    assert left.score.tolist() == right.score.tolist()
    assert (left.source, left.strategy, left.dropped) == (right.source, right.strategy, right.dropped)


@pytest.mark.parametrize("scenario", list(Scenario))
@settings(max_examples=80, deadline=None)
@given(seed=SEEDS)
def test_slates_are_full_and_keep_every_rule(scenario: Scenario, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shop = random_shop(rng)
    query = random_query(rng, shop, scenario)
    (slate,) = shop.recommend([query])
    check(query, slate, shop)
    same(slate, shop.recommend([query])[0])


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS)
def test_a_slate_does_not_depend_on_its_batch(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shop = random_shop(rng)
    queries = [random_query(rng, shop, list(Scenario)[at]) for at in rng.permutation(len(Scenario))]
    for query, slate in zip(queries, shop.recommend(queries), strict=True):
        check(query, slate, shop)
        same(slate, shop.recommend([query])[0])


@pytest.mark.parametrize("scenario", list(Scenario))
@settings(max_examples=40, deadline=None)
@given(seed=SEEDS)
def test_pages_are_disjoint_and_leave_nothing_out(scenario: Scenario, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shop = random_shop(rng)
    query = random_query(rng, shop, scenario)
    firm = firm_masks(query)
    assert firm is not None
    shown: list[int] = []
    size = query.count
    while size == query.count:
        free = np.ones(len(firm), bool)
        free[shown] = False
        arrangement = replace(query.arrangement, pins=() if shown else query.arrangement.pins)
        page = replace(query, masks=(*query.masks, Mask("shown_before", free)), arrangement=arrangement)
        (slate,) = shop.recommend([page])
        check(page, slate, shop)
        shown += slate.row.tolist()
        size = len(slate.row)
    assert len(shown) == len(set(shown))
    assert set(shown) == may_be_shown(query, firm)
