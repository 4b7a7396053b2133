"""Saved audiences and uploaded lists in SQL; and the ground that expressions are asked on, opened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from recommender.campaigns.audience_parsing import named_audiences, parse_expression
from recommender.campaigns.audience_terms import Expression, Goods, Ground
from recommender.campaigns.item_models import ItemModels
from recommender.campaigns.live_members import lay_over
from recommender.campaigns.member_features import MemberFeatures
from recommender.coupons.store import read_offers
from recommender.errors import InputError, NotFoundError
from recommender.storage.campaign_tables import audiences
from recommender.storage.statements import fetch, next_sequence

MOST_NESTED = 20
"""Most audiences that one may reach through others."""
_LISTED = "SELECT member_id FROM card_list_members WHERE list_id = ? ORDER BY member_id"


@dataclass(frozen=True, slots=True)
class Audience:
    """A saved audience. expression: as JSON gives it."""

    audience_id: str
    version: int
    name: str
    expression: Any
    created_at: datetime
    created_by: str


def open_ground(
    connection: Connection,
    features: MemberFeatures,
    now: datetime,
    channel_kinds: Mapping[str, str],
    models: ItemModels | None = None,
) -> Ground:
    """Return what expressions are asked on, as it stands in a snapshot of the database.

    Use it while the connection is open: audiences, lists and offers are read when they are asked for.

    Args:
        features: from feature_files.read_features(), or those of an earlier ground, which saves reading again.
    """
    return Ground(
        features=lay_over(features, connection),
        now=now,
        channel_kinds=channel_kinds,
        audience=lambda audience_id: _expression(connection, audience_id),
        card_list=lambda list_id: read_card_list(connection, list_id),
        offer=lambda offer_id: _goods(connection, offer_id),
        models=models,
    )


def save_audience(
    connection: Connection, audience_id: str, name: str, expression: object, created_by: str, now: datetime
) -> Audience:
    """Save a new version of an audience, inside a write transaction; what is as it was keeps its version.

    Raises: InputError if the expression cannot be read, names what does not exist, or comes back to itself.
    """
    parse_expression(expression)
    next_sequence(connection)  # keeps others waiting, so that two that are saved at once cannot name one another
    _check_names(connection, audience_id, expression)
    latest = find_audience(connection, audience_id)
    if latest is not None and (latest.name, latest.expression) == (name, expression):
        return latest
    version = 1 if latest is None else latest.version + 1
    saved = Audience(audience_id, version, name, expression, now, created_by)
    row: dict[str, object] = {field: getattr(saved, field) for field in Audience.__slots__}
    connection.execute(audiences.insert(), row | {"expression": orjson.dumps(expression).decode()})
    return saved


def find_audience(connection: Connection, audience_id: str, version: int | None = None) -> Audience | None:
    """Return a saved audience, the latest version unless one is named; None if there is none."""
    chosen = sa.select(audiences).where(audiences.c.audience_id == audience_id)
    if version is not None:
        chosen = chosen.where(audiences.c.version == version)
    row = connection.execute(chosen.order_by(audiences.c.version.desc()).limit(1)).mappings().first()
    return None if row is None else _audience(row)


def get_audience(connection: Connection, audience_id: str, version: int | None = None) -> Audience:
    """Return a saved audience. Raises: NotFoundError."""
    found = find_audience(connection, audience_id, version)
    if found is None:
        raise NotFoundError("There is no such audience.", field="audience_id", value=audience_id)
    return found


def list_audiences(connection: Connection) -> list[Audience]:
    """Return the latest version of every saved audience, by id."""
    latest = sa.select(audiences.c.audience_id, sa.func.max(audiences.c.version).label("version"))
    newest = latest.group_by(audiences.c.audience_id).subquery()
    same = sa.and_(audiences.c.audience_id == newest.c.audience_id, audiences.c.version == newest.c.version)
    rows = connection.execute(sa.select(audiences).join(newest, same).order_by(audiences.c.audience_id))
    return [_audience(row) for row in rows.mappings()]


def read_card_list(connection: Connection, list_id: str) -> Sequence[str]:
    """Return the members on an uploaded list. Raises: InputError if there is no such list."""
    if not fetch(connection, "SELECT 1 FROM card_lists WHERE list_id = ?", (list_id,)):
        raise InputError("There is no such list.", field="card_list", value=list_id)
    return [row[0] for row in fetch(connection, _LISTED, (list_id,))]


def check_expression(connection: Connection, expression: object) -> Expression:
    """Read an expression and look for what it names. Raises: InputError."""
    found = parse_expression(expression)
    _check_names(connection, None, expression)
    return found


def _expression(connection: Connection, audience_id: str) -> Expression:
    found = find_audience(connection, audience_id)
    if found is None:
        raise InputError("There is no such audience.", field="audience", value=audience_id)
    return parse_expression(found.expression)


def _check_names(connection: Connection, own: str | None, expression: object) -> None:
    """Refuse an expression that names audiences that do not exist, are too many, or lead back to it."""
    seen: set[str] = set()
    waiting = sorted(named_audiences(expression))
    while waiting:
        name = waiting.pop()
        if name == own:
            raise InputError("An audience cannot be made of itself.", field="expression.audience", value=name)
        if name in seen:
            continue
        seen.add(name)
        if len(seen) > MOST_NESTED:
            accepted = f"{MOST_NESTED} audiences"
            raise InputError("The audience reaches too many others.", field="expression.audience", accepted=accepted)
        found = find_audience(connection, name)
        if found is None:
            raise InputError("There is no such audience.", field="expression.audience", value=name)
        waiting += sorted(named_audiences(found.expression))


def _goods(connection: Connection, offer_id: str) -> Goods:
    offer = read_offers(connection, [offer_id]).offers.get(offer_id)
    if offer is None:
        raise InputError("There is no such offer.", field="offer_id", value=offer_id)
    scope = offer.scope
    return Goods(tuple(sorted(scope.items)), tuple(scope.categories), tuple(scope.brands))


def _audience(row: Mapping[Any, Any]) -> Audience:
    return Audience(**{**row, "expression": orjson.loads(row["expression"])})
