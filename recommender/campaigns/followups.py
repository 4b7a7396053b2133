"""Follow-ups: which of a guide's customers are worth a word today, by what it is expected to earn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
from sqlalchemy.engine import Connection

from recommender.campaigns.audience import Rules, Selection, select
from recommender.campaigns.audience_conditions import LabelIs
from recommender.campaigns.audience_terms import Ground
from recommender.campaigns.item_models import due_products
from recommender.coupons.kept_plans import KeptPlan
from recommender.storage.statements import fetch
from recommender.storage.types import to_micros

FloatVector = npt.NDArray[np.float64]

DUE_DAYS = 3
"""What is due by then is worth a word today."""
_RUNNING = "SELECT campaign_id FROM campaigns WHERE starts_at <= ? AND ends_at > ?"


@dataclass(frozen=True, slots=True, eq=False)
class Customers:
    """A guide's customers who may be contacted and are worth it, best first; aligned.

    coupon_cents: expected incremental profit of the coupon that a plan gives.  due: products that are due.
    due_cents: what these earn, times the assumed effect of a word.
    """

    selection: Selection
    member_ids: Sequence[str]
    rows: npt.NDArray[np.int32]
    coupon_cents: FloatVector
    due: npt.NDArray[np.int64]
    due_cents: FloatVector


def rank_customers(ground: Ground, guide_id: str, rules: Rules, plans: Sequence[KeptPlan], effect: float) -> Customers:
    """Rank a guide's customers by the profit that a word today is expected to add.

    Args:
        plans: that hold now.
        effect: by which share a word raises the chance that a product that is due is bought.
    """
    features = ground.features
    selection = select(ground, LabelIs("guide", (guide_id,)), rules)
    rows, count = selection.rows, len(features)
    ids = [key.decode() for key in features.keys()[rows].tolist()]
    coupon = np.zeros(len(rows))
    for plan in plans:
        coupon = np.maximum(coupon, plan.profits(ids))
    member, margin = np.empty(0, np.int32), np.empty(0)
    if ground.models is not None and len(rows):
        member, margin = due_products(features, ground.models, ground.marked(rows), ground.today, DUE_DAYS)
    due = np.bincount(member, minlength=count)
    earns = np.asarray(np.bincount(member, margin * effect, count), np.float64)
    value = coupon + earns[rows]
    order = np.lexsort((np.arange(len(rows)), -value))
    order = order[value[order] > 0]
    chosen = rows[order]
    return Customers(selection, [ids[at] for at in order], chosen, coupon[order], due[chosen], earns[chosen])


def running_plans(connection: Connection, plans: Sequence[KeptPlan], now: datetime) -> list[KeptPlan]:
    """Return the plans of no campaign, and of campaigns that run now."""
    running = {row[0] for row in fetch(connection, _RUNNING, (to_micros(now), to_micros(now)))}
    return [one for one in plans if one.multipliers.campaign_id in {None, *running}]
