"""Coupons of one member: those held and those that may be claimed, ranked, with reasons; and those beside a slate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
import numpy.typing as npt
from sqlalchemy.engine import Connection

from api.described import Described
from api.services import Call, Services
from api.serving import Serving
from recommender.coupons.beside import Beside, Counter, Shown, place_beside
from recommender.coupons.coverage import LONGEST_DAYS, Bought, bought_of, buys_anyway, chance_of, covered_items
from recommender.coupons.kept_plans import Decided, KeptPlan
from recommender.coupons.offers import Offer
from recommender.coupons.online import Newcomer
from recommender.coupons.prospects import Between, Origin, Prospect, Prospects, read_prospects
from recommender.coupons.purchases import read_holders
from recommender.coupons.refusals import Refusal
from recommender.coupons.terms import face_cents
from recommender.coupons.wallet import Turn
from recommender.events import member_subject
from recommender.lookup import Who
from recommender.masks import reachable_stores
from recommender.query import Query
from recommender.request import SlateRequest
from recommender.storage.catalog import read_costs
from recommender.storage.live import LiveView
from recommender.storage.members import read_member
from recommender.touches import touches_of

BoolVector = npt.NDArray[np.bool_]

SOLD_OUT = "sold_out"
"""Why an offer is left out, and a held coupon cannot be used: no store in reach has what it is for."""
_BUYABLE = frozenset({"not_sellable", "recalled", "replaced", "not_listed", "out_of_stock"})
_SECONDS_PER_DAY = 86400


@dataclass(frozen=True, slots=True)
class Asked:
    """A request looked up: what answers it, and for whom."""

    request: SlateRequest
    serving: Serving
    live: LiveView
    query: Query
    who: Who

    @property
    def member_id(self) -> str | None:
        """Whose coupons are asked for; None for customers that are no known member."""
        prefix, subjects = member_subject(""), self.who.subjects
        return subjects[0].removeprefix(prefix) if subjects and subjects[0].startswith(prefix) else None


@dataclass(frozen=True, slots=True)
class Own:
    """A coupon or an offer of a member, with what ranks and explains it.

    bought: what the member bought of its goods; None where their history is not used.
    useful_cents: what it is expected to save the member.  sold_out: no store in reach has what it is for.
    """

    prospect: Prospect
    bought: Bought | None
    useful_cents: float
    sold_out: bool

    @property
    def rank(self) -> tuple[float, datetime | None, str]:
        """Its worth to the retailer and to the member, in cents; when it ends; its id."""
        decided = self.prospect.decided
        worth = 0.0 if decided is None else max(decided.profit_cents, 0.0)
        return worth + self.useful_cents, expiry_of(self.prospect), self.prospect.key


@dataclass(frozen=True, slots=True)
class Ranked:
    """All of a member, best first; why others are left out, by offer id; whether they are known, and profiled."""

    found: Sequence[Own]
    left_out: Mapping[str, str]
    known: bool
    personalised: bool


def expiry_of(prospect: Prospect) -> datetime | None:
    """Return when it can no longer be used."""
    return prospect.offer.valid_until if prospect.coupon is None else prospect.coupon.expires_at


def rank_own(services: Services, call: Call, asked: Asked, connection: Connection) -> Ranked:
    """Return what a member holds and may claim, inside a read transaction; nothing is spent.

    Raises: StoreBusyError: without the database there is no coupon.
    """
    member_id = asked.member_id
    member = None if member_id is None else read_member(connection, member_id, call.now)
    turn = Turn(connection, services.wallet, call.now)
    prospects = read_prospects(turn, member, services.plans.current(), _between(asked, member_id or ""))
    found, left_out = _in_reach(services, asked, prospects)
    owned = [_own(one, asked, call.now, sold_out) for one, sold_out in found]
    end = datetime.max.replace(tzinfo=call.now.tzinfo)
    owned.sort(key=lambda one: (-one.rank[0], one.rank[1] or end, one.rank[2]))
    return Ranked(owned, left_out, member is not None, member is not None and member.personalised)


def _between(asked: Asked, member_id: str) -> Between:
    """Return what decides for the member where a plan did not consider them."""

    def decided(turn: Turn, plan: KeptPlan) -> Sequence[Decided]:
        decider, live, query = asked.serving.decider, asked.live, asked.query
        if decider is None:
            return ()
        newcomer = Newcomer(member_id, query.history, query.as_of)
        return decider.decide(turn, plan, newcomer, live.catalog, live.item_masks)

    return decided


def beside_slate(services: Services, call: Call, asked: Asked, described: Described) -> list[Beside | None]:
    """Return the coupon beside each item of a slate, aligned with it.

    Raises: StoreBusyError: without the database there is no coupon.
    """
    with services.database.read(snapshot=True) as connection:
        ranked = rank_own(services, call, asked, connection)
        usable = [one.prospect for one in ranked.found if not one.sold_out]
        if not usable or asked.member_id is None:
            return [None] * len(described.item_ids)
        costs = read_costs(connection, described.item_ids)
        holder = read_holders(connection, [asked.member_id]).get(asked.member_id)
    if holder is None:
        return [None] * len(described.item_ids)
    counter = Counter(call.now, described.store_id, asked.request.channel, holder.facts)
    shown = _shown(services, call, asked, described, costs, _longest(usable, call.now))
    return place_beside(usable, shown, counter)


def _longest(prospects: Sequence[Prospect], now: datetime) -> float:
    return max(days_left(one, now) for one in prospects)


def days_left(prospect: Prospect, now: datetime) -> float:
    """Return how many days it can be used, at most LONGEST_DAYS."""
    until = expiry_of(prospect)
    return LONGEST_DAYS if until is None else min((until - now).total_seconds() / _SECONDS_PER_DAY, LONGEST_DAYS)


def _in_reach(
    services: Services, asked: Asked, prospects: Prospects
) -> tuple[list[tuple[Prospect, bool]], dict[str, str]]:
    """Return what can be used in the stores the member can reach; what is held stays, and is marked if sold out."""
    online = {name for name, kind in services.settings.channel_kinds.items() if kind == "online"}
    stores = set(reachable_stores(asked.request, asked.who.store_id, asked.live, online))
    left_out: dict[str, str] = {offer_id: str(reason) for offer_id, reason in prospects.left_out.items()}
    found = []
    for one in prospects.found:
        sold_out = not (_covered(one.offer, asked.live) & _buyable(asked.query)).any()
        away = bool(one.offer.stores and stores and one.offer.stores.isdisjoint(stores))
        if one.origin is not Origin.HELD and (sold_out or away):
            left_out[one.offer.offer_id] = SOLD_OUT if sold_out else str(Refusal.WRONG_STORE)
        else:
            found.append((one, sold_out))
    return found, left_out


def _covered(offer: Offer, live: LiveView) -> BoolVector:
    return covered_items(offer, live.catalog, live.item_masks)


def _buyable(query: Query) -> BoolVector:
    masks = [mask.allowed for mask in query.masks if mask.rule in _BUYABLE]
    found: BoolVector = np.logical_and.reduce(masks)
    return found


def _own(prospect: Prospect, asked: Asked, now: datetime, sold_out: bool) -> Own:
    covered, query = _covered(prospect.offer, asked.live), asked.query
    typical = face_cents(prospect.offer, _typical_price(covered, asked.live))
    if not query.personal:
        return Own(prospect, None, 0.0, sold_out)
    # Delicate goods are neither counted nor told of.
    told = covered if query.unnamed is None else covered & ~query.unnamed
    offset = asked.serving.recommender.day_offset_minutes
    bought = bought_of(query.history, told, query.as_of, offset)
    return Own(prospect, bought, chance_of(bought, days_left(prospect, now)) * typical, sold_out)


def _typical_price(covered: BoolVector, live: LiveView) -> float:
    priced = covered & live.catalog.columns.priced
    return float(live.catalog.columns.price_cents[priced].mean()) if priced.any() else 0.0


def _shown(
    services: Services,
    call: Call,
    asked: Asked,
    described: Described,
    costs: Mapping[str, int],
    days: float,
) -> list[Shown]:
    rows, catalog = described.slate.row.tolist(), asked.live.catalog
    query = asked.query
    touches = touches_of(query.history, set(rows)) if query.personal and len(query.history.item_row) else {}
    found = []
    for row, details in zip(rows, described.details, strict=True):
        price, cost = details.price_cents, costs.get(details.item_id)
        margin = None if price is None else price * services.settings.default_margin_share
        if price is not None and cost is not None:
            margin = float(price - cost)
        restricted = "restricted" if catalog.columns.restricted[row] else None
        anyway = buys_anyway(touches.get(row), query.as_of, days)
        found.append(Shown(details.item_id, details.category, details.brand, restricted, price, margin, anyway))
    return found


def last_day(bought: Bought, day_offset: int) -> date:
    """Return the local day of the latest purchase, of which there must be one."""
    assert bought.last is not None
    return date.fromordinal(date(1970, 1, 1).toordinal() + (bought.last + day_offset) // 1440)
