"""HouseRules: what an installation shows at all: where recommendations are tried out, and which goods are delicate."""

from __future__ import annotations

from dataclasses import dataclass

OUT_OF_SCOPE = "out_of_scope"
"""Flag of an answer, and rule of items, outside the pilot."""
SHADOW = "shadow"
"""Flag of answers that are made and recorded, and not meant to be shown."""


@dataclass(frozen=True, slots=True)
class HouseRules:
    """The rules of one installation; an empty part of the pilot sets no bound.

    delicate: whether infant formula, medicine and sensitive goods may be likened to others and named in reasons.
    stores, channels: where a request must come from.  categories: paths that items must lie below.
    shadow: answers are for comparison only; the caller goes on showing its own.
    """

    delicate: bool = False
    stores: frozenset[str] = frozenset()
    channels: frozenset[str] = frozenset()
    categories: tuple[str, ...] = ()
    shadow: bool = False

    def covers(self, store_id: str | None, channel: str | None) -> bool:
        """Tell whether a request lies within the pilot; one without the store or channel that counts does not.

        Args:
            store_id: the store that holds for the request, also the member's home store.
            channel: of the request.
        """
        return (not self.stores or store_id in self.stores) and (not self.channels or channel in self.channels)


OPEN_HOUSE = HouseRules()
