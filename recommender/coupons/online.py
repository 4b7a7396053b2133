"""Decisions between plans: what a member whom no plan considered is offered, in milliseconds.

The plan leaves its prices and what it knew of its offers; the bundle has the models; the member's history is as recent
as their last event. Of lines in a history the money is not kept, so that each counts as the item's price, without
promotions: such a decision is somewhat coarser than a plan's. It spends nothing: budgets are held by the wallet.

A small share of members draws a ticket instead, anew every day: one for each offer of the plan, and a blank. So the
chance of everything that is offered is known, and is recorded with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from sqlalchemy.engine import Connection

from recommender.catalog import Catalog
from recommender.coupons.applying import budget_limit
from recommender.coupons.counters import Count, used
from recommender.coupons.coverage import covered_items
from recommender.coupons.features import pair_features
from recommender.coupons.judging import NOTHING, Judgement, OfferTable, draw_ticket
from recommender.coupons.kept_plans import Decided, KeptPlan
from recommender.coupons.models import CouponModels
from recommender.coupons.offer_facts import OfferFacts
from recommender.coupons.offers import Offer, OfferKind
from recommender.coupons.order_lines import CouponPast, Purchases
from recommender.coupons.pacing import Pace
from recommender.coupons.store import read_offers
from recommender.coupons.terms import Setting, Terms, near_of
from recommender.coupons.uplift import Economics, PairScores
from recommender.coupons.wallet import Turn
from recommender.filters import MaskCache
from recommender.history import MINUTES_PER_DAY, Histories
from recommender.interactions import PURCHASE_CODE
from recommender.storage.statements import fetch
from recommender.storage.types import to_micros

FloatVector = npt.NDArray[np.float64]

EVEN_PACE = Pace(10**15, 0, 0.0)
"""Of plans of no campaign: the price of a cent stays what the plan says."""
SCENES_KEPT = 32
_CAMPAIGN = "SELECT starts_at, ends_at FROM campaigns WHERE campaign_id = ?"
_PAST = """
SELECT (SELECT COUNT(*) FROM sends WHERE member_id = ? AND sent_at < ? AND COALESCE(arm, '') <> 'holdout'),
  (SELECT COUNT(*) FROM redemptions WHERE member_id = ? AND redeemed_at < ?)"""


@dataclass(frozen=True, slots=True)
class Scene:
    """Offers of a plan on a catalogue; None for one that is not there any more."""

    catalog: Catalog
    offers: tuple[Offer | None, ...]
    terms: Terms


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A member between plans: their history, and the minute as of which it is looked at."""

    member_id: str
    history: Histories
    as_of: int


class OnlineDecider:
    """Decides by the models of one bundle; keeps what it made of plans; safe to share between threads.

    Args:
        models: of the bundle.
        explore: share of members who draw a ticket.
        zone: whose days tell one draw from the next.
    """

    def __init__(self, models: CouponModels, explore: float = 0.0, zone: tzinfo = UTC) -> None:
        self._models = models
        self._explore = explore
        self._zone = zone
        self._scenes: dict[int, tuple[KeptPlan, Scene]] = {}

    def decide(
        self, turn: Turn, plan: KeptPlan, member: Newcomer, catalog: Catalog, masks: MaskCache
    ) -> Sequence[Decided]:
        """Return the offer of a plan that a member is offered now, none if none is, or the plan is too old."""
        given = self.judge(turn, plan, member, catalog, masks).given
        return () if given is None else (given,)

    def judge(self, turn: Turn, plan: KeptPlan, member: Newcomer, catalog: Catalog, masks: MaskCache) -> Judgement:
        """Return the offer that is worth most, or was drawn, and why not the others.

        Offers that could not be issued to the member now give way to the next best.
        """
        multipliers = plan.multipliers
        pace = pace_of(turn, multipliers.campaign_id)
        if pace is None or plan.facts is None:
            return NOTHING
        scene = self._scene(turn.connection, plan, catalog, masks)
        found = self._scores(turn, plan.facts, scene, member)
        table = OfferTable(turn, plan, member.member_id, pace, found.profit_cents.copy(), _granted(found, scene.offers))
        table.hold_floor(scene.offers)
        best = table.best()
        ticket = draw_ticket(member.member_id, multipliers, self._explore, turn.now.astimezone(self._zone))
        chosen = best if ticket is None else table.drawn(ticket)
        why = table.why(chosen, drawn=ticket is not None)
        if chosen is None:
            return Judgement(None, why)
        by_lot = self._explore / (len(multipliers.offer_id) + 1)
        given = Decided(
            multipliers.offer_id[chosen],
            multipliers.campaign_id,
            float(found.profit_cents[chosen]),
            float(found.redemption[chosen]),
            by_lot + (1.0 - self._explore if chosen == best else 0.0),
            self._models.profit.assumed,
            str(why[chosen]),
        )
        return Judgement(given, why)

    def _scores(self, turn: Turn, facts: OfferFacts, scene: Scene, member: Newcomer) -> PairScores:
        lines = _purchases(member, scene.catalog, float(facts.past[0]))
        past = _past(turn.connection, member.member_id, turn.now, float(facts.past[1]))
        features = pair_features(lines, past, scene.terms, member.as_of)[0]
        money = Economics(
            facts.face_cents.astype(np.float64),
            facts.line_cents.astype(np.float64),
            facts.rest_cents.astype(np.float64),
            facts.own_share.astype(np.float64),
        )
        return self._models.profit.scores(features, money)

    def _scene(self, connection: Connection, plan: KeptPlan, catalog: Catalog, masks: MaskCache) -> Scene:
        """Return the offers of a plan, described on the catalogue as it is now."""
        kept = self._scenes.get(id(plan))
        if kept is not None and kept[0] is plan and kept[1].catalog is catalog:
            return kept[1]
        scene = _make_scene(connection, plan, catalog, masks)
        if len(self._scenes) >= SCENES_KEPT:
            self._scenes = {}
        self._scenes[id(plan)] = (plan, scene)
        return scene


