"""Where the multipliers of the latest plans are kept: one JSON file per campaign, replaced as a whole."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import orjson

from recommender.coupons.pacing import Multipliers
from recommender.errors import InputError

PLANS = "plans"
"""Folder in HOME."""


def write_multipliers(home: Path, multipliers: Multipliers) -> Path:
    """Keep the multipliers of a plan in place of those of the campaign's plan before; return the file."""
    path = plan_path(home, multipliers.campaign_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.write_bytes(orjson.dumps(multipliers.as_json()))
    part.replace(path)
    return path


def read_multipliers(home: Path, campaign_id: str | None) -> Multipliers | None:
    """Return what the latest plan of a campaign, or of none, has left; None if there was no plan.

    Raises: InputError if the file is damaged.
    """
    try:
        content = plan_path(home, campaign_id).read_bytes()
    except FileNotFoundError:
        return None
    try:
        document = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise InputError("The kept multipliers cannot be read.", value=plan_path(home, campaign_id)) from error
    return Multipliers.from_json(document if isinstance(document, dict) else {})


def plan_path(home: Path, campaign_id: str | None) -> Path:
    """Return the file of a campaign, or of plans of none; ids may hold what file names may not."""
    if campaign_id is None:
        return home / PLANS / "all.json"
    return home / PLANS / f"campaign-{hashlib.blake2b(campaign_id.encode(), digest_size=12).hexdigest()}.json"
