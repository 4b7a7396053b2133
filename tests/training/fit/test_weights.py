"""How much events count by default."""

from __future__ import annotations

from recommender.events import KIND_CODES, EventKind
from recommender.interactions import HISTORY_KINDS
from training.fit.weights import weights_of


def test_every_kind_that_histories_keep_counts_and_no_other() -> None:
    weights = weights_of(90, 14, 3)
    assert (weights.purchase_half_life_days, weights.browse_half_life_days) == (90, 14)
    counted = {kind for kind, code in KIND_CODES.items() if weights.by_kind[code] > 0}
    assert counted == set(HISTORY_KINDS)
    assert len(weights.by_kind) == len(EventKind)


def test_a_view_counts_less_than_what_shows_more_interest() -> None:
    by_kind = weights_of(90, 14, 1).by_kind
    view = by_kind[KIND_CODES[EventKind.VIEW]]
    assert all(by_kind[KIND_CODES[kind]] > view for kind in (EventKind.FAVORITE, EventKind.BASKET_ADD))


def test_all_channels_count_the_same() -> None:
    assert weights_of(90, 14, 3).by_channel == (1, 1, 1)
