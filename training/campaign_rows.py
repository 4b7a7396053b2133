"""The rows of a campaign's plan: every member of the audience with their group, and what they get or would have got."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from recommender.campaigns.assignments import CHUNK_ROWS, Assignment, add_assignments, keep_units
from recommender.campaigns.holdout import ARMS
from recommender.storage.database import Database

if TYPE_CHECKING:
    from training.campaign_plan import CampaignPlan


def write_rows(
    database: Database, made: CampaignPlan, now: datetime, again: bool, tell: Callable[[float], None]
) -> None:
    """Write all members in short transactions; again: on a later occasion of the campaign."""
    total, done = max(len(made.drawn.members), 1), 0
    for rows in _chunks(made):
        with database.write() as connection:
            keep_units(connection, made.terms.campaign.campaign_id, made.terms.draw.period, rows, now)
            add_assignments(connection, made.terms.campaign.campaign_id, rows, now, again)
        done += len(rows)
        if done % (50 * CHUNK_ROWS) < CHUNK_ROWS:
            tell(done / total)


def _chunks(made: CampaignPlan) -> Iterator[list[Assignment]]:
    drawn, offers = made.drawn, made.terms.offer_ids
    offer, chance, profit, cost = _given(made)
    propensity = made.terms.draw.propensity
    for start in range(0, len(drawn.members), CHUNK_ROWS):
        here = np.arange(start, min(start + CHUNK_ROWS, len(drawn.members)))
        columns = (offer[here].tolist(), chance[here].tolist(), profit[here].tolist(), cost[here].tolist())
        yield [
            Assignment(member, unit, ARMS[arm], propensity, *((None, p, None, None) if o < 0 else (offers[o], p, v, c)))
            for member, unit, arm, o, p, v, c in zip(
                drawn.members.ids(here), drawn.units[start : start + len(here)], drawn.arms[here], *columns, strict=True
            )
        ]


def _given(
    made: CampaignPlan,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return for every member the offer (-1: none), its chance, and what it is expected to earn and to cost."""
    n = len(made.drawn.members)
    offer, chance = np.full(n, -1, np.int64), np.ones(n)
    profit, cost = np.zeros(n), np.zeros(n)
    explored = made.plan.explored
    treated, control = made.drawn.places
    chance[treated] = np.clip(explored.none_propensity, 0.0, 1.0)
    got = treated[explored.plan.member_row]
    offer[got], chance[got] = explored.plan.offer_row, np.clip(explored.propensity, 0.0, 1.0)
    offer[control], chance[control] = made.would.offer_row, made.would.propensity
    for rows, scored in zip((treated, control), made.scored, strict=True):
        mine = np.flatnonzero(offer[rows] >= 0)
        at = (mine, offer[rows[mine]])
        profit[rows[mine]], cost[rows[mine]] = scored.profit[at], scored.expected[at]
    return offer, chance, profit, cost
