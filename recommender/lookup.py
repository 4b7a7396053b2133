"""Lookup: a request with ids, the bundle and live state -> a Query with rows, histories and masks.

The service and `memberwise recommend` both ask here, so that they give the same lists.
"""

from __future__ import annotations

import logging
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from recommender.arrangement import NO_ARRANGEMENT, Arrangement
from recommender.bundle import Bundle
from recommender.context import STAND_INS, standing_for, with_visit
from recommender.cooling import cooling_mask
from recommender.errors import StoreBusyError
from recommender.events import member_subject
from recommender.history import MINUTES_PER_DAY, Histories, merge
from recommender.house import OPEN_HOUSE, OUT_OF_SCOPE, SHADOW, HouseRules
from recommender.ids import IdIndex
from recommender.lately import Lately
from recommender.masks import build_masks, not_interested
from recommender.newcomers import Newcomers
from recommender.placement import NO_PLACEMENT, NO_STEERING, Placement
from recommender.prepared import MOST_WANTED, SCENARIOS
from recommender.query import CONTEXT_SCENARIOS, NO_CONTEXT, Context, Mask, Query, Ready, Scenario
from recommender.recent import NOTHING_NEW, Recent, read_recent, take_back
from recommender.request import SlateRequest
from recommender.retrievers.repeat import RepeatRetriever
from recommender.steering import StoreShelf, steer
from recommender.storage.catalog import read_stand_ins
from recommender.storage.database import Database
from recommender.storage.events import NO_EVENTS
from recommender.storage.live import LiveView
from recommender.storage.subject_state import SubjectState, read_subject_state

logger = logging.getLogger(__name__)

AWAY_SECONDS = 1.0
"""How long the database is left alone after it did not answer."""
STORE_UNAVAILABLE = "store_unavailable"
"""Flag of answers made without the database."""
PREPARED_DAYS = 3
"""How long what was ranked in advance holds: then other items are due."""
STALE_DAYS = 28
"""A bundle older than this is asked as of its own end: decayed any further, all its histories would look alike."""


@dataclass(frozen=True, slots=True)
class Who:
    """What became of the names in a request.

    subjects: whose histories were used.  store_id: the store whose prices and stock hold, if any.
    flags: what was not known or could not be used, such as "unknown_member" or "stock_unknown".
    """

    subjects: tuple[str, ...]
    store_id: str | None
    flags: tuple[str, ...]


_NOBODY = SubjectState(None, (), False, NO_EVENTS)


