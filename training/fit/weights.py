"""How much events count: settings -> interaction weights."""

from __future__ import annotations

from recommender.events import EventKind
from recommender.interactions import Weights

KIND_WEIGHTS: dict[EventKind, float] = {
    EventKind.PURCHASE: 1.0,
    EventKind.VIEW: 1.0,
    EventKind.FAVORITE: 3.0,
    EventKind.BASKET_ADD: 4.0,
    EventKind.SHARE: 3.0,
    EventKind.RATING: 2.0,
}
"""Weight of one event of a kind; kinds that are not named weigh nothing. Purchases and browsing decay apart."""


def weights_of(purchase_half_life_days: float, browse_half_life_days: float, n_channels: int) -> Weights:
    """Return the weights for given half-lives; all channels count the same."""
    return Weights(
        purchase_half_life_days,
        browse_half_life_days,
        tuple(KIND_WEIGHTS.get(kind, 0.0) for kind in EventKind),
        (1.0,) * n_channels,
    )
