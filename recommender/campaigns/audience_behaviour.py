"""The conditions of audiences on what members did, were given, and are expected to do next."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recommender.campaigns.audience_terms import Bounds, Goods, Ground, Window
from recommender.campaigns.item_models import affinity, due_members
from recommender.campaigns.member_columns import NO_DAY, BoolVector, RowVector
from recommender.campaigns.member_features import GIVEN, REDEEMED, RFM
from recommender.events import KIND_CODES, EventKind


@dataclass(frozen=True, slots=True)
class DaysSince:
    """Something happened so many days ago; where it never did, it does not hold."""

    what: str
    bounds: Bounds

    def mask(self, ground: Ground) -> BoolVector:
        """As Expression.mask."""
        day = self._day(ground)
        return np.asarray((day != NO_DAY) & self.bounds.hold(ground.today - day.astype(np.int64)), bool)

    def _day(self, ground: Ground) -> RowVector:
        features, lately = ground.features, ground.features.lately
        if self.what == "registered":
            return features.columns.registered_day
        if self.what in ("coupon", "redemption"):
            coupons = features.coupons
            chosen = coupons.act == (GIVEN if self.what == "coupon" else REDEEMED)
            last = np.full(len(features), NO_DAY)
            last[coupons.member_row[chosen]] = coupons.days.expand()[chosen]
            return last
        days = {
            "first_purchase": lately.first_bought,
            "last_purchase": lately.last_bought,
            "last_browse": lately.last_browsed,
        }
        return np.asarray(features.of_base(days[self.what], NO_DAY), np.int32)


@dataclass(frozen=True, slots=True)
class Bought:
    """A measure of orders in a window: orders, spend_cents, average_basket_cents or discount_share.

    Who has no order has 0 orders and spent 0; averages and shares of nothing hold for nobody.
    """

    measure: str
    window: Window
    bounds: Bounds

    def mask(self, ground: Ground) -> BoolVector:
        """As Expression.mask."""
        features, orders = ground.features, ground.features.orders
        rows = orders.days.window(ground.today, self.window.within_days)
        kept = self.window.keeps(ground, orders.channel[rows])
        at = np.arange(rows.start, rows.stop) if kept is None else rows.start + np.flatnonzero(kept)
        member, cents, saved = orders.member_row[at], orders.cents[at], orders.saved_cents[at]
        if self.measure == "orders":
            return self.bounds.hold(features.tally(member))
        spent = features.tally(member, cents)
        if self.measure == "spend_cents":
            return self.bounds.hold(spent)
        if self.measure == "average_basket_cents":
            above, below = spent, features.tally(member)
        else:
            above = features.tally(member, saved)
            below = above + spent
        some = below > 0
        return some & self.bounds.hold(np.divide(above, below, out=np.zeros(len(below)), where=some))


@dataclass(frozen=True, slots=True)
class OfRfm:
    """In some fifths of recency, frequency or monetary value, 5 the best; of those who bought in the last year."""

    part: str
    fifths: tuple[int, ...]

    def mask(self, ground: Ground) -> BoolVector:
        """As Expression.mask."""
        fifth = ground.features.lately.rfm[:, RFM.index(self.part)]
        return np.asarray(ground.features.of_base(np.isin(fifth, self.fifths), False), bool)


@dataclass(frozen=True, slots=True)
class Did:
    """Acts of some kinds with goods in a window, at least so often and for at least so much money."""

    kinds: tuple[EventKind, ...]
    goods: Goods
    window: Window
    least_times: int = 1
    least_cents: int = 0

    def mask(self, ground: Ground) -> BoolVector:
        """As Expression.mask."""
        features, acts = ground.features, ground.features.acts
        rows = acts.days.window(ground.today, self.window.within_days)
        kinds = np.zeros(len(KIND_CODES), bool)
        kinds[[KIND_CODES[kind] for kind in self.kinds]] = True
        chosen = kinds[acts.kind[rows]]
        if not self.goods.everything:
            chosen &= self.goods.mask(features)[acts.item_row[rows]]
        kept = self.window.keeps(ground, acts.channel[rows])
        if kept is not None:
            chosen &= kept
        at = np.flatnonzero(chosen)
        member = acts.member_row[rows][at]
        if self.least_times == 1 and not self.least_cents:
            return ground.marked(member)
        found = features.tally(member, acts.times[rows][at]) >= self.least_times
        if self.least_cents:
            found &= features.tally(member, acts.cents[rows][at]) >= self.least_cents
        return np.asarray(found, bool)


@dataclass(frozen=True, slots=True)
class HadCoupons:
    """So many coupons, of some offers or any, were given or redeemed in a window."""

    act: int
    offer_ids: tuple[str, ...]
    window: Window
    bounds: Bounds

    def mask(self, ground: Ground) -> BoolVector:
        """As Expression.mask."""
        features, coupons = ground.features, ground.features.coupons
        rows = coupons.days.window(ground.today, self.window.within_days)
        chosen = coupons.act[rows] == self.act
        if self.offer_ids:
            wanted = set(self.offer_ids)
            meant = np.array([*(name in wanted for name in features.offers), False], bool)
            chosen &= meant[coupons.offer[rows]]
        return self.bounds.hold(features.tally(coupons.member_row[rows][chosen]))


@dataclass(frozen=True, slots=True)
class Due:
    """Expected to buy one of some goods again within days."""

    goods: Goods
    within_days: int

    def mask(self, ground: Ground) -> BoolVector:
        """As Expression.mask."""
        wanted = self.goods.mask(ground.features)
        return due_members(ground.features, ground.learned(), wanted, ground.today, self.within_days)


@dataclass(frozen=True, slots=True)
class Likes:
    """Among those whose acts speak most for some goods, or those of an offer: so many members, or a share of all."""

    goods: Goods
    offer_id: str | None
    top: int | None
    top_share: float | None

    def mask(self, ground: Ground) -> BoolVector:
        """As Expression.mask."""
        features = ground.features
        goods = self.goods if self.offer_id is None else ground.offer(self.offer_id)
        score = affinity(features, ground.models, goods.mask(features), ground.today)
        count = int(len(features) * self.top_share) if self.top is None and self.top_share else self.top or 0
        some = np.flatnonzero(score > 0)
        best = some[np.argsort(-score[some], kind="stable")[:count]]
        return ground.marked(best)
