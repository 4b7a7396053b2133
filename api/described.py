"""Slates with what is shown of their items: requests looked up, slates made together, details read."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from api.assignment import Assignment, assign
from api.services import Call, Services
from api.serving import Serving
from recommender.arrangement import PINNED
from recommender.candidates import Slate
from recommender.catalog import ItemDetails
from recommender.errors import MemberwiseError, StoreBusyError
from recommender.exploration import Exploration, draw_exploration
from recommender.lookup import STORE_UNAVAILABLE, Who
from recommender.query import Query
from recommender.reasons import Reason, explain
from recommender.request import SlateRequest
from recommender.stages import Stage, Stages
from recommender.steering import PIN_DROPPED
from recommender.storage.catalog import nothing_known
from recommender.storage.live import LiveView

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Looked:
    """A request with what answers it, its query, and what chance has decided for its slate."""

    request: SlateRequest
    serving: Serving
    live: LiveView
    query: Query
    who: Who
    exploration: Exploration | None
    assigned: Assignment | None

    @property
    def asked(self) -> Query:
        """What the recommender is asked."""
        return self.query if self.exploration is None else self.exploration.query(self.query)

    def cut(self, slate: Slate) -> tuple[Slate, tuple[float, ...] | None]:
        """Return what is shown of a slate, and where exploration is on the chance of each item at its position."""
        return (slate, None) if self.exploration is None else self.exploration.apply(slate, self.query)

    def flags(self, slate: Slate) -> list[str]:
        """Return what was not known or could not be done."""
        flags = [*self.who.flags, *(() if self.assigned is None else self.assigned.flags)]
        if self.query.arrangement.pins and PIN_DROPPED not in flags:
            placed = {row for row, source in zip(slate.row.tolist(), slate.source, strict=True) if source == PINNED}
            if {row for _, row in self.query.arrangement.pins} - placed:
                flags.append(PIN_DROPPED)
        return flags


@dataclass(frozen=True, slots=True)
class Described:
    """A slate with what is said about its items, all aligned.

    titles: of the items that reasons name, by id.  on_hand: by item, of `store_id`; empty if no stock is
    known.  chances: of each item to stand at its position, where exploration is on; else None.
    flags: what was not known or could not be done; what follows may add to it.
    """

    item_ids: Sequence[str]
    slate: Slate
    details: Sequence[ItemDetails]
    reasons: Sequence[Sequence[Reason]]
    titles: Mapping[str, str]
    store_id: str | None
    on_hand: Mapping[str, float]
    chances: tuple[float, ...] | None
    flags: list[str]


def look_up(services: Services, call: Call, serving: Serving, request: SlateRequest) -> Looked | MemberwiseError:
    """Return a request with its query, or why there is none.

    Args:
        services: what views may use.
        call: who asks, and when.
        serving: what answers outside of experiments.
        request: what was asked.
    """
    assigned = assign(services, call, serving, request)
    if assigned is not None:
        serving, request = assigned.serving, assigned.request
    try:
        live = serving.live.current(call.now)
        query, who = serving.source.query(request, live, call.now)
    except MemberwiseError as error:
        return error
    share = (request.placement or live.placement(request.scenario)).exploration_share
    subject = who.subjects[0] if who.subjects and query.personal else None
    today = call.now.astimezone(services.settings.zone).date()
    exploration = draw_exploration(share, subject, query.scenario, today)
    return Looked(request, serving, live, query, who, exploration, assigned)


def describe(services: Services, call: Call, looked: Sequence[Looked], stages: Stages) -> list[Described]:
    """Make slates, those of one bundle together, and read what is shown with them; in the order given."""
    found: dict[int, tuple[Slate, tuple[float, ...] | None, list[list[Reason]]]] = {}
    for serving in {id(one.serving): one.serving for one in looked}.values():
        own = [number for number, one in enumerate(looked) if one.serving is serving]
        with serving.turn:
            stages.end(Stage.WAIT)
            slates = serving.recommender.recommend([looked[number].asked for number in own], stages)
            for number, longer in zip(own, slates, strict=True):
                slate, chances = looked[number].cut(longer)
                found[number] = slate, chances, explain(slate, looked[number].query, serving.recommender)
    described = [_describe(services, call, one, *found[number]) for number, one in enumerate(looked)]
    stages.end(Stage.DESCRIBE)
    return described


def title_of(details: ItemDetails, language: str) -> str | None:
    """Return an item's title in a language, or else its plain one."""
    return details.titles.get(language) or details.title


def new_recommendation_id(now: datetime) -> str:
    """Return a new id: milliseconds since 1970, then 80 random bits, so that ids of one time lie together."""
    return f"{int(now.timestamp() * 1000):011x}{os.urandom(10).hex()}"


def _describe(
    services: Services,
    call: Call,
    one: Looked,
    slate: Slate,
    chances: tuple[float, ...] | None,
    reasons: Sequence[Sequence[Reason]],
) -> Described:
    live, store_id, flags = one.live, one.who.store_id, one.flags(slate)
    item_ids = [live.catalog.item_id(int(row)) for row in slate.row]
    named = [str(reason.evidence["item_id"]) for some in reasons for reason in some if "item_id" in reason.evidence]
    if STORE_UNAVAILABLE in flags:
        live = live.without_database()
    counts = [] if store_id is None else live.on_hand(store_id, slate.row)
    on_hand = {name: count for name, count in zip(item_ids, counts, strict=False) if count is not None}
    details = _details(call, live, item_ids + named, store_id, flags)
    titles = {found.item_id: title_of(found, call.language) or found.item_id for found in details[len(item_ids) :]}
    return Described(item_ids, slate, details[: len(item_ids)], reasons, titles, store_id, on_hand, chances, flags)


def _details(
    call: Call, live: LiveView, item_ids: Sequence[str], store_id: str | None, flags: list[str]
) -> list[ItemDetails]:
    """Return what is shown of items; while the database is away only what is in memory: no title and no price."""
    if STORE_UNAVAILABLE not in flags:
        try:
            return live.details.of(item_ids, store_id, call.now)
        except StoreBusyError as error:
            logger.warning("items_not_read reason=%s", error.message)
            flags.append(STORE_UNAVAILABLE)
    sponsored = live.catalog.columns.sponsored
    rows = [live.catalog.row(item_id) for item_id in item_ids]
    return [
        replace(nothing_known(item_id), sponsored=row is not None and bool(sponsored[row]))
        for item_id, row in zip(item_ids, rows, strict=True)
    ]
