"""LiveFeatures: the member features of this process, opened once, with what is written meanwhile laid over."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import numpy as np
from sqlalchemy.engine import Connection

from recommender.bundle import Bundle
from recommender.campaigns.audience import Units
from recommender.campaigns.audience_store import open_ground
from recommender.campaigns.audience_terms import Ground
from recommender.campaigns.contacts import ALL, MONTH, WEEK
from recommender.campaigns.feature_files import current_generation, read_features
from recommender.campaigns.holdout import buckets_of
from recommender.campaigns.item_models import ItemModels
from recommender.campaigns.member_columns import BoolVector
from recommender.campaigns.member_features import MemberFeatures
from recommender.campaigns.settings import Caps
from recommender.storage.holdouts import Period
from recommender.storage.statements import fetch
from recommender.storage.types import to_day_number

_COUNTS = """
SELECT unit, SUM(count) FROM contact_counts WHERE transport = ? AND day > ? AND day <= ?
GROUP BY unit HAVING SUM(count) >= ?"""


@dataclass(frozen=True, slots=True, eq=False)
class _HeldOut:
    """Who is kept back in a quarter, and for which features that was found out."""

    features: MemberFeatures
    salt: str
    mask: BoolVector


class LiveFeatures:
    """Gives out grounds; safe to share between threads."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._lock = threading.Lock()
        self._features: MemberFeatures | None = None
        self._models: tuple[str, str, ItemModels | None] | None = None
        self._held: _HeldOut | None = None

    def ground(
        self, connection: Connection, now: datetime, channel_kinds: Mapping[str, str], bundle: Bundle | None
    ) -> Ground:
        """Return what expressions are asked on, as it stands in a snapshot of the database.

        Raises: ConflictError if there are no features yet; InputError if they are damaged.
        """
        with self._lock:
            known = self._features
            if known is None or known.facts.generation != current_generation(self._home):
                known = read_features(self._home)
            models = None if bundle is None else self._models_of(bundle, known)
            ground = open_ground(connection, known, now, channel_kinds, models)
            self._features = ground.features
        return ground

    def held_out(self, features: MemberFeatures, period: Period) -> BoolVector:
        """Return who is kept back from all campaigns in a quarter, bool, (n,); units are hashed once."""
        with self._lock:
            known = self._held
            fresh = known is None or known.salt != period.salt
            if fresh or known is None or known.features.facts.generation != features.facts.generation:
                rows = np.arange(len(features))
                mask = np.zeros(len(features), bool)
            else:
                base = len(features.index)
                moved = features.columns.household[:base] != known.features.columns.household[:base]
                rows = np.concatenate((np.flatnonzero(moved), np.arange(base, len(features))))
                mask = np.zeros(len(features), bool)
                mask[:base] = known.mask[:base]
            units = [unit.decode() for unit in features.units(rows).tolist()]
            mask[rows] = buckets_of(period.salt, units) < period.share if units else False
            self._held = _HeldOut(features, period.salt, mask)
        return mask

    def _models_of(self, bundle: Bundle, features: MemberFeatures) -> ItemModels | None:
        key = (bundle.bundle_id, features.facts.generation)
        if self._models is None or self._models[:2] != key:
            self._models = (*key, ItemModels.of(bundle, features))
        return self._models[2]


@dataclass(frozen=True, slots=True, eq=False)
class CappedUnits:
    """Units that had as many messages as they may: sorted bytes."""

    units: Units

    @classmethod
    def of(cls, units: Iterable[str]) -> CappedUnits:
        """Take units in any order."""
        return cls(np.array(sorted(one.encode() for one in units), np.bytes_))

    def __call__(self, units: Units) -> BoolVector:
        """Return which units had enough."""
        return np.isin(units, self.units)


def units_contacted(connection: Connection, transport: str, today: date, days: int, most: int) -> set[str]:
    """Return the units that had at least `most` messages of a transport within days, today the last."""
    last = to_day_number(today)
    return {row[0] for row in fetch(connection, _COUNTS, (transport, last - days, last, most))}


def read_capped(connection: Connection, caps: Caps, today: date, others: Iterable[str] = ()) -> CappedUnits:
    """Return the units that had as many messages of all campaigns as the caps allow.

    Args:
        today: the day that is counted, and the days before it.
        others: units that are to be counted with them.
    """
    found = set(others)
    for days, most in ((1, caps.per_day), (WEEK.days, caps.per_week), (MONTH.days, caps.per_month)):
        if most is not None:
            found |= units_contacted(connection, ALL, today, days, most)
    return CappedUnits.of(found)
