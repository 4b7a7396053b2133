"""Reasons: why an item is shown, as a code, the evidence behind it, and a sentence in Chinese or English."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

import numpy as np

from recommender.candidates import Slate
from recommender.history import MINUTES_PER_DAY
from recommender.interactions import Pairs
from recommender.pipeline import Recommender
from recommender.query import Query
from recommender.retrievers.neighbors import ItemNeighborRetriever, entries_of
from recommender.retrievers.repeat import RepeatRetriever
from recommender.retrievers.similar import SimilarRetriever
from recommender.retrievers.substitutes import SubstituteRetriever

Evidence = str | int | float

_FIRST_DAY = date(1970, 1, 1).toordinal()


class ReasonCode(StrEnum):
    """Why an item can be shown."""

    BOUGHT_REGULARLY = "bought_regularly"
    BOUGHT_BEFORE = "bought_before"
    VIEWED = "viewed"
    GOES_WITH = "goes_with"
    SIMILAR_MEMBERS = "similar_members"
    POPULAR_IN_STORE = "popular_in_store"
    POPULAR = "popular"
    TRENDING = "trending"
    NEW = "new"
    SIMILAR_TO = "similar_to"
    INSTEAD_OF = "instead_of"


_OF_SOURCE = {
    "browsed": ReasonCode.VIEWED,
    "item_neighbors": ReasonCode.GOES_WITH,
    "factors": ReasonCode.SIMILAR_MEMBERS,
    "peers": ReasonCode.SIMILAR_MEMBERS,
    "store_popularity": ReasonCode.POPULAR_IN_STORE,
    "popularity": ReasonCode.POPULAR,
    "trending": ReasonCode.TRENDING,
    "arrivals": ReasonCode.NEW,
    "similar": ReasonCode.SIMILAR_TO,
    "substitutes": ReasonCode.INSTEAD_OF,
}

_TEXTS: dict[str, dict[ReasonCode, str]] = {
    "en": {
        ReasonCode.BOUGHT_REGULARLY: "Bought {times} times, about every {every_days} days, last on {last_on}",
        ReasonCode.BOUGHT_BEFORE: "Bought before, last on {last_on}",
        ReasonCode.VIEWED: "You looked at this on {last_on}",
        ReasonCode.GOES_WITH: "Goes with {item}",
        ReasonCode.SIMILAR_MEMBERS: "Liked by members who shop like you",
        ReasonCode.POPULAR_IN_STORE: "Popular in store {store_id}",
        ReasonCode.POPULAR: "Popular now",
        ReasonCode.TRENDING: "More popular than usual lately",
        ReasonCode.NEW: "New in the range",
        ReasonCode.SIMILAR_TO: "Similar to {item}",
        ReasonCode.INSTEAD_OF: "Can stand in for {item}",
    },
    "zh": {
        ReasonCode.BOUGHT_REGULARLY: "买过{times}次，约每{every_days}天一次，上次是{last_on}",
        ReasonCode.BOUGHT_BEFORE: "以前买过，上次是{last_on}",
        ReasonCode.VIEWED: "您在{last_on}看过",
        ReasonCode.GOES_WITH: "与{item}搭配",
        ReasonCode.SIMILAR_MEMBERS: "与您购物习惯相似的会员喜欢",
        ReasonCode.POPULAR_IN_STORE: "{store_id}门店热卖",
        ReasonCode.POPULAR: "近期热卖",
        ReasonCode.TRENDING: "近期销量上升",
        ReasonCode.NEW: "新品上架",
        ReasonCode.SIMILAR_TO: "与{item}相似",
        ReasonCode.INSTEAD_OF: "可替代{item}",
    },
}
LANGUAGES = tuple(_TEXTS)


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason; `evidence` holds the facts that the sentence states, each of which can be checked."""

    code: ReasonCode
    evidence: Mapping[str, Evidence]

    def text(self, language: str, titles: Mapping[str, str] | None = None) -> str:
        """Say it in one sentence.

        Args:
            language: one of LANGUAGES; anything else is English.
            titles: of items by id, for reasons that name another item.
        """
        values = {
            name: _say_day(str(value), language) if name.endswith("_on") else str(value)
            for name, value in self.evidence.items()
        }
        if "item_id" in self.evidence:
            item_id = str(self.evidence["item_id"])
            values["item"] = (titles or {}).get(item_id) or item_id
        return _TEXTS.get(language, _TEXTS["en"])[self.code].format(**values)


def explain(slate: Slate, query: Query, recommender: Recommender) -> list[list[Reason]]:
    """Return the reasons of each item of a slate, the strongest first; at least one each.

    Args:
        slate: what `recommender` answered to `query`.
    """
    pairs = _own_pairs(query, recommender)
    place = {int(row): at for at, row in enumerate(pairs.item_row)} if pairs is not None else {}
    partners = _partners(slate, query, recommender) | _context_partners(slate, query, recommender)
    return [
        _reasons(int(row), source, place.get(int(row)), pairs, partners, query, recommender)
        for row, source in zip(slate.row, slate.source, strict=True)
    ]


