"""What conditions of audiences are about: goods, windows of days, bounds; and the Ground, all they are asked on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt

from recommender.campaigns.item_models import ItemModels
from recommender.campaigns.member_columns import MICROS_PER_DAY, BoolVector
from recommender.campaigns.member_features import CodeVector, MemberFeatures
from recommender.errors import ConflictError
from recommender.storage.types import to_micros

CHANNEL_KINDS = ("online", "offline")


class Expression(Protocol):
    """One condition, or several joined."""

    def mask(self, ground: Ground) -> BoolVector:
        """Return which members it holds for, bool, (len(ground.features),)."""
        ...


@dataclass(frozen=True, slots=True)
class Goods:
    """Items named one by one, by category (with all below it) or by brand; none named: every item."""

    item_ids: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    brands: tuple[str, ...] = ()

    @property
    def everything(self) -> bool:
        """Whether every item is meant."""
        return not (self.item_ids or self.categories or self.brands)

    def mask(self, features: MemberFeatures) -> BoolVector:
        """Return which items are meant, bool, (len(features.items),)."""
        found = np.full(len(features.items), self.everything)
        found[features.items.rows(self.item_ids)[0]] = True
        if self.categories:
            found |= features.category.below(self.categories)
        if self.brands:
            found |= features.brand.among(self.brands)
        return found


@dataclass(frozen=True, slots=True)
class Window:
    """Today and the days before it, `within_days` in all (None: ever), in some channels (none named: any)."""

    within_days: int | None = None
    channels: tuple[str, ...] = ()

    def keeps(self, ground: Ground, channel: CodeVector) -> BoolVector | None:
        """Return which rows are of the channels, None if all are."""
        if not self.channels:
            return None
        kinds = ground.channel_kinds
        wanted = [name in self.channels or kinds.get(name) in self.channels for name in ground.features.channels]
        return np.array([*wanted, False], bool)[channel]


@dataclass(frozen=True, slots=True)
class Bounds:
    """At least and at most; both belong to it, None is no bound."""

    least: float | None = None
    most: float | None = None

    def hold(self, values: npt.NDArray[np.number]) -> BoolVector:
        """Return which values are within."""
        inside = np.ones(len(values), bool)
        if self.least is not None:
            inside &= values >= self.least
        if self.most is not None:
            inside &= values <= self.most
        return inside


@dataclass(frozen=True)
class Ground:
    """All that conditions are asked on.

    features: with what changed since laid over.  now: the present.  channel_kinds: "online" or "offline" by channel.
    audience: returns a saved expression; raises InputError.  card_list: the member ids of an uploaded list, likewise.
    offer: the goods of an offer, likewise.  models: of the promoted bundle, None without one.
    """

    features: MemberFeatures
    now: datetime
    channel_kinds: Mapping[str, str]
    audience: Callable[[str], Expression]
    card_list: Callable[[str], Sequence[str]]
    offer: Callable[[str], Goods]
    models: ItemModels | None = None

    @cached_property
    def today(self) -> int:
        """The local day, days since 1970-01-01."""
        return (to_micros(self.now) + self.features.facts.day_offset) // MICROS_PER_DAY

    def marked(self, rows: npt.NDArray[np.integer]) -> BoolVector:
        """Return the mask that holds at some rows of members."""
        found = np.zeros(len(self.features), bool)
        found[rows] = True
        return found

    def learned(self) -> ItemModels:
        """Return the models. Raises: ConflictError if no bundle is promoted."""
        if self.models is None:
            raise ConflictError("This asks a model, and none is promoted: run `memberwise train` first.")
        return self.models
