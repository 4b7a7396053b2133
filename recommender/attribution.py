"""Attribution: which shown item an act is credited to, and what an order line is worth after corrections and returns.

An act is credited once: to the item shown in the recommendation that it names, or, for a purchase that names none, to
the item's latest exposure to the same customer, which is called assisted. Nothing here reads or writes;
storage/attribution.py does.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from recommender.events import UNPAID_STATUSES, EventKind

CREDITED_KINDS = (EventKind.VIEW, EventKind.BASKET_ADD, EventKind.PURCHASE, EventKind.RETURN)
CLOCK_SKEW_MICROS = 300_000_000
"""How long before its slate an act may seem to lie: the clocks of two machines differ."""

Place = tuple[str, int]
"""A shown item: recommendation id and position."""
Worth = tuple[int, int, int, int, int, int]
"""Views, basket additions, purchases, revenue in cents, assisted purchases, their revenue in cents."""
NOTHING: Worth = (0, 0, 0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Window:
    """What may be credited: acts within `length` of a slate; purchases that name none in `assisted` channels."""

    length: timedelta
    assisted: frozenset[str]

    @property
    def micros(self) -> int:
        """The length in microseconds."""
        return self.length // timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Shown:
    """An item of a slate; occurred_at in microseconds since 1970-01-01 UTC."""

    recommendation_id: str
    position: int
    item_id: str
    occurred_at: int


@dataclass(frozen=True, slots=True)
class Credit:
    """An act and the shown item it is credited to; also a row of the table `attributions`.

    act: from `act_key`.  occurred_at, waiting_until: microseconds since 1970-01-01 UTC.
    recommendation_id, position: what the act names until it is credited, then what it is credited to.
    counted: False for lines that are cancelled or not paid.
    quantity: None where the event does not say: one for a purchase, all for a return.
    returned: how much of the line was given back.
    waiting_until: nothing is credited yet, since what the act refers to has not arrived; None once it is.
    """

    act: str
    event_id: str
    kind: str
    occurred_at: int
    subject: str | None
    item_id: str | None
    recommendation_id: str | None
    position: int | None
    assisted: bool
    order_id: str | None
    order_line: str | None
    revision: int
    counted: bool
    quantity: float | None
    returned: float
    unit_price_cents: int | None
    discount_cents: int | None
    waiting_until: int | None

    @property
    def place(self) -> Place | None:
        """The shown item that the act is credited to; None while it waits."""
        if self.waiting_until is not None or self.recommendation_id is None or self.position is None:
            return None
        return self.recommendation_id, self.position

    def worth(self) -> Worth:
        """Return what the act adds to the shown item it is credited to."""
        if self.kind == EventKind.VIEW:
            return (1, 0, 0, 0, 0, 0)
        if self.kind == EventKind.BASKET_ADD:
            return (0, 1, 0, 0, 0, 0)
        if self.kind != EventKind.PURCHASE or not self.counted:
            return NOTHING
        bought = 1.0 if self.quantity is None else self.quantity
        kept = max(bought - self.returned, 0.0)
        if kept <= 0:
            return NOTHING
        paid = bought * (self.unit_price_cents or 0) - (self.discount_cents or 0)
        cents = max(round(paid * kept / bought), 0)
        return (0, 0, 0, 0, 1, cents) if self.assisted else (0, 0, 1, cents, 0, 0)


def act_key(kind: str, event_id: str, order_id: str | None, order_line: str | None) -> str:
    """Name an act: an order line with all its revisions, or else an event."""
    if kind in (EventKind.PURCHASE, EventKind.RETURN) and order_id is not None and order_line is not None:
        return f"{kind}:{len(order_id)}:{order_id}:{order_line}"
    return f"event:{event_id}"


def is_counted(status: str | None) -> bool:
    """Tell whether an order line of this status counts."""
    return status is None or status.lower() not in UNPAID_STATUSES


def find_shown(act: Credit, slate: Sequence[Shown], window_micros: int) -> Shown | None:
    """Return the shown item that an act which names a recommendation is credited to.

    Args:
        act: names the item, or only the position.
        slate: the items of the recommendation that it names.
        window_micros: how long after a slate its items may be credited.
    Returns: None if the slate does not hold the item, or the act lies outside the window.
    """
    alike = [one for one in slate if (one.item_id == act.item_id if act.item_id else one.position == act.position)]
    in_time = [one for one in alike if within(act.occurred_at, one.occurred_at, window_micros)]
    return min(in_time, key=lambda one: (one.position != act.position, one.position), default=None)


def within(acted_at: int, shown_at: int, window_micros: int) -> bool:
    """Tell whether an act lies inside the window of something shown; all in microseconds."""
    return -CLOCK_SKEW_MICROS <= acted_at - shown_at <= window_micros


class Ledger:
    """Credits while acts are settled one after the other, and in what they differ from how they began."""

    def __init__(self, known: Iterable[Credit]) -> None:
        self._before = {credit.act: credit for credit in known}
        self._now = dict(self._before)

    def settle(
        self,
        act: Credit,
        shown: Shown | None,
        waiting_until: int | None = None,
        bought: Collection[str] = (),
    ) -> None:
        """Enter an act; a repeated one, and an older revision of a line, change nothing.

        Args:
            act: as the event says; `assisted` tells how `shown` was found.
            shown: what it is credited to, if anything.
            waiting_until: set if what it names may still arrive.
            bought: acts by which the customer bought the item that a return without an order gives back.
        """
        old = self._now.get(act.act)
        if old is not None and _outdated(act, old):
            return
        if act.kind == EventKind.RETURN:
            self._take_back(act, old, waiting_until, self._lines(act, bought))
        elif old is not None and old.place is not None and (shown is None or act.assisted or not old.assisted):
            # A correction stays with the item that the line was first credited to: tills seldom name it again.
            kept = replace(act, recommendation_id=old.recommendation_id, position=old.position, assisted=old.assisted)
            self._now[act.act] = replace(kept, returned=old.returned, waiting_until=None)
        elif shown is not None:
            credited = replace(act, recommendation_id=shown.recommendation_id, position=shown.position)
            returned = 0.0 if old is None else old.returned
            self._now[act.act] = replace(credited, returned=returned, waiting_until=None)
        elif waiting_until is not None:
            self._now[act.act] = replace(act, waiting_until=waiting_until)
        else:
            self._now.pop(act.act, None)

    def _take_back(self, act: Credit, old: Credit | None, waiting_until: int | None, lines: Sequence[Credit]) -> None:
        """Take what a return gives back from the lines that it is about; it waits while none of them is credited."""
        if not lines:
            if waiting_until is not None:
                self._now[act.act] = replace(act, waiting_until=waiting_until)
            else:
                self._now.pop(act.act, None)
            return
        before = 0.0 if old is None or old.waiting_until is not None else old.returned
        wanted = 0.0 if not act.counted else float("inf") if act.quantity is None else act.quantity
        left = wanted - before
        for line in lines:
            bought = 1.0 if line.quantity is None else line.quantity
            taken = min(max(left, -line.returned), bought - line.returned)
            self._now[line.act] = replace(line, returned=line.returned + taken)
            left -= taken
        first = lines[0]
        taken_back = replace(act, recommendation_id=first.recommendation_id, position=first.position)
        returned = wanted - left if wanted != float("inf") else sum(self._now[line.act].returned for line in lines)
        self._now[act.act] = replace(taken_back, returned=returned, waiting_until=None)

    def _lines(self, act: Credit, bought: Collection[str]) -> list[Credit]:
        """Return the credited lines that a return is about.

        Those of its order, the one of the same number first; without an order the customer's latest purchases of the
        item, or the latest one alone if no quantity is named.
        """
        lines = [line for line in self._now.values() if line.kind == EventKind.PURCHASE and line.place is not None]
        if act.order_id is not None:
            lines = [line for line in lines if line.order_id == act.order_id and _is_about(act, line)]
            return sorted(lines, key=lambda line: (line.order_line != act.order_line, line.act))
        own = [
            line
            for line in lines
            if line.item_id == act.item_id
            and line.occurred_at <= act.occurred_at
            and (line.act in bought or (line.subject == act.subject and act.subject is not None))
        ]
        left = [line for line in own if line.returned < (1.0 if line.quantity is None else line.quantity)]
        left.sort(key=lambda line: (-line.occurred_at, line.act))
        return left[:1] if act.quantity is None else left

    def changed(self) -> list[Credit]:
        """Return the credits that are new or differ."""
        return [credit for act, credit in self._now.items() if self._before.get(act) != credit]

    def removed(self) -> list[str]:
        """Return the acts that came to nothing."""
        return [act for act in self._before if act not in self._now]

    def differences(self) -> dict[Place, Worth]:
        """Return what changes for each shown item."""
        totals: dict[Place, Worth] = {}
        for credit, sign in self._moves():
            place = credit.place
            if place is not None:
                old = totals.get(place, NOTHING)
                totals[place] = _plus(old, credit.worth(), sign)
        return {place: worth for place, worth in totals.items() if worth != NOTHING}

    def _moves(self) -> Iterator[tuple[Credit, int]]:
        for credit in self.changed():
            yield credit, 1
            if credit.act in self._before:
                yield self._before[credit.act], -1
        for act in self.removed():
            yield self._before[act], -1


def _is_about(act: Credit, line: Credit) -> bool:
    """Tell whether a return with an order is about one of its lines."""
    return line.item_id == act.item_id if act.item_id else line.order_line == act.order_line


def _outdated(act: Credit, old: Credit) -> bool:
    """Tell whether an act brings nothing new; one that waited is settled again by itself."""
    if old.waiting_until is not None:
        return act.revision < old.revision
    return act.event_id == old.event_id or act.revision <= old.revision


def _plus(left: Worth, right: Worth, sign: int) -> Worth:
    views, adds, bought, cents, assisted, assisted_cents = (
        one + sign * other for one, other in zip(left, right, strict=True)
    )
    return views, adds, bought, cents, assisted, assisted_cents