def _reasons(
    row: int,
    source: str,
    at: int | None,
    pairs: Pairs | None,
    partners: Mapping[int, int],
    query: Query,
    recommender: Recommender,
) -> list[Reason]:
    found = []
    if pairs is not None and at is not None:
        found += _own(pairs, at, source, recommender.day_offset_minutes)
    code = _OF_SOURCE.get(source)
    if code in (ReasonCode.GOES_WITH, ReasonCode.SIMILAR_TO, ReasonCode.INSTEAD_OF):
        found.append(
            Reason(code, {"item_id": recommender.items.id(partners[row])})
            if row in partners
            else Reason(ReasonCode.SIMILAR_MEMBERS, {})
        )
    elif code is ReasonCode.POPULAR_IN_STORE and query.store_row is not None:
        found.append(Reason(code, {"store_id": recommender.stores.id(query.store_row)}))
    elif code not in (None, ReasonCode.VIEWED):
        found.append(Reason(code, {}))
    return found or [Reason(ReasonCode.POPULAR, {})]


def _own(pairs: Pairs, at: int, source: str, day_offset: int) -> list[Reason]:
    """Return what the member's own history says of an item."""
    times, last = int(pairs.bought[at]), int(pairs.last[at])
    last_on = _day(last, day_offset).isoformat()
    if times >= 2:
        days = (last - int(pairs.first[at])) / MINUTES_PER_DAY / (times - 1)
        evidence: dict[str, Evidence] = {"times": times, "every_days": max(1, round(days)), "last_on": last_on}
        return [Reason(ReasonCode.BOUGHT_REGULARLY, evidence)]
    if times == 1:
        return [Reason(ReasonCode.BOUGHT_BEFORE, {"times": 1, "last_on": last_on})]
    return [Reason(ReasonCode.VIEWED, {"last_on": last_on})]


def _own_pairs(query: Query, recommender: Recommender) -> Pairs | None:
    """Return the member's own pairs, None where no history is used."""
    repeat = next((part for part in recommender.retrievers if isinstance(part, RepeatRetriever)), None)
    if repeat is None or not query.personal or len(query.history.item_row) == 0:
        return None
    return query.pairs(repeat.weights)


def _partners(slate: Slate, query: Query, recommender: Recommender) -> dict[int, int]:
    """Return for items found by item neighbours the item of the history that speaks most for each."""
    neighbors = next((part for part in recommender.retrievers if isinstance(part, ItemNeighborRetriever)), None)
    wanted = [int(row) for row, source in zip(slate.row, slate.source, strict=True) if source == "item_neighbors"]
    if neighbors is None or not wanted:
        return {}
    pairs = query.pairs(neighbors.weights)
    weight = pairs.purchased + np.float32(neighbors.browse_weight) * pairs.browsed
    entries, sizes = entries_of(neighbors.similarity, pairs.item_row)
    column = neighbors.similarity.indices[entries]
    is_wanted = np.zeros(len(recommender.items), bool)
    is_wanted[wanted] = True
    found = np.flatnonzero(is_wanted[column])
    votes = np.repeat(weight, sizes)[found] * neighbors.similarity.data[entries[found]]
    speaks = np.repeat(pairs.item_row, sizes)[found]
    best: dict[int, int] = {}
    for at in np.argsort(-votes, kind="stable"):
        if votes[at] > 0:
            best.setdefault(int(column[found[at]]), int(speaks[at]))
    return best


def _context_partners(slate: Slate, query: Query, recommender: Recommender) -> dict[int, int]:
    """Return for items found by their likeness to the context the item of it that speaks most for each."""
    lists = {
        part.name: part.likeness
        for part in recommender.retrievers
        if isinstance(part, SimilarRetriever | SubstituteRetriever)
    }
    best: dict[int, tuple[float, int]] = {}
    for row, source in zip(slate.row.tolist(), slate.source, strict=True):
        if source not in lists:
            continue
        for item, weight in zip(query.context.row.tolist(), query.context.weight.tolist(), strict=True):
            entries, _ = entries_of(lists[source], np.array([item]))
            found = entries[lists[source].indices[entries] == row]
            if len(found):
                vote = (weight * float(lists[source].data[found[0]]), -item)
                best[row] = max(best.get(row, vote), vote)
    return {row: -negative for row, (_, negative) in best.items()}


def _day(minute: int, day_offset: int) -> date:
    return date.fromordinal(_FIRST_DAY + (minute + day_offset) // MINUTES_PER_DAY)


@functools.lru_cache(maxsize=4096)
def _say_day(value: str, language: str) -> str:
    """Write a day by the language's custom."""
    day = date.fromisoformat(value)
    return f"{day.year}年{day.month}月{day.day}日" if language == "zh" else f"{day.day} {day:%B %Y}"


def reason_summary(reasons: Sequence[Reason]) -> str:
    """Return the leading reason's code, as lists written to files carry it."""
    return str(reasons[0].code)
