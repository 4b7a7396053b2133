"""Whom a daily trigger is about: members due to buy what an offer is for again, or who have not bought for long."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from recommender.campaigns.audience import Expression, Ground, Rules, parse_expression, select
from recommender.campaigns.audience_behaviour import Due
from recommender.campaigns.audience_store import open_ground
from recommender.campaigns.audience_terms import Goods
from recommender.campaigns.campaign import Campaign
from recommender.campaigns.feature_files import read_features
from recommender.campaigns.item_models import ItemModels
from recommender.campaigns.occasions import Event, Trigger
from recommender.registry import Registry
from recommender.settings import CoreSettings
from recommender.storage.database import Database


def due_members(
    database: Database, settings: CoreSettings, trigger: Trigger, campaign: Campaign, now: datetime
) -> Sequence[str]:
    """Return the members a daily trigger is about, by id.

    Raises: ConflictError if there are no member features yet, or no bundle is promoted where one is needed.
    """
    features = read_features(settings.home)
    models = None
    if trigger.event is Event.DUE_AGAIN:
        models = ItemModels.of(Registry(settings.models).open(), features)
    with database.read(snapshot=True) as connection:
        ground = open_ground(connection, features, now, settings.channel_kinds, models)
        found = select(ground, _expression(ground, trigger, campaign), Rules(purpose=None))
        return sorted(key.decode() for key in found.features.keys()[found.rows].tolist())


def _expression(ground: Ground, trigger: Trigger, campaign: Campaign) -> Expression:
    if trigger.event is Event.LAPSED:
        return parse_expression({"days_since": {"what": "last_purchase", "min": trigger.days}})
    goods = [ground.offer(offer_id) for offer_id in campaign.offers]
    if any(one.everything for one in goods):
        return Due(Goods(), trigger.days)
    parts = ({name for one in goods for name in getattr(one, part)} for part in Goods.__slots__)
    return Due(Goods(*(tuple(sorted(part)) for part in parts)), trigger.days)
