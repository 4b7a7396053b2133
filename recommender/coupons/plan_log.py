"""The log of plans of offers: one row each, with how many were given or not, by reason, and how fair it was."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy.engine import Connection

from recommender.coupons.decisions import tally
from recommender.coupons.eligibility import CodeMatrix
from recommender.coupons.fairness import ClassBalance, FairnessRules
from recommender.coupons.pacing import Multipliers
from recommender.coupons.planning import OfferPlan
from recommender.storage.statements import execute, fetch
from recommender.storage.types import from_micros, to_micros

_INSERT = """
INSERT INTO coupon_plans
  (plan_id, campaign_id, planned_for, made_at, bundle_id, members, coupons, reasons, fairness)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_LATEST = """
SELECT plan_id, campaign_id, planned_for, made_at, bundle_id, members, coupons, reasons, fairness
FROM coupon_plans ORDER BY made_at DESC, plan_id LIMIT ?"""


@dataclass(frozen=True, slots=True)
class LoggedPlan:
    """A plan as it was logged: as in the table `coupon_plans`."""

    plan_id: str
    campaign_id: str | None
    planned_for: datetime
    made_at: datetime
    bundle_id: str
    members: int
    coupons: int
    reasons: dict[str, int]
    fairness: dict[str, Any]


def log_plan(
    connection: Connection,
    plan_id: str,
    plan: OfferPlan,
    codes: CodeMatrix,
    multipliers: Multipliers,
    rules: FairnessRules,
    now: datetime,
) -> None:
    """Write the row of a plan, inside a write transaction."""
    values = (
        plan_id,
        multipliers.campaign_id,
        to_micros(multipliers.at),
        to_micros(now),
        multipliers.bundle_id,
        plan.figures.members,
        plan.figures.coupons,
        orjson.dumps({str(reason): count for reason, count in tally(codes).items()}).decode(),
        orjson.dumps(fairness_document(plan.balance, rules)).decode(),
    )
    execute(connection, _INSERT, values)


def read_plan_log(connection: Connection, limit: int = 100) -> list[LoggedPlan]:
    """Return the latest plans, the latest first."""
    return [
        LoggedPlan(
            row[0],
            row[1],
            from_micros(row[2]),
            from_micros(row[3]),
            row[4],
            int(row[5]),
            int(row[6]),
            orjson.loads(row[7]),
            orjson.loads(row[8]),
        )
        for row in fetch(connection, _LATEST, (limit,))
    ]


def fairness_document(balance: tuple[ClassBalance, ...], rules: FairnessRules) -> dict[str, Any]:
    """Return the rules of a plan and what each eligibility class is given, as JSON values."""
    classes = [
        {
            "open_to": sorted(one.open_to),
            "loyal_members": one.loyal,
            "new_members": one.new,
            "loyal_cents": one.loyal_cents,
            "new_cents": one.new_cents,
            "kept": one.kept,
        }
        for one in balance
    ]
    return {"rules": rules.described(), "classes": classes}
