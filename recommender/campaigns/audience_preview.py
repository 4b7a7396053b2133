"""What a person is shown of an audience before it is used: its size, its parts, a sample, and what to know of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recommender.campaigns.audience import Selection
from recommender.campaigns.audience_conditions import All, AnyOf
from recommender.campaigns.audience_terms import Expression, Ground
from recommender.campaigns.item_models import affinity
from recommender.campaigns.member_columns import NO_DAY, BoolVector
from recommender.item_facts import Labels

SAMPLE_DAYS = 365
NOTES: Mapping[str, Mapping[str, str]] = {
    "nobody": {
        "en": "Nobody matches; `parts` says how many members each part holds for by itself.",
        "zh": "没有会员符合条件；parts 列出了每个条件单独符合的人数。",
    },
    "everybody": {"en": "Every member matches: nothing narrows this down.", "zh": "所有会员都符合：条件没有缩小范围。"},
    "all_left_out": {
        "en": "Everybody who matches is left out; `left_out` says why.",
        "zh": "符合条件的会员全部被排除；left_out 列出了原因。",
    },
    "behind": {
        "en": "{count:,} writes came after the features were made; what members did since is not in here.",
        "zh": "特征生成之后又有 {count:,} 次写入；此后的会员行为尚未计入。",
    },
}
"""Texts by code and language."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of an expression, by itself."""

    path: str
    matched: int


@dataclass(frozen=True, slots=True)
class Sampled:
    """One member, for a person to look at; orders and spend_cents are of SAMPLE_DAYS."""

    member_id: str
    tier: str | None
    city: str | None
    home_store_id: str | None
    guide_id: str | None
    days_since_purchase: int | None
    orders: int
    spend_cents: int


@dataclass(frozen=True, slots=True, eq=False)
class Answered:
    """An expression that was asked already."""

    found: BoolVector

    def mask(self, _ground: Ground) -> BoolVector:
        """As Expression.mask."""
        return self.found


def in_parts(ground: Ground, expression: Expression, path: str = "expression") -> tuple[Expression, list[Part]]:
    """Return an expression, and how many members each part of its outermost `and` or `or` holds for; asked once."""
    if not isinstance(expression, All | AnyOf):
        return expression, []
    name, join = ("and", np.logical_and) if isinstance(expression, All) else ("or", np.logical_or)
    masks = [part.mask(ground) for part in expression.parts]
    parts = [Part(f"{path}.{name}[{number}]", int(np.count_nonzero(mask))) for number, mask in enumerate(masks)]
    return Answered(np.asarray(join.reduce(masks), bool)), parts


def notes_of(selection: Selection, written_since: int) -> list[str]:
    """Return the codes of what is to be known of a selection."""
    codes = []
    if not selection.matched:
        codes.append("nobody")
    elif selection.matched == len(selection.features):
        codes.append("everybody")
    if selection.matched and not len(selection):
        codes.append("all_left_out")
    return [*codes, "behind"] if written_since else codes


def sample_of(ground: Ground, selection: Selection, count: int) -> list[Sampled]:
    """Return some members of a selection, the same ones for the same features: those whose hashes are lowest."""
    features = selection.features
    mix = features.mix[selection.rows]
    if len(mix) > count:
        chosen = np.sort(np.argpartition(mix, count)[:count])
        rows = selection.rows[chosen]
    else:
        rows = selection.rows
    if not len(rows) or not count:
        return []
    orders, spend = _lately(ground, rows)
    bought = features.of_base(features.lately.last_bought, NO_DAY)[rows]
    columns = features.columns
    ids = [key.decode() for key in features.keys()[rows].tolist()]
    return [
        Sampled(
            ids[at],
            tier=_label(columns.tier, row),
            city=_label(columns.city, row),
            home_store_id=_label(columns.home_store, row),
            guide_id=_label(columns.guide, row),
            days_since_purchase=None if bought[at] == NO_DAY else ground.today - int(bought[at]),
            orders=int(orders[at]),
            spend_cents=int(spend[at]),
        )
        for at, row in enumerate(rows.tolist())
    ]


def rank_members(
    ground: Ground, selection: Selection, wanted: BoolVector, count: int
) -> tuple[Sequence[tuple[str, float]], int]:
    """Return the members of a selection whose acts speak most for some items, best first, and of how many any do."""
    score = affinity(ground.features, ground.models, wanted, ground.today)[selection.rows]
    some = np.flatnonzero(score > 0)
    best = some[np.argsort(-score[some], kind="stable")[:count]]
    ids = [key.decode() for key in selection.features.keys()[selection.rows[best]].tolist()]
    return list(zip(ids, score[best].tolist(), strict=True)), len(some)


def _lately(ground: Ground, rows: npt.NDArray[np.int32]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the orders of some members, and what they spent, within SAMPLE_DAYS."""
    orders = ground.features.orders
    window = orders.days.window(ground.today, SAMPLE_DAYS)
    place = np.full(len(ground.features), len(rows), np.int64)
    place[rows] = np.arange(len(rows))
    at = place[orders.member_row[window]]
    kept = at < len(rows)
    counts = np.bincount(at[kept], minlength=len(rows))
    spent = np.bincount(at[kept], orders.cents[window][kept], len(rows))
    return counts, spent.astype(np.int64)


def _label(labels: Labels, row: int) -> str | None:
    return labels.names[int(labels.code[row])] or None
