"""From what a request and its scenario's settings ask to what a query holds: masks of filters, and the arrangement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recommender.arrangement import Arrangement
from recommender.catalog import BoolVector, Catalog, CentsVector
from recommender.filters import Filter, Reach
from recommender.masks import any_stock, reachable_stores
from recommender.placement import Placement, joined
from recommender.query import Mask
from recommender.request import SlateRequest
from recommender.storage.live import LiveView

FILTER_EMPTY = "filter_empty"
"""Flag: no item at all passes the filters."""
PIN_DROPPED = "pin_dropped"
"""Flag: a pinned item is unknown, or rules or the scenario do not allow it to be shown."""


@dataclass(frozen=True, slots=True)
class StoreShelf:
    """The items as filters see them from where a customer is.

    store_id: whose prices and stock hold, if any.
    online: names of the channels that sell online.
    """

    request: SlateRequest
    live: LiveView
    store_id: str | None
    online: frozenset[str]

    @property
    def catalog(self) -> Catalog:
        """As Shelf.catalog."""
        return self.live.catalog

    @property
    def minute(self) -> int:
        """As Shelf.minute."""
        return self.live.minute

    def prices(self) -> tuple[CentsVector, BoolVector]:
        """As Shelf.prices."""
        return self.live.prices(self.store_id)

    def stock(self, reach: Reach) -> BoolVector | None:
        """As Shelf.stock."""
        if reach is Reach.REACHABLE:
            return any_stock(reachable_stores(self.request, self.store_id, self.live, self.online), self.live)
        return None if self.store_id is None else self.live.stock(self.store_id)

    def holds(self, condition: Filter) -> BoolVector:
        """Return which items a filter holds for; computed once for a state of what it depends on."""
        if not condition.of_store and not condition.of_moment:
            return self.live.item_masks.get(condition.key, lambda: condition.expression.mask(self))
        where = (self.store_id, self.request.store_id, tuple(self.request.reachable_store_ids))
        key = (condition.key, where) if condition.of_store else condition.key
        return self.live.masks.get(key, lambda: condition.expression.mask(self))


def steer(placement: Placement, shelf: StoreShelf) -> tuple[tuple[Mask, ...], Arrangement, list[str]]:
    """Return the masks, the arrangement and the flags that follow from what was set and asked.

    Args:
        placement: the settings of the request's scenario.
        shelf: the request, and the items as they are for it.
    Raises: StoreBusyError if a store must be read and the database is away.
    """
    request, kept, asked = shelf.request, placement.steering, shelf.request.steering
    masks = []
    for rule, condition in (("scenario_filter", kept.filters), ("filtered", asked.filters)):
        if condition is not None:
            masks.append(Mask(rule, shelf.holds(condition)))
    flags = [] if all(mask.allowed.any() for mask in masks) else [FILTER_EMPTY]
    if request.among:
        masks.append(Mask("not_asked", ~_all_but(request.among, shelf.catalog)))
    if request.shown:
        masks.append(Mask("shown_before", _all_but(request.shown, shelf.catalog)))
    for condition in (kept.bury, asked.bury):
        if condition is not None:
            masks.append(Mask("buried", ~shelf.holds(condition), yields=True))
    pins = () if request.shown else joined(kept, asked)
    rows = [(pin.position, shelf.catalog.row(pin.item_id)) for pin in pins if pin.position <= request.count]
    if any(row is None for _, row in rows):
        flags.append(PIN_DROPPED)
    arrangement = Arrangement(
        boosts=tuple((shelf.holds(boost.filters), boost.factor) for boost in (*kept.boosts, *asked.boosts)),
        pins=tuple((position, row) for position, row in rows if row is not None),
        diversity=placement.diversity,
        repeat_share=placement.repeat_share,
        plain=bool(request.among),
    )
    return tuple(masks), arrangement, flags


def _all_but(item_ids: Sequence[str], catalog: Catalog) -> BoolVector:
    """Return which items are not among some."""
    allowed = np.ones(len(catalog), bool)
    allowed[catalog.rows(item_ids)[0]] = False
    return allowed
