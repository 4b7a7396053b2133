"""Reasons: why an item is shown, as a code, the evidence behind it, and a sentence in Chinese or English."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

import numpy as np

from recommender import stand_ins
from recommender.arrangement import PINNED
from recommender.candidates import Slate
from recommender.history import MINUTES_PER_DAY
from recommender.partners import partners_of
from recommender.pipeline import Recommender
from recommender.query import Query, batch_of
from recommender.retrievers.arrivals import ArrivalRetriever
from recommender.retrievers.occasion import OccasionRetriever
from recommender.retrievers.peers import PeerRetriever
from recommender.retrievers.popularity import PopularityRetriever, StorePopularityRetriever, TrendingRetriever
from recommender.touches import Touch, last_purchase, touches_of

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
    BOUGHT_WITH = "bought_with"
    FITS_LAST_ORDER = "fits_last_order"
    BOUGHT_AFTER_VIEWING = "bought_after_viewing"
    POPULAR_AMONG_LIKE = "popular_among_like"
    OF_THE_SEASON = "of_the_season"
    PICKED = "picked"
    IN_PLACE_OF = "in_place_of"
    FOR_YOU = "for_you"


_OF_SOURCE = {
    "browsed": ReasonCode.VIEWED,
    "item_neighbors": ReasonCode.GOES_WITH,
    "linear": ReasonCode.GOES_WITH,
    "together": ReasonCode.BOUGHT_WITH,
    "converted": ReasonCode.BOUGHT_AFTER_VIEWING,
    "sections": ReasonCode.POPULAR_AMONG_LIKE,
    "occasion": ReasonCode.OF_THE_SEASON,
    "factors": ReasonCode.SIMILAR_MEMBERS,
    "peers": ReasonCode.SIMILAR_MEMBERS,
    "store_popularity": ReasonCode.POPULAR_IN_STORE,
    "popularity": ReasonCode.POPULAR,
    "trending": ReasonCode.TRENDING,
    "arrivals": ReasonCode.NEW,
    "newcomers": ReasonCode.NEW,
    "similar": ReasonCode.SIMILAR_TO,
    "substitutes": ReasonCode.INSTEAD_OF,
    PINNED: ReasonCode.PICKED,
}
_BY_MEMBERS = frozenset({"factors", "peers"})
"""Retrievers for which similar members speak."""
_NAMING = frozenset(
    {
        ReasonCode.GOES_WITH,
        ReasonCode.SIMILAR_TO,
        ReasonCode.INSTEAD_OF,
        ReasonCode.BOUGHT_WITH,
        ReasonCode.BOUGHT_AFTER_VIEWING,
        ReasonCode.POPULAR_AMONG_LIKE,
    }
)
"""Reasons that name another item."""

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
        ReasonCode.BOUGHT_WITH: "Often bought together with {item}",
        ReasonCode.FITS_LAST_ORDER: "Goes with {item} from your last order of {last_on}",
        ReasonCode.BOUGHT_AFTER_VIEWING: "Bought by members who looked at {item}",
        ReasonCode.POPULAR_AMONG_LIKE: "Sells well among products like {item}",
        ReasonCode.OF_THE_SEASON: "Sells better than usual at this time",
        ReasonCode.PICKED: "Picked by the shop",
        ReasonCode.IN_PLACE_OF: "In place of {item}, which is sold out",
        ReasonCode.FOR_YOU: "Chosen for you",
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
        ReasonCode.BOUGHT_WITH: "常与{item}一起购买",
        ReasonCode.FITS_LAST_ORDER: "与您{last_on}所购的{item}搭配",
        ReasonCode.BOUGHT_AFTER_VIEWING: "看过{item}的会员也买了它",
        ReasonCode.POPULAR_AMONG_LIKE: "与{item}同类的热卖商品",
        ReasonCode.OF_THE_SEASON: "每逢此时更好卖",
        ReasonCode.PICKED: "商家精选",
        ReasonCode.IN_PLACE_OF: "{item}已售罄，可用它代替",
        ReasonCode.FOR_YOU: "为您推荐",
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
    partners = partners_of(slate, query, recommender)
    own = _own_touches(slate, partners, query)
    basis = _Basis(query, recommender, own, partners, _company_of(slate, query, recommender))
    reasons = []
    for row, source in zip(slate.row.tolist(), slate.source, strict=True):
        lost = slate.instead_of.get(row)
        if query.unnamed is not None and query.unnamed[row]:
            reasons.append([Reason(ReasonCode.FOR_YOU, {})])
        elif lost is not None and source == stand_ins.NAME:
            reasons.append(_instead(row, lost, basis))
        else:
            reasons.append(_reasons(row, source, basis))
    return reasons


@dataclass(frozen=True, slots=True)
class _Basis:
    """What the reasons of one slate are found in.

    own: what the member's own history says of items, by row; empty where none is used.
    partners: for items that others led to, the row of the one that speaks most for each.
    company: for items that similar members led to, how many of how many have it.
    """

    query: Query
    recommender: Recommender
    own: Mapping[int, Touch]
    partners: Mapping[int, int]
    company: Mapping[int, Mapping[str, Evidence]]

    def hides(self, row: int) -> bool:
        """Tell whether no reason may name an item."""
        return self.query.unnamed is not None and bool(self.query.unnamed[row])


def _own_touches(slate: Slate, partners: Mapping[int, int], query: Query) -> dict[int, Touch]:
    """Return what the member's own history says of the rows that reasons may be about."""
    if not query.personal or not len(query.history.item_row):
        return {}
    before = {} if query.newcomers is None else query.newcomers.likeness.replaces
    asked = {*slate.row.tolist(), *partners.values()}
    return touches_of(query.history, {*asked, *(before[row] for row in asked if row in before)})


