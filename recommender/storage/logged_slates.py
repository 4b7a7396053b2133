"""Slates as they were logged, for evaluating other policies on them: only those with known chances can say anything."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from sqlalchemy.engine import Connection

from recommender.exposures import NARROWED
from recommender.house import SHADOW
from recommender.storage.exposures import NOT_FLAGGED, flag_pattern
from recommender.storage.statements import fetch
from recommender.storage.types import from_micros, to_micros

REWARDS = {
    "viewed": "CASE WHEN views > 0 THEN 1 ELSE 0 END",
    "added_to_basket": "CASE WHEN basket_adds > 0 THEN 1 ELSE 0 END",
    "purchased": "CASE WHEN purchases > 0 THEN 1 ELSE 0 END",
    "revenue": "revenue_cents",
    "all_revenue": "revenue_cents + assisted_cents",
}
"""What a shown item may be judged by, and the SQL of it."""

_WHERE = f"scenario = ? AND occurred_at >= ? AND occurred_at < ? AND {NOT_FLAGGED}"
_COUNT = f"""
SELECT COUNT(*), SUM(CASE WHEN propensity IS NULL THEN 1 ELSE 0 END),
  SUM(CASE WHEN propensity IS NOT NULL AND flags LIKE ? THEN 1 ELSE 0 END)
FROM exposures WHERE {_WHERE} AND position = 1"""
_SLATES = """
SELECT recommendation_id, subject, store_id, channel, occurred_at, item_id, propensity, {reward}
FROM exposures WHERE {where} AND propensity IS NOT NULL AND subject IS NOT NULL AND {not_flagged}
  AND (recommendation_id, position) > (?, ?)
ORDER BY recommendation_id, position LIMIT ?"""
PAGE_ROWS = 20_000


@dataclass(frozen=True, slots=True)
class LogCounts:
    """Slates of some time: all, those without chances, and those whose request said more than can be asked again."""

    slates: int
    without_chances: int
    narrowed: int

    @property
    def usable(self) -> int:
        """How many can say something about another policy."""
        return self.slates - self.without_chances - self.narrowed


@dataclass(frozen=True, slots=True)
class LoggedSlate:
    """One answer as it was recorded: item, chance and reward by position, the first first."""

    recommendation_id: str
    subject: str
    store_id: str | None
    channel: str | None
    occurred_at: datetime
    item_id: tuple[str, ...]
    chance: tuple[float, ...]
    reward: tuple[float, ...]


def count_logged(connection: Connection, scenario: str, start: datetime, end: datetime) -> LogCounts:
    """Count the slates of a scenario with start <= time < end."""
    values = (flag_pattern(NARROWED), scenario, to_micros(start), to_micros(end), flag_pattern(SHADOW))
    slates, without, narrowed = fetch(connection, _COUNT, values)[0]
    return LogCounts(int(slates), int(without or 0), int(narrowed or 0))


def read_logged(
    connection: Connection, scenario: str, start: datetime, end: datetime, reward: str, rows: int = PAGE_ROWS
) -> Iterator[LoggedSlate]:
    """Read the usable slates of a scenario with start <= time < end, in the order of their ids.

    Args:
        reward: a name of REWARDS.
        rows: most items read at once.
    """
    statement = _SLATES.replace("{reward}", REWARDS[reward]).replace("{where}", _WHERE)
    statement = statement.replace("{not_flagged}", NOT_FLAGGED)
    found: list[tuple[object, ...]] = []
    last: tuple[str, int] = ("", 0)
    while True:
        patterns = (flag_pattern(SHADOW), flag_pattern(NARROWED))
        values = (scenario, to_micros(start), to_micros(end), *patterns, *last, rows)
        page = fetch(connection, statement, values)
        found += page
        whole = len(page) < rows
        slates = [list(group) for _, group in groupby(found, key=lambda row: row[0])]
        found = [] if whole or not slates else slates.pop()
        for slate in slates:
            yield _slate(slate)
        if whole:
            return
        last = (str(found[0][0]), len(found))


def _slate(rows: list[tuple[object, ...]]) -> LoggedSlate:
    recommendation_id, subject, store_id, channel, occurred_at, *_ = rows[0]
    return LoggedSlate(
        str(recommendation_id),
        str(subject),
        None if store_id is None else str(store_id),
        None if channel is None else str(channel),
        from_micros(int(str(occurred_at))),
        tuple(str(row[5]) for row in rows),
        tuple(float(str(row[6])) for row in rows),
        tuple(float(str(row[7])) for row in rows),
    )
