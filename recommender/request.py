"""SlateRequest: what was asked for, with ids as they came."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass

from recommender.context import NO_REQUEST_CONTEXT, RequestContext
from recommender.placement import NO_STEERING, Placement, Steering
from recommender.query import Scenario


@dataclass(frozen=True, slots=True)
class SlateRequest:
    """A request for one slate, with ids as they came.

    subject: "member:ID" or "namespace:value" with phone and email hashed; None for an anonymous customer.
    store_id: the store the customer is in or shops from; None lets the member's home store stand in.
    exclude: item ids that must not appear.
    stock: False leaves live stock out, as backtests do.
    context: the item, basket or visit that the request is about.
    steering: filters, boosts, bury and pins of the request, beside those of its scenario.
    reachable_store_ids: stores the customer can buy from, in place of those that are near; () = not said.
    shown: items of earlier pages, which this one leaves out; it has no pins.
    among: if any, the only items that may be shown.
    placement: settings in place of those that hold for the scenario.
    coupons: whether coupons are wanted beside the items; the slate is the same with and without.
    """

    scenario: Scenario
    count: int
    subject: str | None = None
    store_id: str | None = None
    channel: str | None = None
    exclude: Sequence[str] = ()
    stock: bool = True
    context: RequestContext = NO_REQUEST_CONTEXT
    steering: Steering = NO_STEERING
    reachable_store_ids: Sequence[str] = ()
    shown: Sequence[str] = ()
    among: Sequence[str] = ()
    placement: Placement | None = None
    coupons: bool = False


_PLAIN = frozenset({"scenario", "count", "subject", "store_id", "channel", "placement", "coupons"})
_NARROWING = tuple((entry.name, entry.default) for entry in fields(SlateRequest) if entry.name not in _PLAIN)


def is_narrowed(request: SlateRequest) -> bool:
    """Tell whether a request says more than who, where and how many: its answer cannot be made again from the log."""
    for name, default in _NARROWING:
        found = getattr(request, name)
        if found is not default and found != default and not _says_nothing(found):
            return True
    return False


def _says_nothing(value: object) -> bool:
    if is_dataclass(value):
        return all(_says_nothing(getattr(value, entry.name)) for entry in fields(value))
    return value is None or (isinstance(value, Sequence | Mapping) and len(value) == 0)
