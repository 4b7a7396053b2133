"""Placements as serving keeps them: the settings of every scenario that has any, read from SQL."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import orjson
from sqlalchemy.engine import Connection

from recommender.errors import InputError
from recommender.placement import Placement, parse_placement
from recommender.storage.scenarios import read_latest

logger = logging.getLogger(__name__)


def read_placements(connection: Connection) -> Mapping[str, Placement]:
    """Return the settings that hold, by scenario; those that this release cannot read are left out and logged."""
    found: dict[str, Placement] = {}
    for scenario, version, settings in read_latest(connection):
        try:
            found[scenario] = parse_placement(orjson.loads(settings), version)
        except (InputError, orjson.JSONDecodeError) as error:
            logger.error("scenario_settings_not_used scenario=%s version=%d reason=%s", scenario, version, error)
    return found
