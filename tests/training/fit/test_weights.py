"""How much events count by default, and what later purchases teach."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recommender.events import KIND_CODES, EventKind
from recommender.interactions import HISTORY_KINDS
from tests.training.datasets import Line, dataset_of, minute_of
from training.dataset import Snapshot, snapshot
from training.fit.weights import learn_weights, weights_of

VIEW, BASKET = EventKind.VIEW, EventKind.BASKET_ADD


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


def views_and_baskets(
    n_people: int, view_sells: float, basket_sells: float, channels: tuple[int, ...] = (0,)
) -> Snapshot:
    """Let everybody view one item and put another into the basket on day 89, and some buy either on day 95."""
    lines: list[Line] = []
    for person in range(n_people):
        name = f"p{person:03d}"
        lines += [(name, "a", 89, "view"), (name, "b", 89, "basket_add")]
        lines += [(name, "a", 95)] if person < view_sells * n_people else []
        lines += [(name, "b", 95)] if person < basket_sells * n_people else []
    lines.append(("old", "c", 0))
    dataset = dataset_of(lines)
    channel = np.array(channels, np.uint8)[dataset.entries.person_row % len(channels)]
    entries = replace(dataset.entries, channel=channel)
    data = snapshot(replace(dataset, entries=entries, channels=("pos", "app", "web")), minute_of(100))
    return data


def learned(data: Snapshot, kind: EventKind) -> float:
    return learn_weights(data, weights_of(90, 14, 3), 10).by_kind[KIND_CODES[kind]]


def test_kinds_that_end_in_purchases_gain_weight() -> None:
    # Baskets are 4 views by default. Here one view in ten and eight baskets in ten sell: 8 views.
    data = views_and_baskets(4000, 0.1, 0.8)
    assert learned(data, BASKET) / learned(data, VIEW) == pytest.approx(8, rel=0.1)
    # All browsing together weighs what it did: as many views as baskets, 1 + 4.
    assert learned(data, BASKET) + learned(data, VIEW) == pytest.approx(5, abs=1e-3)


def test_few_events_change_little() -> None:
    ratio = learned(views_and_baskets(10, 0.1, 0.8), BASKET) / learned(views_and_baskets(10, 0.1, 0.8), VIEW)
    assert 4 < ratio < 4.6


def test_a_weight_is_not_changed_beyond_measure() -> None:
    data = views_and_baskets(4000, 0.0, 0.9)
    # The view falls to a fifth at most, the basket then stands 4 * 5 above at least and 4 * 25 at most.
    assert 20 <= learned(data, BASKET) / learned(data, VIEW) <= 100


def test_kinds_without_events_and_purchases_keep_their_place() -> None:
    weights = learn_weights(views_and_baskets(400, 0.1, 0.8), weights_of(90, 14, 3), 10)
    assert weights.by_kind[KIND_CODES[EventKind.PURCHASE]] == 1
    assert weights.by_kind[KIND_CODES[EventKind.RETURN]] == 0
    assert (weights.purchase_half_life_days, weights.browse_half_life_days) == (90, 14)
    assert all(weight > 0 for weight in weights.by_channel)


def test_channels_whose_events_end_in_purchases_gain_weight() -> None:
    # People of even rows act in channel 1, those of odd rows in channel 0; the first half of all views sells, and
    # in channel 1 all of them are made to.
    data = views_and_baskets(2000, 0.5, 0.5, channels=(1, 0))
    entries = data.entries
    sells = (entries.kind != KIND_CODES[EventKind.PURCHASE]) | (entries.channel == 1) | (entries.person_row % 4 == 1)
    factors = learn_weights(replace(data, entries=entries.where(sells)), weights_of(90, 14, 3), 10).by_channel
    # Half of channel 1's views sell and a quarter of channel 0's. The third channel has no events.
    larger = max(factors)
    assert larger / min(factors[:2]) == pytest.approx(2, rel=0.15)
    assert factors[2] == pytest.approx(1, rel=0.6)


def test_nothing_to_learn_leaves_the_defaults() -> None:
    default = weights_of(90, 14, 1)
    lines: list[list[Line]] = [
        [("p", "a", 1), ("q", "b", 50)],  # one kind in one channel
        [("p", "a", 1, "view"), ("q", "b", 50, "basket_add")],  # nobody buys
        [("p", "a", 99.9, "view"), ("q", "b", 99.9)],  # all on one day
    ]
    for case in lines:
        assert learn_weights(snapshot(dataset_of(case), minute_of(100)), default, 28) == default
