"""A synthetic retailer: stores and online channels, repeat purchases with own intervals, browsing, skewed popularity.

Everything follows from the seed and the number of events. The events come day by day, so that their number is
not bound by memory; members and items grow as the square root of the events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from math import sqrt

import numpy as np
import numpy.typing as npt

IntVector = npt.NDArray[np.int64]
FloatVector = npt.NDArray[np.float64]
BoolVector = npt.NDArray[np.bool_]

KINDS = ("purchase", "return", "view", "favorite", "basket_add", "share", "search")
CHANNELS = ("pos", "app", "mini_program", "web")
ONLINE_STORE = 0
"""The row of the store that sends orders of all online channels."""

PURCHASE, RETURN, VIEW, SEARCH = (KINDS.index(kind) for kind in ("purchase", "return", "view", "search"))
BROWSING_SHARES = (0.86, 0.03, 0.08, 0.01, 0.02)
"""How often each kind from `view` on occurs in a session."""
STAPLES = 8
"""Items that a member buys at intervals of their own."""
IMPULSES = 3.0
"""Mean number of other items in a basket."""
SESSION = 5.0
"""Mean number of events in a browsing session."""
PURCHASE_SHARE = 0.6
"""Share of purchases among a day's events."""
ANONYMOUS_SHARE = 0.15
"""Share of orders in stores without a known customer."""
WEEKDAYS = (0.9, 0.85, 0.9, 0.95, 1.15, 1.35, 1.2)