def _instead(row: int, lost: int, basis: _Basis) -> list[Reason]:
    """Return the reasons of a substitute: what is sold out comes first."""
    if basis.hides(lost):
        return _reasons(row, stand_ins.NAME, basis)
    first = Reason(ReasonCode.IN_PLACE_OF, {"item_id": basis.recommender.items.id(lost)})
    return [first, *(_reasons(row, stand_ins.NAME, basis)[:1] if row in basis.own else [])]


def _reasons(row: int, source: str, basis: _Basis) -> list[Reason]:
    """Return what the member's own history says of an item, and what the retriever that ranked it highest does."""
    query, recommender = basis.query, basis.recommender
    found = []
    known = query.newcomers.likeness.replaces.get(row, row) if query.newcomers is not None else row
    if known in basis.own:
        found.append(_own(basis.own[known], recommender.day_offset_minutes))
    code = _OF_SOURCE.get(source)
    if code in _NAMING:
        partner = basis.partners.get(row)
        if partner is not None and basis.hides(partner):
            found.append(Reason(ReasonCode.FOR_YOU, {}))
        else:
            found.append(Reason(ReasonCode.SIMILAR_MEMBERS, {}) if partner is None else _named(code, partner, basis))
    elif code is ReasonCode.SIMILAR_MEMBERS:
        found.append(Reason(code, basis.company.get(row, {})))
    elif code is ReasonCode.POPULAR_IN_STORE:
        found += _in_store(row, query, recommender)
    elif code not in (None, ReasonCode.VIEWED):
        found.append(Reason(code, _facts(source, row, query, recommender)))
    return found or [Reason(ReasonCode.POPULAR, _place("popularity", row, 0, recommender))]


def _in_store(row: int, query: Query, recommender: Recommender) -> list[Reason]:
    """Return that an item is popular in the query's store; nothing if it was ranked for another store, and is not."""
    store = query.store_row
    place = {} if store is None else _place("store_popularity", row, store, recommender)
    if store is None or not place:
        return []
    return [Reason(ReasonCode.POPULAR_IN_STORE, {"store_id": recommender.stores.id(store)} | place)]


