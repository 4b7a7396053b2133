"""Observed: what was read of a campaign for its report: groups, purchases before and after, costs, segments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy.engine import Connection

from recommender.campaigns.assigned import (
    Assigned,
    Funnel,
    Redemptions,
    read_assigned,
    read_funnel,
    read_message_ids,
    read_redemptions,
)
from recommender.campaigns.bought import MICROS_PER_DAY, Bought, Windows, put_lines, read_bought, read_goods
from recommender.campaigns.campaign import Campaign
from recommender.campaigns.effect import FloatVector, IntVector, sum_units
from recommender.campaigns.events_said import count_answers, put_said
from recommender.campaigns.plans import get_plan
from recommender.campaigns.report_texts import Segmentation
from recommender.campaigns.store import get_campaign
from recommender.coupons.store import read_offers
from recommender.kept_sources import opened_kept, read_sources
from recommender.settings import CoreSettings
from recommender.storage.database import Database
from recommender.storage.statements import fetch
from recommender.storage.types import to_micros

MOST_SEGMENTS = 20
"""Segments compared; the smaller ones are left out."""


@dataclass(frozen=True, slots=True)
class Costs:
    """What the campaign cost, by member, float64, (members,), cents.

    discount: coupons redeemed in the window.  own: the part of it that no supplier pays.  contact: messages sent.
    redeemed: 1 where the member redeemed at least once.
    """

    discount: FloatVector
    own: FloatVector
    contact: FloatVector
    redeemed: FloatVector


@dataclass(frozen=True, slots=True)
class Observed:
    """What was read of a campaign; planned: figures of the plan that held, empty if there is none."""

    campaign: Campaign
    assigned: Assigned
    bought: Bought
    costs: Costs
    funnel: Funnel
    segment: IntVector
    segment_names: tuple[str, ...]
    segmentation: Segmentation
    until: int
    planned: Mapping[str, Any] = field(default_factory=dict)


def read_observed(
    database: Database,
    settings: CoreSettings,
    campaign_id: str,
    now: datetime,
    segmentation: Segmentation,
) -> Observed:
    """Read all that a report is made from.

    Raises: NotFoundError if there is no such campaign; EventLogError if a file of the log is missing.
    """
    with database.read(snapshot=True) as connection:
        campaign = get_campaign(connection, campaign_id)
        assigned = read_assigned(connection, campaign, now)
        redemptions, funnel = read_redemptions(connection, campaign_id), read_funnel(connection, campaign_id)
        planned = {} if campaign.plan_id is None else get_plan(connection, campaign.plan_id).figures
        sources, goods = read_sources(connection, settings, now), read_goods(connection)
        offers = read_offers(connection, {*assigned.offers, *redemptions.offers}).offers
        labels, messages = _labels(connection, assigned, segmentation), read_message_ids(connection, campaign_id)
    length = campaign.settings.window_days * MICROS_PER_DAY
    windows = Windows(
        assigned.member_ids, assigned.starts - length, assigned.starts, assigned.starts + length, assigned.offer
    )
    shift = (now.astimezone(settings.zone).utcoffset() or timedelta()) // timedelta(microseconds=1)
    with opened_kept(settings, sources, now) as engine:
        put_lines(engine, goods, settings.default_margin_share)
        put_said(engine, sources)
        funnel = replace(funnel, answers=count_answers(engine, messages))
        chosen = [offers.get(name) for name in assigned.offers]
        bought = read_bought(engine, sources.links, windows, goods, chosen, shift)
    own = {name: 1 - offer.funded_share for name, offer in offers.items()}
    contact = campaign.settings.contact_cents or settings.contact_cost_cents
    costs = _costs(assigned, redemptions, windows, own, contact)
    segment, names = _segments(assigned, bought, labels)
    return Observed(campaign, assigned, bought, costs, funnel, segment, names, segmentation, to_micros(now), planned)


def _costs(
    assigned: Assigned,
    redemptions: Redemptions,
    windows: Windows,
    own: Mapping[str, float],
    contact_cents: float,
) -> Costs:
    """Return what each member cost: redemptions in their window, and messages."""
    places = {member: place for place, member in enumerate(assigned.member_ids)}
    discount, paid, redeemed = np.zeros((3, len(places)), np.float64)
    rows = zip(redemptions.members, redemptions.offers, redemptions.cents, redemptions.times, strict=True)
    for member, offer, cents, at in rows:
        place = places.get(member)
        if place is None or not windows.start[place] <= at < windows.end[place]:
            continue
        discount[place] += cents
        paid[place] += cents * own.get(offer, 1.0)
        redeemed[place] = 1.0
    return Costs(discount, paid, assigned.messages.astype(np.float64) * contact_cents, redeemed)


_ATTRIBUTES = {Segmentation.TIER: "tier", Segmentation.CITY: "city", Segmentation.HOME_STORE: "home_store_id"}


def _labels(connection: Connection, assigned: Assigned, segmentation: Segmentation) -> list[str] | None:
    """Return what each member is told apart by; None: by what they bought before."""
    if segmentation is Segmentation.HISTORY:
        return None
    if segmentation is Segmentation.OFFER:
        return [assigned.offers[place] if place >= 0 else "" for place in assigned.offer.tolist()]
    found = dict(fetch(connection, f"SELECT member_id, {_ATTRIBUTES[segmentation]} FROM members"))
    return [found.get(member) or "" for member in assigned.member_ids]


def _segments(assigned: Assigned, bought: Bought, labels: list[str] | None) -> tuple[IntVector, tuple[str, ...]]:
    """Return the segment of each unit, that of its first member; -1 for those left out."""
    if labels is None:
        spent = sum_units(assigned.unit, assigned.units, bought.before["sales"])
        middle = float(np.median(spent[spent > 0])) if (spent > 0).any() else 0.0
        return np.where(spent <= 0, 0, np.where(spent <= middle, 1, 2)), ("none", "light", "heavy")
    first = np.unique(assigned.unit, return_index=True)[1]
    of_unit = [labels[place] for place in first.tolist()]
    sizes: dict[str, int] = {}
    for label in of_unit:
        sizes[label] = sizes.get(label, 0) + 1
    names = sorted(sorted(sizes, key=lambda name: (-sizes[name], name))[:MOST_SEGMENTS])
    places = {name: place for place, name in enumerate(names)}
    return np.array([places.get(label, -1) for label in of_unit], np.int64), tuple(names)
