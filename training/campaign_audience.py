"""The audience of a campaign as rows of the members who are learned from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import numpy.typing as npt
from sqlalchemy.engine import Connection

from recommender.bundle import Bundle
from recommender.campaigns.audience import Expression, Rules, parse_expression, select
from recommender.campaigns.audience_conditions import Everyone
from recommender.campaigns.audience_store import get_audience, open_ground
from recommender.campaigns.campaign import Campaign
from recommender.campaigns.feature_files import current_generation, read_features
from recommender.campaigns.feature_refresh import refresh_features
from recommender.campaigns.item_models import ItemModels
from recommender.campaigns.settings import AudienceChoice
from recommender.campaigns.transports import get_transport
from recommender.ids import IdIndex
from training.place import Place

CONSENT = "push"
"""The purpose of the consent that messages need."""
NO_HISTORY = "no_history"
"""Members of whom nothing is learned: no plan can say what an offer changes for them."""


@dataclass(frozen=True, slots=True, eq=False)
class Audience:
    """Whom a campaign may reach: rows, int32, rising; None: everybody.  left_out: how many were not taken, and why."""

    rows: npt.NDArray[np.int32] | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)


def find_audience(place: Place, bundle: Bundle, campaign: Campaign, members: IdIndex, now: datetime) -> Audience:
    """Return the audience of a campaign; of one that sends messages, who agreed to get them.

    Args:
        members: who is learned from.
        now: as of when.
    Raises: InputError or NotFoundError if the audience cannot be read, or names what does not exist.
    """
    settings = campaign.settings
    if settings.audience.everybody and settings.transport is None:
        return Audience()
    if current_generation(place.settings.home) is None:
        refresh_features(place.database, place.settings, now)
    features = read_features(place.settings.home)
    with place.database.read(snapshot=True) as connection:
        models = ItemModels.of(bundle, features)
        ground = open_ground(connection, features, now, place.settings.channel_kinds, models)
        rules = _rules(connection, settings.transport)
        found = select(ground, _expression(connection, settings.audience), rules)
        keys = found.features.keys()[found.rows]
    rows = np.flatnonzero(np.isin(members.keys, keys, assume_unique=True)).astype(np.int32)
    left_out = {reason.value: count for reason, count in found.left_out.items() if count}
    if len(keys) > len(rows):
        left_out[NO_HISTORY] = len(keys) - len(rows)
    return Audience(rows, left_out)


def _rules(connection: Connection, transport: str | None) -> Rules:
    """Return which consents are needed: the same as in the moment of sending."""
    if transport is None:
        return Rules(purpose=None)
    return Rules(purpose=CONSENT, channel=get_transport(connection, transport).settings.channel)


def _expression(connection: Connection, choice: AudienceChoice) -> Expression:
    if choice.audience_id is not None:
        return parse_expression(get_audience(connection, choice.audience_id).expression)
    return Everyone() if choice.expression is None else parse_expression(choice.expression)