@dataclass(frozen=True, slots=True)
class Shape:
    """How large the retailer is."""

    events: int
    members: int
    items: int
    stores: int
    categories: int
    days: int

    @classmethod
    def of(cls, events: int, members_per_root: float = 20.0, items_per_root: float = 10.0) -> Shape:
        """Choose the sizes for a number of events; the two factors multiply its square root."""
        root = sqrt(events)
        return cls(
            events=events,
            members=max(int(members_per_root * root), 20),
            items=max(int(items_per_root * root), 50),
            stores=max(int(root / 60), 4),
            categories=max(int(items_per_root * root / 80), 5),
            days=180,
        )

    @classmethod
    def retail(cls, members: int, items: int, stores: int, events: int) -> Shape:
        """Choose all sizes; categories of about eighty items, as `of` has them."""
        return cls(events, members, items, stores, categories=max(items // 80, 5), days=180)


@dataclass(frozen=True, slots=True)
class Lines:
    """Events of a day as aligned vectors; -1 where there is none.

    second: of the day.  order, line: the order's number among all orders and the line within it.
    by_identity: the customer is named by an identity, not by member.  cancelled: the order line did not hold.
    """

    second: IntVector
    kind: IntVector
    channel: IntVector
    member: IntVector
    item: IntVector
    store: IntVector
    order: IntVector
    line: IntVector
    quantity: IntVector
    by_identity: BoolVector
    cancelled: BoolVector

    def __len__(self) -> int:
        return len(self.second)

    def at(self, chosen: npt.NDArray[np.generic] | slice) -> Lines:
        """Return the chosen events."""
        return Lines(*(getattr(self, entry.name)[chosen] for entry in fields(self)))


class Retailer:
    """Members with staples and tastes, and items with categories and popularity."""

    def __init__(self, shape: Shape, seed: int) -> None:
        self.shape = shape
        self._rng = rng = np.random.default_rng(seed)
        self.category = np.sort(rng.integers(0, shape.categories, shape.items))
        self.price_cents = np.maximum(rng.lognormal(6.9, 0.8, shape.items), 50).astype(np.int64)
        self.first_day = np.where(rng.random(shape.items) < 0.1, rng.integers(1, shape.days, shape.items), 0)
        rank = rng.permutation(shape.items)
        self._reach = np.cumsum((rank + 10.0) ** -0.9)
        self._bounds = np.searchsorted(self.category, np.arange(shape.categories + 1))
        self.home_store = rng.integers(1, shape.stores, shape.members)
        self.online_share = rng.beta(0.6, 1.8, shape.members)
        self._activity = np.cumsum(rng.gamma(0.8, 1.0, shape.members))
        self._tastes = self._draw_categories(shape.members * 3).reshape(shape.members, 3)
        self._staple = self._taste_items(np.repeat(np.arange(shape.members), STAPLES)).reshape(shape.members, STAPLES)
        self._interval = rng.lognormal(3.0, 0.6, (shape.members, STAPLES)).clip(3, 120)
        self._due = self._interval * rng.random((shape.members, STAPLES))
        self._orders = 0

    def days(self) -> Iterator[tuple[int, Lines]]:
        """Yield each day's number and its events in rising time; together they are shape.events."""
        weight = np.array([WEEKDAYS[day % 7] for day in range(self.shape.days)])
        ends = np.floor(np.cumsum(weight) / weight.sum() * self.shape.events + 0.5).astype(np.int64)
        yesterday: Lines | None = None
        for day, quota in enumerate(np.diff(ends, prepend=0)):
            lines = self._day(day, int(quota), yesterday)
            yesterday = lines
            yield day, lines

    def _day(self, day: int, quota: int, yesterday: Lines | None) -> Lines:
        returned = [] if yesterday is None else [self._returns(yesterday, int(self._rng.poisson(quota / 200)))]
        bought = self._until(int(quota * PURCHASE_SHARE), lambda missing: self._baskets(day, missing // 6 + 1))
        rest = quota - len(bought) - sum(map(len, returned))
        browsed = self._until(rest, lambda missing: self._sessions(day, int(missing / SESSION) + 1))
        whole = _join([*returned, bought, browsed])
        return whole.at(np.argsort(whole.second, kind="stable"))

    @staticmethod
    def _until(count: int, draw: Callable[[int], Lines]) -> Lines:
        """Draw until there are `count` events; `draw` is told how many are missing."""
        parts: list[Lines] = []
        while (missing := count - sum(map(len, parts))) > 0 or not parts:
            parts.append(draw(missing))
        return _join(parts).at(slice(0, count))

    def _baskets(self, day: int, visits: int) -> Lines:
        """Let members visit: each buys what is due and some more."""
        rng = self._rng
        member = np.unique(self._visitors(visits))
        due = (self._due[member] <= day) & (rng.random((len(member), STAPLES)) < 0.8)
        visit, place = np.nonzero(due)
        gap = self._interval[member[visit], place] * rng.lognormal(0, 0.25, len(visit))
        self._due[member[visit], place] = day + gap
        more = np.repeat(np.arange(len(member)), rng.poisson(IMPULSES, len(member)))
        item = np.concatenate((self._staple[member[visit], place], self._taste_items(member[more])))
        visit = np.concatenate((visit, more))
        kept = self.first_day[item] <= day
        visit, item = visit[kept], item[kept]
        order = np.argsort(visit, kind="stable")
        visit, item = visit[order], item[order]
        online = rng.random(len(member)) < self.online_share[member]
        unknown = ~online & (rng.random(len(member)) < ANONYMOUS_SHARE)
        channel = np.where(online, rng.integers(1, len(CHANNELS), len(member)), 0)
        store = np.where(online, ONLINE_STORE, self.home_store[member])
        first = self._orders
        self._orders += len(member)
        return Lines(
            second=rng.integers(8 * 3600, 22 * 3600, len(member))[visit],
            kind=np.full(len(visit), PURCHASE),
            channel=channel[visit],
            member=np.where(unknown, -1, member)[visit],
            item=item,
            store=store[visit],
            order=first + visit,
            line=np.arange(len(visit)) - np.searchsorted(visit, visit) + 1,
            quantity=1 + rng.poisson(0.3, len(visit)),
            by_identity=np.zeros(len(visit), bool),
            cancelled=online[visit] & (rng.random(len(visit)) < 0.02),
        )

    def _sessions(self, day: int, count: int) -> Lines:
        """Let members browse online: mostly to their taste, sometimes what they always buy."""
        rng = self._rng
        who = self._visitors(count)
        session = np.repeat(np.arange(count), rng.geometric(1 / SESSION, count))
        member = who[session]
        n = len(session)
        usual = self._staple[member, rng.integers(0, STAPLES, n)]
        item = np.where(rng.random(n) < 0.25, usual, self._taste_items(member))
        kind = VIEW + np.searchsorted(np.cumsum(BROWSING_SHARES)[:-1], rng.random(n), side="right")
        kind[self.first_day[item] > day] = SEARCH
        start = rng.integers(7 * 3600, 23 * 3600, count)
        none = np.full(n, -1)
        return Lines(
            second=start[session] + 20 * (np.arange(n) - np.searchsorted(session, session)).clip(max=150),
            kind=kind,
            channel=rng.integers(1, len(CHANNELS), count)[session],
            member=member,
            item=np.where(kind == SEARCH, -1, item),
            store=none,
            order=none,
            line=none,
            quantity=none,
            by_identity=(rng.random(count) < 0.3)[session],
            cancelled=np.zeros(n, bool),
        )

    def _returns(self, yesterday: Lines, count: int) -> Lines:
        """Return some of what was bought the day before."""
        bought = np.flatnonzero((yesterday.kind == PURCHASE) & (yesterday.member >= 0) & ~yesterday.cancelled)
        lines = yesterday.at(self._rng.choice(bought, min(count, len(bought)), replace=False))
        lines.kind[:] = RETURN
        return lines

    def _visitors(self, count: int) -> IntVector:
        """Draw members by how active they are."""
        drawn = self._rng.random(count) * self._activity[-1]
        return np.asarray(np.searchsorted(self._activity, drawn, side="right"), np.int64)

    def _draw_categories(self, count: int) -> IntVector:
        """Draw categories by their share of sales."""
        drawn = np.searchsorted(self._reach, self._rng.random(count) * self._reach[-1], side="right")
        return np.asarray(self.category[drawn], np.int64)

    def _taste_items(self, member: IntVector) -> IntVector:
        """Draw an item for each member: three times in four from one of their categories, else from all."""
        rng, n = self._rng, len(member)
        category = self._tastes[member, rng.integers(0, 3, n)]
        anywhere = rng.random(n) < 0.25
        low = np.where(anywhere, 0, self._bounds[category])
        high = np.where(anywhere, self.shape.items, self._bounds[category + 1])
        reach = np.concatenate(([0.0], self._reach))
        drawn = reach[low] + rng.random(n) * (reach[high] - reach[low])
        return np.asarray(np.searchsorted(self._reach, drawn, side="right").clip(low, high - 1), np.int64)


def _join(parts: list[Lines]) -> Lines:
    return Lines(*(np.concatenate([getattr(part, entry.name) for part in parts]) for entry in fields(Lines)))
