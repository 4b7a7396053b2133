"""Judging the offers of a plan for one member who comes between plans: what speaks against each, and which is given."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

from recommender.coupons.decisions import Decision
from recommender.coupons.fairness import FairnessRules
from recommender.coupons.issuing import IssueRequest, could_issue
from recommender.coupons.kept_plans import Decided, KeptPlan
from recommender.coupons.offers import Offer
from recommender.coupons.pacing import Multipliers, Pace, decide
from recommender.coupons.purchases import read_holders
from recommender.coupons.refusals import Refusal
from recommender.coupons.wallet import Status, Turn
from recommender.storage.statements import fetch
from recommender.storage.types import from_micros, to_micros

FloatVector = npt.NDArray[np.float64]

_REGISTERED = "SELECT registered_at FROM members WHERE member_id = ?"
_GIVEN = """
SELECT offer_id, status, discount_cents FROM wallet_coupons
WHERE member_id = ? AND campaign_id IS NOT NULL AND issued_at > ? AND status IN ('issued', 'locked', 'redeemed')"""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a member is offered between plans, if anything, and why each offer of the plan is, or is not."""

    given: Decided | None
    why: tuple[Decision | Refusal, ...]


NOTHING = Judgement(None, ())


def draw_ticket(member_id: str, multipliers: Multipliers, share: float, local: datetime) -> int | None:
    """Return the ticket that a member draws on a local day, None if they draw none; one more than offers is a blank.

    Args:
        share: of the members who draw.
    """
    text = f"{member_id}\0{multipliers.campaign_id or ''}\0{local.date().isoformat()}"
    digest = hashlib.blake2b(text.encode(), digest_size=16, person=b"coupon-lots").digest()
    if int.from_bytes(digest[:8]) >= share * 2**64:
        return None
    return int.from_bytes(digest[8:]) % (len(multipliers.offer_id) + 1)


class OfferTable:
    """The offers of a plan for one member, while reasons against them come in.

    value, cost: float64, (k,), cents; NaN once there is a reason.
    """

    def __init__(
        self, turn: Turn, plan: KeptPlan, member_id: str, pace: Pace, value: FloatVector, cost: FloatVector
    ) -> None:
        self.turn, self.plan, self.member_id, self.pace = turn, plan, member_id, pace
        self.value, self.cost = value, cost
        self.against: dict[int, Decision | Refusal] = dict.fromkeys(
            np.flatnonzero(~(value > 0)).tolist(), Decision.NO_GAIN
        )

    def hold_floor(self, offers: Sequence[Offer | None]) -> None:
        """Rule out what would give a new member more than loyal ones of the class are given per head."""
        rules, floors = self.turn.rules.fairness, self.plan.floors
        if not floors or not _is_new(self.turn, self.member_id, rules):
            return
        holder = read_holders(self.turn.connection, [self.member_id]).get(self.member_id)
        segments = frozenset() if holder is None else holder.facts.segments
        floor = floors.get(_open_to(offers, segments))
        if floor is None:
            return
        had = self._had(rules)
        for place in np.flatnonzero(had + self.cost > floor).tolist():
            self.against.setdefault(place, Decision.LOYALTY_FLOOR)
            self.value[place] = np.nan

    def _had(self, rules: FairnessRules) -> float:
        """Return what coupons of campaigns took off for the member in the quarter, and are expected to."""
        place = {offer_id: at for at, offer_id in enumerate(self.plan.multipliers.offer_id)}
        rows = fetch(self.turn.connection, _GIVEN, (self.member_id, to_micros(self.turn.now - rules.new)))
        return sum(
            float(cents) if status != Status.ISSUED else float(self.cost[place[offer_id]]) if offer_id in place else 0.0
            for offer_id, status, cents in rows
        )

    def best(self) -> int | None:
        """Return the place of the offer that is worth most and can be issued."""
        while True:
            chosen = decide(self.plan.multipliers, self.pace, self.value.tolist(), self.cost.tolist())
            if chosen is None or self._issuable(chosen):
                return chosen

    def drawn(self, ticket: int) -> int | None:
        """Return the place of the offer on a ticket, None for a blank and for what the member may not have."""
        if ticket >= len(self.value) or not np.isfinite(self.value[ticket]):
            return None
        if self.cost[ticket] > self.pace.left_cents:
            return None
        return ticket if self._issuable(ticket) else None

    def _issuable(self, place: int) -> bool:
        multipliers = self.plan.multipliers
        asked = IssueRequest(multipliers.offer_id[place], self.member_id, multipliers.campaign_id)
        (refused,) = could_issue(self.turn, [asked])
        if refused is not None:
            self.against[place] = refused
            self.value[place] = np.nan
        return refused is None

    def why(self, chosen: int | None, drawn: bool) -> tuple[Decision | Refusal, ...]:
        """Return the reason of each offer."""
        rest = Decision.LOST_THE_DRAW if drawn else Decision.OUTBID if chosen is None else Decision.OTHER_OFFER
        own = Decision.DRAWN if drawn else Decision.BEST_WORTH
        return tuple(own if at == chosen else self.against.get(at, rest) for at in range(len(self.value)))


def _is_new(turn: Turn, member_id: str, rules: FairnessRules) -> bool:
    rows = fetch(turn.connection, _REGISTERED, (member_id,))
    registered = rows[0][0] if rows else None
    return rules.is_new(None if registered is None else from_micros(registered), turn.now)


def _open_to(offers: Sequence[Offer | None], segments: frozenset[str]) -> frozenset[str]:
    """Return the offers bound to segments that are open to a member of some."""
    bound = [offer for offer in offers if offer is not None and offer.segments]
    return frozenset(offer.offer_id for offer in bound if not offer.segments.isdisjoint(segments))
