"""Details: what is shown of items, read when first shown and remembered as long as the catalogue stays as it is."""

from __future__ import annotations

from collections.abc import Sequence, Set
from datetime import datetime

from recommender.catalog import ItemDetails
from recommender.storage.catalog import read_own, with_store_prices
from recommender.storage.database import Database

DETAILS_KEPT = 20_000
"""Most items remembered; past it the memory is emptied."""


class Details:
    """What is shown of items; safe to share between threads.

    Args:
        database: where they are read.
        priced_stores: the stores that have prices of their own.
        known: items that are remembered already, with their own prices.
        kept: most items remembered.
    """

    def __init__(
        self,
        database: Database,
        priced_stores: Set[str],
        known: dict[str, ItemDetails] | None = None,
        kept: int = DETAILS_KEPT,
    ) -> None:
        self._database = database
        self.priced_stores = priced_stores
        self.known = {} if known is None else known
        self._kept = kept

    def of(self, item_ids: Sequence[str], store_id: str | None, now: datetime) -> list[ItemDetails]:
        """Return the details of items, in the order given; an unknown item has nothing but its id.

        Args:
            item_ids: at most some hundred.
            store_id: whose prices hold; where it has none for an item now, the item's own price holds.
            now: the present.
        Raises: StoreBusyError if some must be read and the database is away.
        """
        known = self.known
        found = [known.get(item_id) for item_id in item_ids]
        missing = [item_id for item_id, details in zip(item_ids, found, strict=True) if details is None]
        read = self._read(missing) if missing else {}
        whole = [details or read[item_id] for item_id, details in zip(item_ids, found, strict=True)]
        if not whole or store_id is None or store_id not in self.priced_stores:
            return whole
        with self._database.read() as connection:
            return with_store_prices(connection, whole, store_id, now)

    def _read(self, item_ids: Sequence[str]) -> dict[str, ItemDetails]:
        with self._database.read() as connection:
            read = {details.item_id: details for details in read_own(connection, item_ids)}
        if len(self.known) + len(read) > self._kept:
            self.known = {}
        self.known |= read
        return read
