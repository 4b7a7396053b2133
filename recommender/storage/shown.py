"""What a customer was shown or refused: exposures by answer, with the consent that held at that moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from recommender.storage.members import PERSONALIZATION
from recommender.storage.tables import CANONICAL, answers, exposures

LONGEST_ANSWERS = 500
"""Most answers told at once, the latest ones."""
_WIDEST_SLATE = 100


@dataclass(frozen=True, slots=True)
class ShownItem:
    """One item of a slate: which retriever found it, and the code of the first reason given."""

    item_id: str
    position: int
    score: float | None
    retriever: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Consent:
    """What a member said of a purpose, when, to which words, and where it was recorded."""

    purpose: str
    channel: str
    granted: bool
    at: datetime
    wording_version: str | None
    source: str | None


@dataclass(frozen=True, slots=True)
class ShownAnswer:
    """One answer to one customer.

    dropped: candidates that rules refused, by rule; None if it was not recorded.
    consent: the latest consent to personalisation at that moment, None if none was recorded by then.
    """

    recommendation_id: str
    occurred_at: datetime
    scenario: str
    bundle_id: str | None
    strategy: str
    experiment: str | None
    experiment_group: str | None
    store_id: str | None
    channel: str | None
    flags: tuple[str, ...]
    items: tuple[ShownItem, ...]
    dropped: dict[str, int] | None
    consent: Consent | None


def read_consents(connection: Connection, member_id: str, purpose: str | None = None) -> list[Consent]:
    """Return a member's consents, the latest first; of those given at one moment the strictest first."""
    table = CANONICAL["consents"]
    columns = [table.c[name] for name in Consent.__slots__]
    chosen = sa.select(*columns).where(table.c.member_id == member_id)
    if purpose is not None:
        chosen = chosen.where(table.c.purpose == purpose)
    rows = connection.execute(chosen.order_by(table.c.at.desc(), table.c.granted, table.c.purpose, table.c.channel))
    return [Consent(**row) for row in rows.mappings()]


def read_shown(
    connection: Connection,
    member_id: str,
    subjects: Sequence[str],
    since: datetime,
    until: datetime,
    recommendation_id: str | None = None,
    limit: int = LONGEST_ANSWERS,
) -> list[ShownAnswer]:
    """Return the answers given to a member in a span of time, in order of time.

    Args:
        subjects: the member's.
        since, until: since <= time < until.
        recommendation_id: this one answer only.
        limit: most answers; the latest are kept.
    """
    chosen = sa.select(exposures).where(
        exposures.c.subject.in_(subjects), exposures.c.occurred_at >= since, exposures.c.occurred_at < until
    )
    refused = sa.select(answers).where(
        answers.c.subject.in_(subjects), answers.c.occurred_at >= since, answers.c.occurred_at < until
    )
    if recommendation_id is not None:
        chosen = chosen.where(exposures.c.recommendation_id == recommendation_id)
        refused = refused.where(answers.c.recommendation_id == recommendation_id)
    newest = exposures.c.occurred_at.desc(), exposures.c.recommendation_id.desc(), exposures.c.position
    rows = connection.execute(chosen.order_by(*newest).limit(limit * _WIDEST_SLATE)).mappings().all()
    dropped = {row.recommendation_id: orjson.loads(row.dropped) for row in connection.execute(refused)}
    consents = read_consents(connection, member_id, PERSONALIZATION)
    groups = [list(group) for _, group in groupby(rows, key=lambda row: row["recommendation_id"])]
    return [_answer(group, dropped, consents) for group in reversed(groups[:limit])]


def _answer(rows: Sequence[Any], dropped: dict[str, dict[str, int]], consents: Sequence[Consent]) -> ShownAnswer:
    first = rows[0]
    return ShownAnswer(
        recommendation_id=first["recommendation_id"],
        occurred_at=first["occurred_at"],
        scenario=first["scenario"],
        bundle_id=first["bundle_id"],
        strategy=first["strategy"],
        experiment=first["experiment"],
        experiment_group=first["experiment_group"],
        store_id=first["store_id"],
        channel=first["channel"],
        flags=tuple(filter(None, (first["flags"] or "").split(","))),
        items=tuple(
            ShownItem(row["item_id"], row["position"], row["score"], row["retriever"], row["reason"]) for row in rows
        ),
        dropped=dropped.get(first["recommendation_id"]),
        consent=next((one for one in consents if one.at <= first["occurred_at"]), None),
    )