class QuerySource:
    """Makes queries for one bundle.

    Args:
        bundle: the bundle that is served.
        database: where members, links and recent events are.
        channel_kinds: "online" or "offline" by channel.
        rules: of the installation.
    """

    def __init__(
        self, bundle: Bundle, database: Database, channel_kinds: Mapping[str, str], rules: HouseRules = OPEN_HOUSE
    ) -> None:
        recommender = bundle.recommender()
        self._database = database
        self._items: IdIndex = recommender.items
        self._stores: IdIndex = recommender.stores
        self._channels = {name: code for code, name in enumerate(recommender.channels)}
        self._day_offset = recommender.day_offset_minutes
        self._repeat = recommender.part(RepeatRetriever)
        self._subjects = bundle.subjects
        self._prepared = bundle.prepared
        self._histories = bundle.histories
        self._last_sequence = bundle.last_sequence
        self._trained_minute = int(bundle.trained_until.timestamp() // 60)
        self._lately = Lately()
        self._away_until = 0.0
        self._rules = rules
        self._online = frozenset(name for name, kind in channel_kinds.items() if kind == "online")

    def query(
        self,
        request: SlateRequest,
        live: LiveView,
        now: datetime,
        past: tuple[Histories, int] | None = None,
    ) -> tuple[Query, Who]:
        """Make the query of a request.

        Args:
            request: what was asked.
            live: catalogue, stores and stock to be used throughout.
            now: the present.
            past: a history and the minute as of which to answer, in place of what is known now.
        Returns: the query, and what became of the names. While the database is away, of the customer nothing is
            known: nor whether they allow their history to be used, so it is not; the flags say so.
        """
        if time.monotonic() >= self._away_until:
            try:
                return self._query(request, live, now, self._read_state(request.subject, now), past)
            except StoreBusyError as error:
                self._away_until = time.monotonic() + AWAY_SECONDS
                logger.warning("customer_not_read reason=%s", error.message)
        state = _NOBODY if request.subject is None else replace(_NOBODY, subjects=(request.subject,), away=True)
        query, who = self._query(request, live.without_database(), now, state, past)
        return query, replace(who, flags=(STORE_UNAVAILABLE, *who.flags))

    def _query(
        self,
        request: SlateRequest,
        live: LiveView,
        now: datetime,
        state: SubjectState,
        past: tuple[Histories, int] | None,
    ) -> tuple[Query, Who]:
        """Make the query of a request from what is known of its customer."""
        member = state.member
        personal = not (state.away or state.refused) and (member is None or member.personalised)
        rows = self._subject_rows(state.subjects)
        known, as_of = past or self._present(rows, state, live, now)
        history = live.standing.as_one(known)
        context, told = self._context(request, personal, live, state.away)
        store_id, flags = self._store(request, state, live)
        if "unknown_store" not in flags and not all(self._is_store(one, live) for one in request.reachable_store_ids):
            flags.append("unknown_store")
        flags += self._flags(request, state, history, personal) + told
        channel = self._channels.get(request.channel or "", 0)
        history = with_visit(history, request.context, self._items, channel, as_of, self._day_offset)
        placement = request.placement or live.placement(request.scenario)
        masks, arrangement, told = self._conditions(request, placement, state, live, store_id)
        flags += told
        store_row = None if store_id is None else self._stores.row(store_id)
        ready, slot = None, None
        if past is None and personal and not request.context.events and _from_head(request, arrangement):
            same = history is known or np.array_equal(history.item_row, known.item_row)
            ready = self._ready(request.scenario, rows, now) if same and not len(state.recent) else None
            if ready is None and len(history.item_row):
                heard = state.recent.digest(), zlib.crc32(history.item_row.tobytes())
                slot = self._lately.slot((request.scenario, store_row, state.subjects), heard, as_of)
        query = Query(
            scenario=request.scenario,
            count=request.count,
            as_of=as_of,
            history=history,
            store_row=store_row,
            personal=personal,
            masks=masks,
            context=context,
            arrangement=arrangement,
            newcomers=None if live.likeness is None else Newcomers(live.likeness, live.buzz),
            unnamed=None if self._rules.delicate else live.standing.delicate,
            ready=ready if slot is None else slot.ready,
            slot=slot,
        )
        return self._cooled(query, placement, live), Who(state.subjects, store_id, tuple(flags))

    def _conditions(
        self, request: SlateRequest, placement: Placement, state: SubjectState, live: LiveView, store_id: str | None
    ) -> tuple[tuple[Mask, ...], Arrangement, list[str]]:
        """Return the conditions on items, the arrangement, and flags of what is not known or holds nothing."""
        flags: list[str] = []
        adult = None if state.member is None else state.member.adult
        masks, unknown = build_masks(request, live, store_id, self._online, adult, self._rules.delicate)
        if unknown:
            flags.append("stock_unknown")
        scope = self._scope(request, live, store_id, flags)
        disliked = [not_interested(state.recent.dislikes, live)] if state.recent.dislikes else []
        steered, arrangement, told = self._steer(request, placement, live, store_id)
        return (*masks, *scope, *disliked, *steered), arrangement, [*flags, *told]

    def _scope(self, request: SlateRequest, live: LiveView, store_id: str | None, flags: list[str]) -> list[Mask]:
        """Return the conditions of the pilot: outside of it nothing is shown; flags say where it ends."""
        rules = self._rules
        if rules.shadow:
            flags.append(SHADOW)
        if not rules.covers(store_id, request.channel):
            flags.append(OUT_OF_SCOPE)
            return [Mask(OUT_OF_SCOPE, np.zeros(len(live.catalog), bool))]
        if not rules.categories:
            return []
        paths = rules.categories
        return [
            Mask(
                OUT_OF_SCOPE,
                live.item_masks.get((OUT_OF_SCOPE, paths), lambda: live.catalog.facts.category.below(paths)),
            )
        ]

    def _steer(
        self, request: SlateRequest, placement: Placement, live: LiveView, store_id: str | None
    ) -> tuple[tuple[Mask, ...], Arrangement, list[str]]:
        """Return the masks, the arrangement and the flags of what the scenario's settings and the request ask."""
        if placement is NO_PLACEMENT and request.steering is NO_STEERING and not (request.shown or request.among):
            return (), NO_ARRANGEMENT, []
        return steer(placement, StoreShelf(request, live, store_id, self._online))

    def _cooled(self, query: Query, placement: Placement, live: LiveView) -> Query:
        """Return a query that keeps back what its customer bought too lately."""
        if self._repeat is None or not placement.cool_down.active:
            return query
        mask = cooling_mask(query, placement.cool_down, self._repeat, live.catalog.facts.category)
        return query if mask is None else replace(query, masks=(*query.masks, mask))

    def _read_state(self, subject: str | None, now: datetime) -> SubjectState:
        if subject is None:
            return _NOBODY
        namespace, _, value = subject.partition(":")
        with self._database.read() as connection:
            return read_subject_state(connection, namespace, value, self._last_sequence, now)

    def _present(
        self, rows: Sequence[int], state: SubjectState, live: LiveView, now: datetime
    ) -> tuple[Histories, int]:
        """Return the customer's history as it is known now, and the minute as of which to answer.

        Args:
            rows: of the customer's subjects that the bundle knows.
            state: of the customer.
            live: with the codes that items had before.
            now: the present.
        """
        parts = [self._histories.of(row) for row in rows]
        recent = NOTHING_NEW
        if len(state.recent):
            recent = read_recent(state.recent, self._items, self._channels, now, live.standing.aliases)
        minute = int(now.timestamp() // 60)
        if minute > self._trained_minute + STALE_DAYS * MINUTES_PER_DAY:
            minute = max(self._trained_minute, int(recent.entries.minute.max(initial=0)))
        return _together(parts, recent, self._day_offset), minute + 1

    def _ready(self, scenario: Scenario, rows: Sequence[int], now: datetime) -> Ready | None:
        """Return what was ranked in advance for a customer of whom the bundle knows everything, if it still holds.

        Args:
            scenario: the placement.
            rows: of the customer's subjects that the bundle knows.
            now: the present.
        """
        age = int(now.timestamp() // 60) - self._trained_minute
        aged = PREPARED_DAYS * MINUTES_PER_DAY < age <= STALE_DAYS * MINUTES_PER_DAY
        return None if aged or self._prepared is None else self._prepared.of(scenario, rows)

    def _context(self, request: SlateRequest, personal: bool, live: LiveView, away: bool) -> tuple[Context, list[str]]:
        """Return the items that the request is about, and flags of what cannot be used of them."""
        if request.scenario not in CONTEXT_SCENARIOS:
            return NO_CONTEXT, []
        if request.scenario is Scenario.SESSION and not personal:
            return NO_CONTEXT, []
        context, flags = request.context.known(request.scenario, self._items)
        item_id = request.context.item_id
        about_one = request.scenario in (Scenario.SIMILAR, Scenario.SUBSTITUTES) and item_id is not None
        if len(context) or not about_one or away or live.catalog.row(item_id or "") is None:
            return context, flags
        with self._database.read() as connection:
            stand_ins = read_stand_ins(connection, item_id or "", STAND_INS)
        return standing_for(stand_ins, self._items), ["new_item"]

    def _subject_rows(self, subjects: Sequence[str]) -> list[int]:
        """Return the rows of those subjects that the bundle knows, rising."""
        return sorted(row for row in map(self._subjects.row, subjects) if row is not None)

    def _store(self, request: SlateRequest, state: SubjectState, live: LiveView) -> tuple[str | None, list[str]]:
        """Return the store that holds for the request, and flags."""
        if request.store_id is None:
            home = None if state.member is None else state.member.home_store_id
            return (None if home is None else live.open_store(home)), []
        if request.store_id in live.closed_stores:
            return live.open_store(request.store_id), ["store_closed"]
        return request.store_id, [] if self._is_store(request.store_id, live) else ["unknown_store"]

    def _is_store(self, store_id: str, live: LiveView) -> bool:
        return store_id in live.stores or store_id in self._stores

    def _flags(self, request: SlateRequest, state: SubjectState, history: Histories, personal: bool) -> list[str]:
        if request.subject is None:
            return ["anonymous"]
        if state.away:
            return ["not_personalised"]
        flags = []
        if state.conflict:
            flags.append("identity_conflict")
        elif state.subjects == (request.subject,) and not request.subject.startswith(member_subject("")):
            flags.append("unlinked_identity")
        elif state.member is None and not len(history.item_row):
            flags.append("unknown_member")
        if not personal:
            flags.append("not_personalised")
        elif not len(history.item_row):
            flags.append("empty_history")
        return flags


def _from_head(request: SlateRequest, arrangement: Arrangement) -> bool:
    """Tell whether a slate is made from the best candidates of a placement about its customer alone.

    Boosts, variety and a share set by hand reach further down than what is prepared or remembered.
    """
    by_hand = arrangement.boosts or arrangement.diversity or arrangement.repeat_share is not None
    return request.scenario in SCENARIOS and request.count <= MOST_WANTED and not request.among and not by_hand


def _together(parts: Sequence[Histories], recent: Recent, day_offset: int) -> Histories:
    """Return one history of a customer's subjects and recent events, with returns taken back."""
    if len(recent.entries.item_row):
        parts = [*parts, recent.entries]
    if not parts:
        return Histories.empty(1)
    return take_back(one_history(parts, day_offset), recent.returned_row, recent.returned_minute)


def one_history(parts: Sequence[Histories], day_offset_minutes: int) -> Histories:
    """Return the histories of one customer's subjects, at least one, as one history."""
    return parts[0] if len(parts) == 1 else merge(parts, day_offset_minutes)