def _facts(source: str, row: int, query: Query, recommender: Recommender) -> dict[str, Evidence]:
    """Return what a retriever that asks no history knows of an item: since when it is new, or its place in a list."""
    part = next((part for part in recommender.retrievers if part.name == source), None)
    if isinstance(part, ArrivalRetriever):
        since = part.since(row)
        return {} if since is None else {"since_on": _day(since, recommender.day_offset_minutes).isoformat()}
    if isinstance(part, OccasionRetriever):
        place = part.lists.place(int(part.occasions(np.array([query.as_of], np.int32))[0]), row)
        return {} if place is None else {"place": place}
    return _place(source, row, 0, recommender)


def _place(source: str, row: int, number: int, recommender: Recommender) -> dict[str, Evidence]:
    """Return the item's place in a prepared list of the retriever, nothing if there is none or it is not in it."""
    part = next((part for part in recommender.retrievers if part.name == source), None)
    if not isinstance(part, PopularityRetriever | StorePopularityRetriever | TrendingRetriever):
        return {}
    place = part.lists.place(number, row)
    return {} if place is None else {"place": place}


def _company_of(slate: Slate, query: Query, recommender: Recommender) -> dict[int, dict[str, Evidence]]:
    """Return for items that similar members led to how many peers have bought or viewed each."""
    led = [row for row, source in zip(slate.row.tolist(), slate.source, strict=True) if source in _BY_MEMBERS]
    peers = recommender.part(PeerRetriever) if led else None
    if peers is None or not query.personal or len(query.history.item_row) == 0:
        return {}
    counted = [] if query.ready is None else query.ready._counted
    if not counted:
        counted.append(_count_company(query, peers))
    count_of, of = counted[0]
    return {row: {"members": int(count_of[row]), "of": of} for row in led if count_of.get(row, 0) > 0}


def _count_company(query: Query, peers: PeerRetriever) -> tuple[Mapping[int, int], int]:
    """Return how many peers of a customer have items, by row, and how many peers there are."""
    if query.ready is not None and query.ready.company is not None:
        known, of = query.ready.company
        return dict(zip(query.ready.row.tolist(), known.tolist(), strict=True)), of
    found, asked = peers.company(batch_of([query], [None]))
    return dict(zip(found.indices.tolist(), found.data.tolist(), strict=True)), int(asked[0])


def _named(code: ReasonCode, partner: int, basis: _Basis) -> Reason:
    """Return the reason that names another item, with the day if it was in the member's last order."""
    item: dict[str, Evidence] = {"item_id": basis.recommender.items.id(partner)}
    own = basis.own.get(partner)
    asked_by_history = code is ReasonCode.BOUGHT_WITH and not len(basis.query.context)
    if not asked_by_history or own is None or not own.bought:
        return Reason(code, item)
    offset, minute = basis.recommender.day_offset_minutes, last_purchase(basis.query.history)
    last = _day(own.last, offset)
    if minute is None or _day(minute, offset) != last:
        return Reason(code, item)
    return Reason(ReasonCode.FITS_LAST_ORDER, item | {"last_on": last.isoformat()})


def _own(own: Touch, day_offset: int) -> Reason:
    """Return what the member's own history says of an item."""
    times, last_on = own.bought, _day(own.last, day_offset).isoformat()
    if times >= 2:
        days = (own.last - own.first) / MINUTES_PER_DAY / (times - 1)
        evidence: dict[str, Evidence] = {"times": times, "every_days": max(1, round(days)), "last_on": last_on}
        return Reason(ReasonCode.BOUGHT_REGULARLY, evidence)
    if times == 1:
        return Reason(ReasonCode.BOUGHT_BEFORE, {"times": 1, "last_on": last_on})
    return Reason(ReasonCode.VIEWED, {"last_on": last_on})


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
