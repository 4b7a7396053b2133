"""Weights of events by kind, channel and age; pairs; the matrix."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from recommender.events import KIND_CODES, EventKind
from recommender.history import Histories
from recommender.interactions import HISTORY_KINDS, Pairs, Weights, heaviest, matrix_of, summarize
from tests.learning import AS_OF, VIEW, histories, minutes_ago, plain_weights

WEIGHTS = plain_weights(purchase_half_life=10, browse_half_life=5)


def summary(whole: Histories, weights: Weights = WEIGHTS) -> Pairs:
    return summarize(whole, np.full(len(whole), AS_OF, np.int32), weights)


def test_one_pair_per_item_touched() -> None:
    # Item 2: bought 10 and 20 days ago (1/2 + 1/4), viewed 5 days ago (1/2). Item 0: viewed 10 days ago (1/4).
    pairs = summary(histories([(2, 10), (0, 10, VIEW), (2, 20), (2, 5, VIEW)], [], [(1, 0)]))
    assert pairs.indptr.tolist() == [0, 2, 2, 3]
    assert pairs.query.tolist() == [0, 0, 2]
    assert pairs.item_row.tolist() == [0, 2, 1]
    assert pairs.bought.tolist() == [0, 2, 1]
    assert pairs.purchased.tolist() == pytest.approx([0, 0.75, 1])
    assert pairs.browsed.tolist() == pytest.approx([0.25, 0.5, 0])
    assert pairs.first.tolist() == [minutes_ago(10), minutes_ago(20), AS_OF]
    assert pairs.last.tolist() == [minutes_ago(10), minutes_ago(10), AS_OF]


def test_views_of_one_day_count_by_the_logarithm() -> None:
    # Three views make log2(1 + 3) = 2; a purchase is one, however many lines it has.
    whole = replace(histories([(0, 0, VIEW), (1, 0)]), times=np.array([3, 3], np.uint8))
    pairs = summary(whole)
    assert pairs.browsed.tolist() == pytest.approx([2, 0])
    assert pairs.purchased.tolist() == pytest.approx([0, 1])


def test_first_and_last_of_an_item_never_bought_are_its_last_event() -> None:
    pairs = summary(histories([(0, 9, VIEW), (0, 4, VIEW)]))
    assert pairs.first.tolist() == pairs.last.tolist() == [minutes_ago(4)]


def test_kinds_and_channels_weigh() -> None:
    by_kind = tuple({EventKind.PURCHASE: 2.0, EventKind.VIEW: 0.5}.get(kind, 0.0) for kind in EventKind)
    weights = Weights(10, 5, by_kind, (1.0, 3.0))
    whole = histories([(0, 0), (1, 0, VIEW), (2, 0, EventKind.RATING)])
    pairs = summary(replace(whole, channel=np.array([1, 1, 0], np.uint8)), weights)
    assert pairs.purchased.tolist() == [6, 0, 0]
    assert pairs.browsed.tolist() == [0, 1.5, 0]


def test_each_history_has_its_own_present() -> None:
    whole = histories([(0, 10)], [(0, 10)])
    pairs = summarize(whole, np.array([AS_OF, minutes_ago(10)], np.int32), WEIGHTS)
    assert pairs.purchased.tolist() == [0.5, 1]


def test_no_entries_make_no_pairs() -> None:
    pairs = summary(Histories.empty(3))
    assert pairs.indptr.tolist() == [0, 0, 0, 0]
    assert len(pairs.item_row) == len(pairs.query) == 0


def test_the_same_item_in_two_histories_is_two_pairs() -> None:
    assert summary(histories([(3, 1)], [(3, 2)])).indptr.tolist() == [0, 1, 2]


def test_every_kind_of_a_history_is_weighed_by_one_of_the_two_half_lives() -> None:
    for kind in HISTORY_KINDS:
        pairs = summary(histories([(0, 10, kind)]))
        assert float(pairs.purchased[0] + pairs.browsed[0]) == (0.5 if kind is EventKind.PURCHASE else 0.25)


def test_matrix() -> None:
    whole = histories([(2, 10), (0, 5, VIEW)], [], [(1, 0, EventKind.SURVEY)])
    matrix = matrix_of(summary(whole), 4, browse_weight=0.5)
    assert matrix.dtype == np.float32
    assert matrix.toarray().tolist() == [[0.25, 0, 0.5, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert matrix.nnz == 2
    assert matrix_of(summary(whole), 4, browse_weight=0).toarray()[0].tolist() == [0, 0, 0.5, 0]


def test_a_matrix_leaves_the_pairs_as_they_are() -> None:
    pairs = summary(histories([(0, 9000), (1, 1), (2, 1, VIEW)], [(0, 9000)], [(3, 2)]))
    assert pairs.purchased.tolist()[0] == 0  # so long ago that nothing is left
    matrix = matrix_of(pairs, 4, browse_weight=0)
    assert matrix.nnz == 2
    assert matrix.indptr.tolist() == [0, 1, 1, 2]
    matrix.data[:] = 0
    matrix.eliminate_zeros()
    assert pairs.item_row.tolist() == [0, 1, 2, 0, 3]
    assert pairs.indptr.tolist() == [0, 3, 4, 5]


def test_heaviest_entries_of_a_row() -> None:
    matrix = sp.csr_matrix(np.array([[3, 1, 2, 1], [0, 0, 0, 5], [1, 1, 1, 0], [0, 0, 0, 0]], np.float32))
    assert heaviest(matrix, 2).toarray().tolist() == [[3, 0, 2, 0], [0, 0, 0, 5], [1, 1, 0, 0], [0, 0, 0, 0]]
    assert heaviest(matrix, 3).toarray()[0].tolist() == [3, 1, 2, 0]
    assert heaviest(matrix, 4) is matrix
    assert matrix.toarray()[0].tolist() == [3, 1, 2, 1]


def test_codes_of_kinds_are_fixed_for_good() -> None:
    """Bundles and histories hold these codes: new kinds are only ever appended."""
    assert [str(kind) for kind, code in sorted(KIND_CODES.items(), key=lambda item: item[1])] == [
        "view",
        "search",
        "favorite",
        "basket_add",
        "basket_remove",
        "purchase",
        "return",
        "rating",
        "share",
        "not_interested",
        "coupon_view",
        "coupon_claim",
        "coupon_redeem",
        "push_open",
        "push_click",
        "push_delivered",
        "guide_accept",
        "guide_done",
        "guide_skip",
        "survey",
    ]
