"""LiveState: what every worker keeps of catalogue, stores and stock, kept up to date from SQL."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from sqlalchemy.engine import Connection

from recommender.catalog import Catalog, minute_of
from recommender.errors import StoreBusyError
from recommender.filters import MaskCache
from recommender.ids import IdIndex
from recommender.likeness import Likeness
from recommender.standing import Standing, StandingRows
from recommender.storage.availability import Availability, FileStock, SqlStock, Stock
from recommender.storage.buzz import Buzz
from recommender.storage.catalog import read_priced_stores
from recommender.storage.database import Database
from recommender.storage.details import Details
from recommender.storage.experiments import read_running
from recommender.storage.live_rows import read_changed_items, read_changes, read_stores
from recommender.storage.live_view import LiveView
from recommender.storage.placements import read_placements
from recommender.storage.price_lists import PriceList, read_prices
from recommender.storage.shelves import (
    MOST_STOCK_CHANGES,
    Listing,
    StoreCache,
    changed_stock,
    read_listing,
    read_stock,
)
from recommender.storage.standing import STANDING_TABLES, read_standing
from recommender.storage.statements import fetch
from recommender.storage.stock_file import Shelf, StockFile

V = TypeVar("V")
logger = logging.getLogger(__name__)

POLL_SECONDS = 0.2
STORES_KEPT = 64
LIKENESS_SECONDS = 60.0
"""How long it is kept what new items are like, while none are added."""
LONELY_FILE_SECONDS = 30.0
"""A stock file that nobody has kept for so long, while the database answers, is not believed any more."""
STALE_FILE_SECONDS = 2.0
"""A stock file that nobody has kept for so long when it is opened may be of yesterday."""

_WATCHED = (
    "items",
    "stores",
    "inventory",
    "assortment",
    "prices",
    "scenario_versions",
    "experiments",
    *STANDING_TABLES,
)
_PRICE_CHANGES = "SELECT DISTINCT store_id FROM prices WHERE change_sequence > ?"
_LISTING_CHANGES = "SELECT DISTINCT store_id FROM assortment WHERE change_sequence > ?"
__all__ = ["MOST_STOCK_CHANGES", "LiveState", "LiveView"]


class LiveState:
    """A process's view of the live state, polled when it is used; safe to share between threads.

    Args:
        database: where the state is.
        bundle_items: the items of the bundle that is served; they keep their rows.
        zone: the retailer's time zone: seasons and stores end at local midnight.
        poll_seconds: how old a view may get before the counters are read again.
        stores_kept: stores whose stock and assortment stay in memory, if they are read from SQL.
        stock_file: the stock file of this host, used as soon as somebody keeps it.
    """

    def __init__(
        self,
        database: Database,
        bundle_items: IdIndex,
        zone: tzinfo = UTC,
        poll_seconds: float = POLL_SECONDS,
        stores_kept: int = STORES_KEPT,
        stock_file: Path | None = None,
    ) -> None:
        self._database = database
        self._zone = zone
        self._poll_seconds = poll_seconds
        self._stores_kept = stores_kept
        self._lock = threading.Lock()
        self._seen = dict.fromkeys(_WATCHED, 0)
        self._stock_path = stock_file
        self._stock_file: StockFile | None = None
        self._rows = StandingRows()
        self._buzz = Buzz()
        self._liken_at = 0.0
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
                view = view.at(minute)
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
        old, zone, file = self._view, self._zone, self._open_stock_file()
        if file is not None:  # it may lag behind what SQL says
            counters["inventory"] = file.sequence
        changed = {name for name in _WATCHED if counters.get(name, 0) != self._seen[name]}
        if old is not None and not changed and not _has_other_stock(old, file):
            return self._heard(connection, old)
        catalog = self._catalog
        if "items" in changed:
            catalog = read_changed_items(connection, catalog, self._seen["items"], zone)
        rows = read_standing(connection, self._rows, changed)
        standing = Standing.of(rows, catalog)
        if old is not None and rows is self._rows and catalog is old.catalog:
            standing = old.standing
        stock = self._stock(connection, catalog, file, "inventory" in changed)
        placed = "scenario_versions" in changed
        view = LiveView(
            catalog=catalog,
            minute=minute,
            stores=read_stores(connection, zone) if old is None or "stores" in changed else old.stores,
            closed_stores=frozenset(),
            standing=standing,
            likeness=self._likeness(catalog, rows, standing),
            buzz=np.zeros(0, np.float32) if old is None or not _same_rows(catalog, old.catalog) else old.buzz,
            placements=read_placements(connection) if old is None or placed else old.placements,
            experiments=read_running(connection) if old is None or "experiments" in changed else old.experiments,
            item_masks=old.item_masks if old is not None and catalog is old.catalog else MaskCache(),
            masks=MaskCache(),
            near={} if old is None or "stores" in changed else old.near,
            details=self._details(connection, catalog, "prices" in changed),
            _zone=zone,
            _availability=self._availability(stock, standing, catalog),
            _listings=self._listings(connection, catalog, "assortment" in changed),
            _prices=self._prices(connection, catalog, "prices" in changed),
            _sellable={},
        )
        self._catalog, self._rows = catalog, rows
        self._seen |= {name: counters.get(name, 0) for name in changed}
        return self._heard(connection, view.at(minute))

    def _likeness(self, catalog: Catalog, rows: StandingRows, standing: Standing) -> Likeness | None:
        """Return what items newer than the bundle are like; it is kept for a while: prices change it little."""
        old, seconds = self._view, time.monotonic()
        same = old is not None and _same_rows(catalog, old.catalog) and rows is self._rows
        if old is not None and same and (catalog is old.catalog or seconds < self._liken_at):
            return old.likeness
        self._liken_at = seconds + LIKENESS_SECONDS
        return Likeness.of(catalog, rows.alike, standing.successors)

    def _heard(self, connection: Connection, view: LiveView) -> LiveView:
        """Return a view with what has happened to items newer than the bundle; itself if nothing did."""
        if view.likeness is None:
            return view
        if self._buzz.read(connection, view.catalog, time.monotonic()) or len(view.buzz) != len(view.catalog.extra_ids):
            return replace(view, buzz=self._buzz.of(view.catalog))
        return view

    def _open_stock_file(self) -> StockFile | None:
        """Return the stock file if it is kept; a new one in its place is opened."""
        path, file = self._stock_path, self._stock_file
        if path is None:
            return None
        try:
            if file is None or path.stat().st_ino != file.inode:
                opened = StockFile(path)
                if file is not None or opened.beat_seconds > time.time() - STALE_FILE_SECONDS:
                    self._stock_file = opened
        except (OSError, ValueError):
            logger.debug("stock_file_not_opened path=%s", path)
        if file is not None and self._stock_file is file and file.beat_seconds < time.time() - LONELY_FILE_SECONDS:
            logger.warning("stock_file_not_kept path=%s", path)
            self._stock_file = None
        return self._stock_file

    def _stock(self, connection: Connection, catalog: Catalog, file: StockFile | None, changed: bool) -> Stock:
        """Return where stock is read from now on."""
        old = None if self._view is None else self._view._availability.stock
        if file is not None:
            return old if isinstance(old, FileStock) and old.is_of(file, catalog) else FileStock(file, catalog)
        shelves: dict[str, Shelf | None] = {}
        if self._view is not None and isinstance(old, SqlStock) and _same_rows(catalog, self._view.catalog):
            if not changed and catalog is self._view.catalog:
                return old
            shelves = dict(old.shelves.known())
        if changed:
            shelves = changed_stock(connection, catalog, shelves, self._seen["inventory"])
        return SqlStock(StoreCache(partial(self._load, read_stock, catalog), self._stores_kept, shelves.items()))

    def _availability(self, stock: Stock, standing: Standing, catalog: Catalog) -> Availability:
        """Return what stores have, with what is remembered of them if it still holds."""
        old = self._view
        if old is None:
            return Availability(stock, standing)
        return old._availability.followed_by(stock, standing, _same_rows(catalog, old.catalog))

    def _listings(self, connection: Connection, catalog: Catalog, changed: bool) -> StoreCache[Listing]:
        """Return the assortments, those that were read and still hold at once."""
        known = {} if self._view is None else dict(self._view._listings.known())
        after = self._seen["assortment"] if changed else None
        kept = self._still_holding(connection, catalog, known, _LISTING_CHANGES, after)
        return StoreCache(partial(self._load, read_listing, catalog), self._stores_kept, kept.items())

    def _prices(self, connection: Connection, catalog: Catalog, changed: bool) -> StoreCache[PriceList]:
        """Return the price lists, those that were read and still hold at once."""
        known = {} if self._view is None else dict(self._view._prices.known())
        after = self._seen["prices"] if changed else None
        kept = self._still_holding(connection, catalog, known, _PRICE_CHANGES, after)
        return StoreCache(partial(self._load, read_prices, catalog), self._stores_kept, kept.items())

    def _details(self, connection: Connection, catalog: Catalog, changed: bool) -> Details:
        """Return what is shown of items, with those remembered whose catalogue still holds."""
        old = self._view
        priced = read_priced_stores(connection) if old is None or changed else old.details.priced_stores
        return Details(self._database, priced, None if old is None or catalog is not old.catalog else old.details.known)

    def _still_holding(
        self, connection: Connection, catalog: Catalog, known: dict[str, V], statement: str, after: int | None
    ) -> dict[str, V]:
        """Leave out the stores that changed after a sequence, all of them if items have other rows now."""
        if self._view is None or not _same_rows(catalog, self._view.catalog):
            return {}
        changed = set() if after is None else {row[0] for row in fetch(connection, statement, (after,))}
        return {store_id: value for store_id, value in known.items() if store_id not in changed}

    def _load(self, read: Callable[[Connection, Catalog, str], V | None], catalog: Catalog, store_id: str) -> V | None:
        with self._database.read() as connection:
            return read(connection, catalog, store_id)


def _same_rows(catalog: Catalog, other: Catalog) -> bool:
    return catalog.items is other.items and catalog.extra_ids is other.extra_ids


def _has_other_stock(view: LiveView, file: StockFile | None) -> bool:
    """Tell whether a view does not read its stock from a file, or from its latest items."""
    stock = view._availability.stock
    if file is None:
        return isinstance(stock, FileStock)
    return not (isinstance(stock, FileStock) and stock.is_of(file, view.catalog))
