"""Coverage: which items of the catalogue an offer is for, and what a member's history says of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recommender.catalog import Catalog
from recommender.coupons.offers import Offer
from recommender.filters import MaskCache
from recommender.history import MINUTES_PER_DAY, Histories
from recommender.interactions import PURCHASE_CODE
from recommender.touches import Touch

BoolVector = npt.NDArray[np.bool_]

LOOK_BACK_DAYS = 180
"""How far back is counted what a member buys of an offer's goods."""
LONGEST_DAYS = 14.0
"""An offer that lasts longer is judged by so many days."""
REGULAR_TIMES = 3
"""Purchases from which on a member's rhythm is known."""
LAPSED = 3.0
"""Rhythms without a purchase after which it is not a rhythm any more."""


@dataclass(frozen=True, slots=True)
class Bought:
    """What a member bought of an offer's goods.

    times: days with a purchase, of the last LOOK_BACK_DAYS.  last: minute of the latest one, None if there is none.
    """

    times: int
    last: int | None


def covered_items(offer: Offer, catalog: Catalog, masks: MaskCache) -> BoolVector:
    """Return which items an offer is for, bool, (len(catalog),): in its scope, and not restricted.

    Args:
        masks: of what asks for nothing but items.
    """
    return masks.get(("offer_scope", offer.scope), lambda: _covered(offer, catalog))


def _covered(offer: Offer, catalog: Catalog) -> BoolVector:
    scope, columns = offer.scope, catalog.columns
    free: BoolVector = (columns.restricted == 0) & ~columns.hidden
    if scope.everything:
        return free
    meant = np.zeros(len(catalog), bool)
    if scope.items:
        meant[catalog.rows(sorted(scope.items))[0]] = True
    if scope.categories:
        meant |= catalog.facts.category.below(scope.categories)
    if scope.brands:
        meant |= catalog.facts.brand.among(scope.brands)
    meant &= free
    return meant


def bought_of(history: Histories, covered: BoolVector, as_of: int, day_offset: int) -> Bought:
    """Count the days on which covered items were bought.

    Args:
        history: one segment.
        covered: of the catalogue's items, the bundle's first.
        as_of: minutes since 1970-01-01 UTC; only what lies before counts.
        day_offset: what to add to a minute to make local days begin at multiples of a day.
    """
    kept = (history.kind == PURCHASE_CODE) & (history.minute < as_of) & covered[history.item_row]
    minute = history.minute[kept & (history.minute >= as_of - LOOK_BACK_DAYS * MINUTES_PER_DAY)]
    if not len(minute):
        return Bought(0, None)
    days = np.unique((minute.astype(np.int64) + day_offset) // MINUTES_PER_DAY)
    return Bought(len(days), int(minute.max()))


def chance_of(bought: Bought, days: float) -> float:
    """Return the chance that a member buys of some goods within days, at the rate of the last LOOK_BACK_DAYS."""
    return 1.0 - math.exp(-bought.times / LOOK_BACK_DAYS * min(days, LONGEST_DAYS))


def buys_anyway(touch: Touch | None, as_of: int, days: float) -> float:
    """Return the chance that a member buys an item within days without being given anything, by its own rhythm.

    Args:
        touch: what the history says of the item.
        as_of: the present minute.
        days: how long the offer lasts.
    Returns: 0 where no rhythm is known, or where it ended.
    """
    if touch is None or touch.bought < REGULAR_TIMES:
        return 0.0
    every = max((touch.last - touch.first) / (touch.bought - 1), MINUTES_PER_DAY)
    since = as_of - touch.last
    if since > LAPSED * every:
        return 0.0
    due_in = max(every - since, 0.0)
    ahead = min(days, LONGEST_DAYS) * MINUTES_PER_DAY
    return 1.0 - math.exp(-ahead / max(due_in, every / 2))
