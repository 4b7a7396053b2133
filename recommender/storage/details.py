"""Details: what is shown of items, read when first shown and remembered as long as the catalogue stays as it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from recommender.catalog import ItemDetails

DETAILS_KEPT = 20_000
"""Most items remembered; past it the memory is emptied."""


class Details:
    """What is shown of items, with their own prices; safe to share between threads.

    Args:
        read: reads items from the database, in the order given.
        kept: most items remembered.
    """

    def __init__(self, read: Callable[[Sequence[str]], list[ItemDetails]], kept: int = DETAILS_KEPT) -> None:
        self._read = read
        self._kept = kept
        self._known: dict[str, ItemDetails] = {}

    def of(self, item_ids: Sequence[str]) -> list[ItemDetails]:
        """Return the details of items, in the order given.

        Raises: StoreBusyError if some must be read and the database is away.
        """
        known = self._known
        found = {item_id: known.get(item_id) for item_id in item_ids}
        missing = [item_id for item_id, details in found.items() if details is None]
        if missing:
            read = {details.item_id: details for details in self._read(missing)}
            if len(known) + len(read) > self._kept:
                known = {}
            self._known = known
            known |= read
            return [found[item_id] or read[item_id] for item_id in item_ids]
        return [details for details in map(found.get, item_ids) if details is not None]
