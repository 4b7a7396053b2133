"""The conditions that a request puts on items: sellable, asked for, listed and in stock, as masks of a query."""

from __future__ import annotations

from collections.abc import Sequence, Set

import numpy as np
import numpy.typing as npt

from recommender.query import Mask, Scenario
from recommender.request import SlateRequest
from recommender.storage.dislikes import BRAND, CATEGORY, ITEM, Dislike
from recommender.storage.live import LiveView

BoolVector = npt.NDArray[np.bool_]

REACHABLE_STORES = 32
"""Most stores looked at when a request names none."""


def build_masks(
    request: SlateRequest, live: LiveView, store_id: str | None, online: Set[str], adult: bool | None, delicate: bool
) -> tuple[tuple[Mask, ...], bool]:
    """Return the conditions on items, and whether the stock that matters is unknown.

    Args:
        request: what was asked.
        live: catalogue, stores and stock.
        store_id: the store that holds for the request, if any.
        online: names of the channels that sell online.
        adult: True only for a customer known to be of age.
        delicate: whether delicate goods may be likened to others.
    Raises: StoreBusyError if a store must be read and the database is away.
    """
    masks = [Mask("not_sellable", live.sellable(adult)), *_pulled(live)]
    if request.exclude:
        masks.append(Mask("excluded", _all_but(request.exclude, live)))
    shown = [*request.context.item_ids(request.scenario), *request.context.basket_item_ids]
    if shown:
        masks.append(Mask("in_context", _all_but(shown, live)))
    if request.scenario is Scenario.SIMILAR and live.standing.delicate is not None and not delicate:
        masks.append(Mask("delicate", ~live.standing.delicate))
    listed = None if store_id is None else live.assortment(store_id)
    if listed is not None:
        masks.append(Mask("not_listed", listed))
    if not request.stock:
        return tuple(masks), False
    if request.store_id and not request.reachable_store_ids:
        stores: Sequence[str] = [store_id or request.store_id]
    else:
        stores = reachable_stores(request, store_id, live, online)
    stock = any_stock(stores, live)
    if stock is not None:
        masks.append(Mask("out_of_stock", stock))
    return tuple(masks), stock is None


def not_interested(dislikes: Sequence[Dislike], live: LiveView) -> Mask:
    """Return the condition of items that a customer does not want to see: themselves, or for brand or category."""
    by_kind: dict[str, list[str]] = {ITEM: [], BRAND: [], CATEGORY: []}
    for one in dislikes:
        by_kind[one.kind].append(one.value)
    facts = live.catalog.facts
    allowed = _all_but(by_kind[ITEM], live)
    if by_kind[BRAND]:
        allowed &= ~facts.brand.among(by_kind[BRAND])
    if by_kind[CATEGORY]:
        allowed &= ~facts.category.below(by_kind[CATEGORY])
    return Mask("not_interested", allowed)


def _pulled(live: LiveView) -> list[Mask]:
    """Return the conditions of items that are recalled, or have another code now."""
    found = (("recalled", live.standing.recalled), ("replaced", live.standing.replaced))
    return [Mask(rule, ~items) for rule, items in found if items is not None]


def reachable_stores(request: SlateRequest, store_id: str | None, live: LiveView, online: Set[str]) -> Sequence[str]:
    """Return the stores that a customer can buy from: those that the request names, else those that are near.

    Args:
        request: with a store and reachable stores, or without.
        store_id: the store that holds for the request, or the member's home store.
        live: what is known of stores.
        online: names of the channels that sell online.
    """
    if request.reachable_store_ids:
        own = [request.store_id] if request.store_id else []
        return list(dict.fromkeys([*own, *request.reachable_store_ids]))
    near = live.near.get(store_id)
    if near is None:
        near = _near(store_id, live, online)
        if store_id is None or store_id in live.stores:
            live.near[store_id] = near
    return near


def _near(store_id: str | None, live: LiveView, online: Set[str]) -> list[str]:
    """Return a store, if there is one, with the stores of its city and those that sell online."""
    home = None if store_id is None else live.stores.get(store_id)
    city = None if home is None else home.city
    near = [
        name
        for name, store in sorted(live.stores.items())
        if name != store_id and (store.channel in online or (city is not None and store.city == city))
    ]
    return ([store_id] if store_id else []) + near[:REACHABLE_STORES]


def _all_but(item_ids: Sequence[str], live: LiveView) -> BoolVector:
    """Return which items are not among some."""
    allowed = np.ones(len(live.catalog), bool)
    allowed[live.catalog.rows(item_ids)[0]] = False
    return allowed


def any_stock(stores: Sequence[str], live: LiveView) -> BoolVector | None:
    """Return what any of the stores has that are not closed; None if there is none, or one of which nothing is known.

    Raises: StoreBusyError if a store must be read and the database is away.
    """
    key = ("any_stock", *stores)
    found = live.masks.find(key)
    if found is not None:
        return found
    for store in stores:
        if store in live.closed_stores:
            continue
        stock = live.stock(store)
        if stock is None:
            return None
        found = stock if found is None else found | stock
    return None if found is None else live.masks.keep(key, found)
