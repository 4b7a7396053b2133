"""Batches of queries."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from recommender.query import Context, Scenario, batch_of
from tests.learning import AS_OF, ask, batch, history, mask_of, minutes_ago, plain_weights


def test_queries_are_laid_side_by_side() -> None:
    asked = batch_of([ask((1, 2), store_row=0), ask(), ask((3, 1), (4, 2), store_row=2)], [None, mask_of(5, 1), None])
    assert len(asked) == 3
    assert asked.histories.indptr.tolist() == [0, 1, 1, 3]
    assert asked.histories.item_row.tolist() == [1, 4, 3]
    assert asked.as_of.tolist() == [AS_OF] * 3
    assert asked.store_row.tolist() == [0, 0, 2]
    assert asked.has_store.tolist() == [True, False, True]
    assert asked.allowed[0] is None
    assert asked.allowed[1] is not None


def test_who_opted_out_enters_without_history() -> None:
    asked = batch(ask((1, 2), personal=False), ask((3, 1)))
    assert asked.histories.indptr.tolist() == [0, 0, 1]


def test_pairs_are_computed_once_per_weights() -> None:
    asked = batch(ask((1, 10)))
    pairs = asked.pairs(plain_weights(10))
    assert asked.pairs(plain_weights(10)) is pairs
    assert asked.pairs(plain_weights(20)) is not pairs
    assert np.allclose(pairs.purchased, 0.5)


def test_scenarios_have_their_names_in_requests() -> None:
    names = ["home", "buy_again", "discover", "trending", "similar", "basket", "substitutes", "new", "session"]
    assert [str(scenario) for scenario in Scenario] == names


def test_what_queries_are_about_is_laid_in_rows() -> None:
    first = ask(context=[4, 1])
    visit = replace(first, context=Context.of([3, 0, 2], decay=0.5))
    asked = batch(first, ask(), visit)
    matrix = asked.context_matrix(5)
    assert matrix is not None
    assert matrix.toarray().tolist() == [[0, 1, 0, 0, 1], [0, 0, 0, 0, 0], [0.5, 0, 0.25, 1, 0]]
    assert batch(ask(), ask()).context_matrix(5) is None


def test_queries_about_one_history_share_it() -> None:
    first = ask((1, 2), (3, 1))
    earlier = replace(first, as_of=AS_OF - 1440)
    asked = batch(
        first, ask((4, 1)), replace(first, scenario=Scenario.DISCOVER), earlier, replace(first, personal=False)
    )
    assert asked.history_of.tolist() == [0, 1, 0, 2, 3]
    assert asked.histories.indptr.tolist() == [0, 2, 3, 5, 5]
    assert asked.as_of.tolist() == [AS_OF, AS_OF, AS_OF - 1440, AS_OF]
    query, entry = asked.spread(asked.histories.indptr)
    assert query.tolist() == [0, 0, 1, 2, 2, 3, 3]
    assert entry.tolist() == [0, 1, 2, 0, 1, 3, 4]


def test_nothing_is_spread_from_nothing() -> None:
    query, entry = batch(ask(), ask()).spread(np.array([0, 0, 0]))
    assert (query.tolist(), entry.tolist()) == ([], [])


def test_a_query_shares_its_pairs_with_the_batch_of_itself_and_with_no_other_query() -> None:
    first = ask((1, 10))
    assert batch(first).pairs(plain_weights()) is first.pairs(plain_weights())
    assert first.pairs(plain_weights()).purchased.tolist() == [0.5]
    earlier = replace(first, as_of=AS_OF - 10 * 1440, history=history((1, 20)))
    assert earlier.pairs(plain_weights()).purchased.tolist() == [0.5]
    assert earlier.pairs(plain_weights()).first.tolist() == [minutes_ago(20)]
    refused = replace(first, personal=False)
    assert len(batch(refused).pairs(plain_weights()).item_row) == 0
    assert first.pairs(plain_weights()).purchased.tolist() == [0.5]
