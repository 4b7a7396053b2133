"""LiveState: what every worker keeps of catalogue, stores and stock, kept up to date from SQL."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from functools import partial
from typing import Any, TypeVar

from sqlalchemy.engine import Connection

from recommender.catalog import BoolVector, Catalog, CentsVector, StoreFacts, minute_of
from recommender.errors import StoreBusyError
from recommender.filters import MaskCache
from recommender.ids import IdIndex
from recommender.placement import NO_PLACEMENT, Placement
from recommender.storage.database import Database
from recommender.storage.live_rows import read_changed_items, read_changes, read_stores
from recommender.storage.placements import read_placements
from recommender.storage.price_lists import PriceList, prices_at, read_prices
from recommender.storage.shelves import Listing, StoreCache, put_stock, read_listing, read_stock
from recommender.storage.statements import fetch

V = TypeVar("V")
logger = logging.getLogger(__name__)

POLL_SECONDS = 0.2
STORES_KEPT = 64
MOST_STOCK_CHANGES = 20_000
"""With more changes than this at once, all stock is read anew when asked for."""

_WATCHED = ("items", "stores", "inventory", "assortment", "prices", "scenario_versions")
_STOCK_CHANGES = "SELECT store_id, item_id, on_hand FROM inventory WHERE change_sequence > ? LIMIT ?"
_LISTING_CHANGES = "SELECT DISTINCT store_id FROM assortment WHERE change_sequence > ?"
_PRICE_CHANGES = "SELECT DISTINCT store_id FROM prices WHERE change_sequence > ?"


@dataclass(frozen=True, slots=True)
class LiveView:
    """The catalogue, stores and stock as they were at one poll; a request uses one view throughout.

    minute: the present, in minutes since 1970-01-01 UTC.
    stores: what is known of each store.  closed_stores: those closed for good by now.
    placements: what marketers set, by scenario.
    item_masks: of filters that ask for nothing but items; kept as long as the catalogue is.
    masks: of filters that ask for prices, stock or the time as well.
    """

    catalog: Catalog
    minute: int
    stores: Mapping[str, StoreFacts]
    closed_stores: frozenset[str]
    _stock: StoreCache[BoolVector]
    _listings: StoreCache[Listing]
    _sellable: dict[bool, BoolVector]
    _prices: StoreCache[PriceList]
    placements: Mapping[str, Placement]
    item_masks: MaskCache
    masks: MaskCache

    def placement(self, scenario: str) -> Placement:
        """Return what marketers set of a scenario."""
        return self.placements.get(scenario, NO_PLACEMENT)

    def prices(self, store_id: str | None) -> tuple[CentsVector, BoolVector]:
        """Return the price of each item now, in a store if one is named, and whether it is known.

        Returns: int64 cents and bool, (len(catalog),); items without a price of the store keep their own.
        Raises: StoreBusyError if the store must be read and the database is away.
        """
        return prices_at(self.catalog, None if store_id is None else self._prices.get(store_id), self.minute)

    def sellable(self, adult: bool | None) -> BoolVector:
        """Tell which items may be shown now; as Catalog.sellable, computed once per view."""
        of_age = adult is True
        if of_age not in self._sellable:
            allowed = self.catalog.sellable(self.minute, of_age)
            allowed.setflags(write=False)
            self._sellable[of_age] = allowed
        return self._sellable[of_age]

    def stock(self, store_id: str) -> BoolVector | None:
        """Tell which items a store has; None if it has no stock rows: nothing is known.

        Returns: bool, (len(catalog),); items without a row count as not in stock.
        Raises: StoreBusyError if the store must be read and the database is away.
        """
        return self._stock.get(store_id)

    def assortment(self, store_id: str) -> BoolVector | None:
        """Tell which items a store lists now; None if it has no assortment rows: everything may be shown.

        Returns: bool, (len(catalog),).
        Raises: StoreBusyError if the store must be read and the database is away.
        """
        listing = self._listings.get(store_id)
        if listing is None:
            return None
        listed_from, listed_until = listing
        return (listed_from <= self.minute) & (self.minute < listed_until)


class LiveState:
    """A process's view of the live state, polled when it is used; safe to share between threads.

    Args:
        database: where the state is.
        bundle_items: the items of the bundle that is served; they keep their rows.
        zone: the retailer's time zone: seasons and stores end at local midnight.
        poll_seconds: how old a view may get before the counters are read again.
        stores_kept: stores whose stock and assortment stay in memory.
    """

    def __init__(
        self,
        database: Database,
        bundle_items: IdIndex,
        zone: tzinfo = UTC,
        poll_seconds: float = POLL_SECONDS,
        stores_kept: int = STORES_KEPT,
    ) -> None:
        self._database = database
        self._zone = zone
        self._poll_seconds = poll_seconds
        self._stores_kept = stores_kept
        self._lock = threading.Lock()
        self._seen = dict.fromkeys(_WATCHED, 0)
        self._catalog = Catalog.of(bundle_items)
        self._view: LiveView | None = None
        self._next_poll = 0.0

    def current(self, now: datetime) -> LiveView:
        """Return the view for a request, after a poll if the last one is too old.

        While the database is away the last view is kept and a warning logged.

        Raises: StoreBusyError if there is no view yet and the database is away.
        """
        view, minute = self._view, minute_of(now)
        if view is not None and time.monotonic() < self._next_poll and view.minute == minute:
            return view
        if not self._lock.acquire(blocking=view is None):
            assert view is not None
            return view
        try:
            view = self._view
            if view is None or time.monotonic() >= self._next_poll:
                view = self._poll(minute)
            if view.minute != minute:
                view = _at_minute(view, minute)
            self._view = view
            return view
        finally:
            self._lock.release()

    def _poll(self, minute: int) -> LiveView:
        try:
            with self._database.read() as connection:
                return self._refresh(connection, minute)
        except StoreBusyError as error:
            if self._view is None:
                raise
            logger.warning("live_state_stale reason=%s", error.message)
            return self._view
        finally:
            self._next_poll = time.monotonic() + self._poll_seconds

    def _refresh(self, connection: Connection, minute: int) -> LiveView:
        """Return the view after what changed since the last poll."""
        counters = read_changes(connection)
        changed = {name for name in _WATCHED if counters.get(name, 0) > self._seen[name]}
        old, catalog, zone = self._view, self._catalog, self._zone
        if old is not None and not changed:
            return old
        if "items" in changed:
            catalog = read_changed_items(connection, catalog, self._seen["items"], zone)
        stores = read_stores(connection, zone) if old is None or "stores" in changed else old.stores
        stock: dict[str, BoolVector | None] = {}
        listings: dict[str, Listing | None] = {}
        prices: dict[str, PriceList | None] = {}
        if old is not None and len(catalog) == len(old.catalog):
            stock, listings = dict(old._stock.known()), dict(old._listings.known())
            prices = dict(old._prices.known())
        if "inventory" in changed:
            stock = _changed_stock(connection, catalog, stock, self._seen["inventory"])
        if "assortment" in changed:
            for (store_id,) in fetch(connection, _LISTING_CHANGES, (self._seen["assortment"],)):
                listings.pop(store_id, None)
        if "prices" in changed:
            for (store_id,) in fetch(connection, _PRICE_CHANGES, (self._seen["prices"],)):
                prices.pop(store_id, None)
        placements = read_placements(connection) if old is None or "scenario_versions" in changed else old.placements
        self._catalog = catalog
        self._seen |= {name: counters[name] for name in changed}
        kept, load = self._stores_kept, self._load
        view = LiveView(
            catalog=catalog,
            minute=minute,
            stores=stores,
            closed_stores=frozenset(),
            _stock=StoreCache(partial(load, read_stock, catalog), kept, stock.items()),
            _listings=StoreCache(partial(load, read_listing, catalog), kept, listings.items()),
            _sellable={},
            _prices=StoreCache(partial(load, read_prices, catalog), kept, prices.items()),
            placements=placements,
            item_masks=old.item_masks if old is not None and catalog is old.catalog else MaskCache(),
            masks=MaskCache(),
        )
        return _at_minute(view, minute)

    def _load(self, read: Callable[[Connection, Catalog, str], V | None], catalog: Catalog, store_id: str) -> V | None:
        with self._database.read() as connection:
            return read(connection, catalog, store_id)


def _at_minute(view: LiveView, minute: int) -> LiveView:
    closed = frozenset(store_id for store_id, store in view.stores.items() if store.closes_at <= minute)
    return replace(view, minute=minute, closed_stores=closed, _sellable={}, masks=MaskCache())


def _changed_stock(
    connection: Connection, catalog: Catalog, stock: Mapping[str, BoolVector | None], after: int
) -> dict[str, BoolVector | None]:
    """Return loaded stock with what changed after a sequence; a store to be read anew is left out."""
    rows = fetch(connection, _STOCK_CHANGES, (after, MOST_STOCK_CHANGES + 1)) if stock else []
    if len(rows) > MOST_STOCK_CHANGES:
        return {}
    by_store: dict[str, list[tuple[Any, ...]]] = {}
    for store_id, item_id, on_hand in rows:
        by_store.setdefault(store_id, []).append((item_id, on_hand))
    result = dict(stock)
    for store_id, changes in by_store.items():
        old = result.pop(store_id, None)
        if old is not None:
            new = old.copy()
            put_stock(catalog, new, changes)
            new.setflags(write=False)
            result[store_id] = new
    return result
