"""LiveView: catalogue, stores and stock as one request sees them throughout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import tzinfo

import numpy as np
import numpy.typing as npt

from recommender.catalog import BoolVector, Catalog, CentsVector, StoreFacts
from recommender.experiments import EVERYWHERE
from recommender.filters import MaskCache
from recommender.likeness import Likeness
from recommender.placement import NO_PLACEMENT, Placement
from recommender.standing import Standing
from recommender.storage.availability import Availability, SqlStock
from recommender.storage.details import Details
from recommender.storage.experiments import RunningExperiment
from recommender.storage.price_lists import PriceList, prices_at
from recommender.storage.shelves import Listing, StoreCache


@dataclass(frozen=True, slots=True)
class LiveView:
    """The catalogue, stores and stock as they were at one poll; a request uses one view throughout.

    minute: the present, in minutes since 1970-01-01 UTC.
    stores: what is known of each store.  closed_stores: those closed for good by now.
    standing: recalls, replaced codes, trust in stock.  likeness, buzz: of the items newer than the bundle;
        None and empty if there are none.
    placements: what marketers set, by scenario.  experiments: the one that runs, by scenario.
    item_masks: of filters that ask for nothing but items; kept as long as the catalogue is.
    masks: of filters that ask for prices, stock or the time as well, and of what several stores have together.
    details: what is shown of items.
    near: by store, or None, the stores that its customers reach; filled when asked, kept as long as the stores are.
    """

    catalog: Catalog
    minute: int
    stores: Mapping[str, StoreFacts]
    closed_stores: frozenset[str]
    standing: Standing
    likeness: Likeness | None
    buzz: npt.NDArray[np.float32]
    placements: Mapping[str, Placement]
    experiments: Mapping[str, RunningExperiment]
    item_masks: MaskCache
    masks: MaskCache
    near: dict[str | None, Sequence[str]]
    details: Details
    _zone: tzinfo
    _availability: Availability
    _listings: StoreCache[Listing]
    _prices: StoreCache[PriceList]
    _sellable: dict[bool, BoolVector]

    def placement(self, scenario: str) -> Placement:
        """Return what marketers set of a scenario."""
        return self.placements.get(scenario, NO_PLACEMENT)

    def experiment(self, scenario: str) -> RunningExperiment | None:
        """Return the experiment that runs in a scenario."""
        return self.experiments.get(scenario) or self.experiments.get(EVERYWHERE) if self.experiments else None

    def prices(self, store_id: str | None) -> tuple[CentsVector, BoolVector]:
        """Return the price of each item now, in a store if one is named, and whether it is known.

        Returns: int64 cents and bool, (len(catalog),); items without a price of the store keep their own.
        Raises: StoreBusyError if the store must be read and the database is away.
        """
        return prices_at(self.catalog, None if store_id is None else self._prices.get(store_id), self.minute)

    def sellable(self, adult: bool | None) -> BoolVector:
        """Tell which items may be shown now, by themselves and by their season; computed once per view."""
        of_age = adult is True
        if of_age not in self._sellable:
            allowed = self.catalog.sellable(self.minute, of_age)
            over = self.standing.out_of_season(self.minute, self._zone)
            if over is not None:
                allowed &= ~over
            allowed.setflags(write=False)
            self._sellable[of_age] = allowed
        return self._sellable[of_age]

    def stock(self, store_id: str) -> BoolVector | None:
        """Tell which items a store has, as far as its counts are trusted; None if it has none: nothing is known.

        Returns: bool, (len(catalog),); items without a row count as not in stock.
        Raises: StoreBusyError if the store must be read and the database is away.
        """
        return self._availability.of(store_id, self.minute)

    def on_hand(self, store_id: str, rows: npt.NDArray[np.int32]) -> list[float | None]:
        """Return the counts of some items in a store, None where there is none.

        Raises: StoreBusyError if the store must be read and the database is away.
        """
        return self._availability.stock.on_hand(store_id, rows)

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

    def open_store(self, store_id: str) -> str | None:
        """Return a store, or if it is closed the open one that succeeds it; None if there is none."""
        seen: set[str] = set()
        name: str | None = store_id
        while name is not None and name in self.closed_stores and name not in seen:
            seen.add(name)
            name = self.stores[name].successor
        return None if name in seen else name

    def at(self, minute: int) -> LiveView:
        """Return the same state at another minute."""
        closed = frozenset(store_id for store_id, store in self.stores.items() if store.closes_at <= minute)
        return replace(self, minute=minute, closed_stores=closed, _sellable={}, masks=MaskCache())

    def without_database(self) -> LiveView:
        """Return what is known without asking the database: of stores never asked about, nothing."""
        availability = self._availability
        if isinstance(availability.stock, SqlStock):
            known = SqlStock(availability.stock.shelves.as_known())
            availability = availability.followed_by(known, self.standing, same_rows=True)
        return replace(
            self,
            masks=MaskCache(),
            _availability=availability,
            _listings=self._listings.as_known(),
            _prices=self._prices.as_known(),
        )
