"""Takes erased members out of what people wrote down: expressions of audiences and settings of campaigns."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from recommender.events import member_subject
from recommender.storage.campaign_tables import audiences, campaign_states
from recommender.storage.database import Database
from recommender.storage.erasure import PSEUDONYM
from recommender.storage.identities import erased_subjects

NAMING = ("member_id", "seeds")
"""Keys behind which members are named."""
_PLACES = (
    (audiences, audiences.c.expression, (audiences.c.audience_id, audiences.c.version)),
    (campaign_states, campaign_states.c.settings, (campaign_states.c.campaign_id,)),
)


def unname_erased(database: Database) -> int:
    """Put a pseudonym in place of erased members, each document in a short transaction; return how many changed."""
    prefix = member_subject("")
    changed = 0
    with database.read() as connection:
        erased = {name.removeprefix(prefix) for name in erased_subjects(connection) if name.startswith(prefix)}
    if not erased:
        return 0
    for table, column, keys in _PLACES:
        with database.read() as connection:
            named = sa.or_(*(column.like(f'%"{name}"%') for name in NAMING))
            found = connection.execute(sa.select(*keys, column).where(named)).all()
        for *key, text in found:
            document = orjson.loads(text)
            new = without(document, erased)
            if new != document:
                same = sa.and_(*(part == value for part, value in zip(keys, key, strict=True)))
                with database.write(durable=True) as connection:
                    changed += _put(connection, table, column, same, text, orjson.dumps(new).decode())
    return changed


def without(document: Any, erased: Collection[str]) -> Any:
    """Return a JSON document with a pseudonym in place of erased members behind the keys NAMING."""
    if isinstance(document, list):
        return [without(one, erased) for one in document]
    if not isinstance(document, dict):
        return document
    return {
        key: _renamed(value, erased) if key in NAMING else without(value, erased) for key, value in document.items()
    }


def _renamed(value: Any, erased: Collection[str]) -> Any:
    if isinstance(value, list):
        return list(dict.fromkeys(_renamed(one, erased) for one in value))
    return PSEUDONYM if isinstance(value, str) and value in erased else value


def _put(
    connection: Connection,
    table: sa.Table,
    column: sa.Column[str],
    same: sa.ColumnElement[bool],
    old: str,
    new: str,
) -> int:
    """Change a document that is still as it was read."""
    unchanged = sa.and_(same, column == old)
    return connection.execute(table.update().where(unchanged).values({column.name: new})).rowcount
