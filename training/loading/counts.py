"""What became of the rows of one table of one file."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ItemGap:
    """An item id that events name but the table of items does not hold, and how many events do."""

    item_id: str
    events: int


@dataclass(frozen=True, slots=True)
class Shares:
    """What a dry run says of the rows it would load.

    events: how many.  named: of them, those that name a customer.  known: of them, those whose member is known.
    items: distinct ones that the rows name.  without_cost: of them, those whose cost is not known.
    """

    events: int = 0
    named: int = 0
    known: int = 0
    items: int = 0
    without_cost: int = 0


@dataclass(frozen=True, slots=True)
class TableCounts:
    """Rows of one table: read = added + changed + duplicate + rejected; `skipped` ones are not counted as read.

    unknown_items: number of item ids that events name and nobody knows; the most frequent in `item_gaps`.
    unknown_channels: events by channel that neither Memberwise nor the settings know.
    shares: in a dry run, of events and items.
    conflicts: identities that are linked to several members, this table's and earlier ones.
    """

    table: str
    read: int = 0
    added: int = 0
    changed: int = 0
    duplicate: int = 0
    rejected: int = 0
    skipped: int = 0
    unknown_items: int = 0
    unknown_item_events: int = 0
    item_gaps: tuple[ItemGap, ...] = ()
    unknown_channels: dict[str, int] = field(default_factory=dict)
    shares: Shares | None = None
    conflicts: int = 0