def _make_scene(connection: Connection, plan: KeptPlan, catalog: Catalog, masks: MaskCache) -> Scene:
    facts = plan.facts
    assert facts is not None
    book = read_offers(connection, plan.multipliers.offer_id)
    offers = tuple(book.offers.get(offer_id) for offer_id in plan.multipliers.offer_id)
    nothing = np.zeros(len(catalog), bool)
    columns = [nothing if one is None else covered_items(one, catalog, masks) for one in offers]
    covers = sp.csc_matrix(np.column_stack(columns).astype(np.float32))
    plain = (OfferKind.PERCENT_OFF, OfferKind.AMOUNT_OFF)
    kinds = [None if one is None else one.kind for one in offers]
    terms = Terms(
        covers=covers,
        near_category=near_of(catalog.facts.category.code, covers),
        near_brand=near_of(catalog.facts.brand.code, covers),
        face_cents=facts.face_cents,
        minimum_cents=np.array([0 if one is None else one.minimum_spend_cents for one in offers], np.float32),
        occasion_cents=facts.occasion_cents,
        width=np.asarray(covers.sum(axis=0), np.float32).ravel(),
        rate=facts.rate,
        percent=np.array([kind is OfferKind.PERCENT_OFF for kind in kinds], bool),
        other_kind=np.array([kind not in plain for kind in kinds], bool),
        setting=Setting(facts.window_days, facts.size, facts.kind.astype(np.int32)),
    )
    return Scene(catalog, offers, terms)


def _purchases(member: Newcomer, catalog: Catalog, began_days: float) -> Purchases:
    """Return a history as order lines, each at its item's price; items without one cost nothing."""
    history = member.history
    bought = np.flatnonzero((history.kind == PURCHASE_CODE) & (history.minute < member.as_of))
    lines = np.repeat(bought, history.times[bought])
    row, columns = history.item_row[lines], catalog.columns
    n = len(lines)
    return Purchases(
        members=1,
        items=len(catalog),
        began=int(began_days * MINUTES_PER_DAY),
        member_row=np.zeros(n, np.int32),
        item_row=row,
        minute=history.minute[lines],
        paid_cents=np.where(columns.priced[row], columns.price_cents[row], 0).astype(np.float32),
        saved_cents=np.zeros(n, np.float32),
        couponed=np.zeros(n, bool),
    )


def _past(connection: Connection, member_id: str, now: datetime, average_rate: float) -> CouponPast:
    micros = to_micros(now)
    ((sent, redeemed),) = fetch(connection, _PAST, (member_id, micros, member_id, micros))
    return CouponPast(np.array([sent], np.float32), np.array([redeemed], np.float32), average_rate)


def pace_of(turn: Turn, campaign_id: str | None) -> Pace | None:
    """Return how far a campaign's budget is; None where the campaign does not run now."""
    if campaign_id is None:
        return EVEN_PACE
    rows = fetch(turn.connection, _CAMPAIGN, (campaign_id,))
    now = to_micros(turn.now)
    if not rows or not rows[0][0] <= now < rows[0][1]:
        return None
    starts, ends = rows[0]
    spent = used(turn.connection, Count.COMMITTED, campaign_id)
    return Pace(budget_limit(turn.connection, campaign_id), spent, (now - starts) / (ends - starts))


def _granted(found: PairScores, offers: Sequence[Offer | None]) -> FloatVector:
    """Return the discount to hold against the budget, float64 (k,), as plan_cost() does for a plan."""
    share = np.array([0.0 if one is None else one.retailer_share for one in offers])
    worst = np.array([0.0 if one is None else float(one.worst_case_cents or 0) for one in offers])
    own = np.divide(found.cost_bound_cents, share, out=found.redemption * worst, where=share > 0)
    granted: FloatVector = np.ceil(np.maximum(own, 0.0))
    return granted
