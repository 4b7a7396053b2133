"""Standing: what holds of items beside their own columns: recalls, replaced codes, festivals, trust in stock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, tzinfo

import numpy as np
import numpy.typing as npt

from recommender.catalog import NEVER, RESTRICTED_CODES, Catalog
from recommender.history import Histories
from recommender.item_facts import normal_path

BoolVector = npt.NDArray[np.bool_]
DoubleVector = npt.NDArray[np.float64]
MinuteVector = npt.NDArray[np.int32]
RowVector = npt.NDArray[np.int32]

SEASON_LEAD_DAYS = 60
"""How long before its festival an item of a season is shown, if nothing else says when its season ends."""
UNTRACKED = -np.inf
"""The stock above which an untracked item is in stock."""
DELICATE = [RESTRICTED_CODES[name] for name in ("infant_formula", "medicine", "sensitive")]
"""Goods that are not likened to others, nor named in a reason: a page that does says more than it should."""


@dataclass(frozen=True, slots=True)
class Trust:
    """How far the stock of a category is trusted; `recommender.storage.stock_policies` says what the fields mean.

    above: in stock with more than this.  max_age_minutes: of a count that says something; None: any.
    """

    category: str
    above: float
    max_age_minutes: int | None


@dataclass(frozen=True, slots=True)
class StandingRows:
    """What the database says, with ids.

    recalled: item ids.  replaced: the code in use now by old code.  festivals: days since 1970-01-01 by name.
    trust: the policies.  alike: items that can stand in for one another.
    """

    recalled: Sequence[str] = ()
    replaced: Mapping[str, str] = field(default_factory=dict)
    festivals: Mapping[str, Sequence[int]] = field(default_factory=dict)
    trust: Sequence[Trust] = ()
    alike: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True)
class Standing:
    """What holds of the items of a catalogue; vectors have one entry per item, None stands for "of no item".

    recalled, replaced: bool, items that are not shown.
    delicate: bool, items that no reason names.
    above: float64, items are in stock with more than this; None: more than 0.
    max_age: int32, minutes after which a count says nothing; None: never.
    aliases: for an item's id the id under which the bundle knows its history.
    same: int32, (n_bundle_items,), for each row of the bundle the row that stands for it; None: its own.
    successors: (old row, new row): items newer than the bundle, and the ones they replace.
    """

    recalled: BoolVector | None
    replaced: BoolVector | None
    delicate: BoolVector | None
    above: DoubleVector | None
    max_age: MinuteVector | None
    aliases: Mapping[str, str]
    same: RowVector | None
    successors: tuple[tuple[int, int], ...]
    _festivals: Mapping[str, Sequence[int]]
    _catalog: Catalog

    @classmethod
    def of(cls, rows: StandingRows, catalog: Catalog) -> Standing:
        """Lay rows out over a catalogue."""
        aliases, same, successors = _replacements(rows.replaced, catalog)
        above, max_age = _trust(rows.trust, catalog)
        delicate = np.isin(catalog.columns.restricted, DELICATE)
        return cls(
            recalled=_among(rows.recalled, catalog),
            replaced=_among(list(rows.replaced), catalog),
            delicate=delicate if delicate.any() else None,
            above=above,
            max_age=max_age,
            aliases=aliases,
            same=same,
            successors=successors,
            _festivals={name.strip().lower(): days for name, days in rows.festivals.items()},
            _catalog=catalog,
        )

    def out_of_season(self, minute: int, zone: tzinfo) -> BoolVector | None:
        """Tell which items belong to a festival that is over, or far ahead, and do not say themselves when they end.

        Args:
            minute: the present, minutes since 1970-01-01 UTC.
            zone: whose days count.
        Returns: bool, (n_items,); None if there are none.
        """
        seasons = self._catalog.facts.season
        shut = np.array([self._is_shut(name, minute, zone) for name in seasons.names], bool)
        if not shut.any():
            return None
        return np.asarray(shut[seasons.code] & (self._catalog.columns.season_end == NEVER), bool)

    def _is_shut(self, season: str, minute: int, zone: tzinfo) -> bool:
        days = self._festivals.get(season.strip().lower())
        if not days:
            return False
        local = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(minutes=minute)).astimezone(zone)
        today = (local.date() - date(1970, 1, 1)).days
        return not any(today <= day <= today + SEASON_LEAD_DAYS for day in days)

    def available(self, on_hand: npt.NDArray[np.float32], as_of: MinuteVector, minute: int) -> BoolVector:
        """Tell what a store has, as far as its stock is trusted.

        Args:
            on_hand: float32, (n_items,), 0 where the store has no count.
            as_of: int32, (n_items,), the minute of each count; 0 where there is none.
            minute: the present.
        """
        found = np.asarray(on_hand > (0 if self.above is None else self.above), bool)
        if self.max_age is not None:
            found |= (as_of > 0) & (as_of < minute - self.max_age.astype(np.int64))
        return found

    def as_one(self, history: Histories) -> Histories:
        """Return a history in which the codes of one item are one."""
        if self.same is None or not len(history.item_row):
            return history
        return Histories(
            history.indptr,
            self.same[history.item_row],
            history.minute,
            history.kind,
            history.channel,
            history.times,
        )


def _among(item_ids: Sequence[str], catalog: Catalog) -> BoolVector | None:
    rows = catalog.rows(item_ids)[0] if item_ids else np.empty(0, np.int32)
    if not len(rows):
        return None
    found = np.zeros(len(catalog), bool)
    found[rows] = True
    return found


def _replacements(
    replaced: Mapping[str, str], catalog: Catalog
) -> tuple[dict[str, str], RowVector | None, tuple[tuple[int, int], ...]]:
    """Return aliases, the row that stands for each row of the bundle, and successors newer than the bundle."""
    aliases: dict[str, str] = {}
    same: RowVector | None = None
    successors: list[tuple[int, int]] = []
    stands: dict[str, str] = {}
    for old, new in sorted(replaced.items()):
        known = catalog.items.row(old)
        if catalog.items.row(new) is not None:
            stands[new] = new
        elif known is not None and new not in stands:
            # The bundle knows the successor only by its old code.
            stands[new] = old
            later = catalog.row(new)
            if later is not None:
                successors.append((known, later))
    for old, new in sorted(replaced.items()):
        name = stands.get(new)
        if name is None:
            continue
        for alias in (old, new):
            if alias != name:
                aliases[alias] = name
        row, own = catalog.items.row(old), catalog.items.row(name)
        if row is not None and own is not None and row != own:
            same = np.arange(len(catalog.items), dtype=np.int32) if same is None else same
            same[row] = own
    return aliases, same, tuple(successors)


def _trust(policies: Iterable[Trust], catalog: Catalog) -> tuple[DoubleVector | None, MinuteVector | None]:
    """Return the stock above which each item is in stock, and the age after which its count says nothing."""
    ordered = sorted(policies, key=lambda one: len(normal_path(one.category)))
    if not ordered:
        return None, None
    above, max_age = np.zeros(len(catalog)), np.full(len(catalog), NEVER)
    for policy in ordered:
        path = normal_path(policy.category)
        rows = catalog.facts.category.below([path]) if path else np.ones(len(catalog), bool)
        above[rows] = policy.above
        max_age[rows] = NEVER if policy.max_age_minutes is None else policy.max_age_minutes
    return above, max_age if (max_age != NEVER).any() else None
