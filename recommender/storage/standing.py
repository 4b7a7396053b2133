"""Reads what the standing of items rests on: recalls, replaced codes, festivals and trust in stock."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import replace

from sqlalchemy.engine import Connection

from recommender.standing import UNTRACKED, StandingRows, Trust
from recommender.storage.items import replacements, same_products, substitutes
from recommender.storage.recalls import read_recalls
from recommender.storage.statements import fetch
from recommender.storage.stock_policies import StockPolicy, read_policies
from recommender.storage.stock_policies import Trust as Kind

STANDING_TABLES = ("recalls", "item_relations", "calendar", "stock_policies")
"""Tables whose changes change the standing."""


def read_standing(connection: Connection, known: StandingRows, changed: Set[str]) -> StandingRows:
    """Return the rows with those of the changed tables read anew.

    Args:
        known: as they were.
        changed: names of tables, also others.
    """
    if "recalls" in changed:
        known = replace(known, recalled=read_recalls(connection))
    if "item_relations" in changed:
        alike = [*same_products(connection), *substitutes(connection)]
        known = replace(known, replaced=replacements(connection), alike=alike)
    if "calendar" in changed:
        known = replace(known, festivals=_festivals(connection))
    if "stock_policies" in changed:
        known = replace(known, trust=[_trust(policy) for policy in read_policies(connection)])
    return known


def _festivals(connection: Connection) -> dict[str, list[int]]:
    days: dict[str, list[int]] = {}
    for name, day in fetch(connection, "SELECT festival, date FROM calendar ORDER BY date"):
        days.setdefault(name, []).append(day)
    return days


def _trust(policy: StockPolicy) -> Trust:
    above = {Kind.EXACT: 0.0, Kind.SAFETY: policy.safety_level, Kind.UNTRACKED: UNTRACKED}[policy.trust]
    return Trust(policy.category, above, policy.max_age_minutes)
