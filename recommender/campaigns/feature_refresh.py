"""Makes member features anew: the member table, consents and coupons from SQL, acts and orders from the event log."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
from sqlalchemy.engine import Connection

from recommender.campaigns.act_tables import Span, read_acts
from recommender.campaigns.feature_files import read_features, refreshing, write_features
from recommender.campaigns.member_columns import (
    MICROS_PER_DAY,
    MemberColumns,
)
from recommender.campaigns.member_features import (
    GIVEN,
    REDEEMED,
    CouponActs,
    Days,
    FeatureFacts,
    MemberFeatures,
    Overlay,
    mixed,
    unit_keys,
)
from recommender.campaigns.member_rows import MEMBER_COLUMNS, NO_MEMBER, Rows, consent_columns
from recommender.errors import ConflictError, InputError
from recommender.events import MEMBER_NAMESPACE, member_subject
from recommender.ids import IdIndex
from recommender.item_facts import Labels, normal_path
from recommender.kept_sources import Sources, opened_kept, read_sources
from recommender.settings import CoreSettings
from recommender.storage.database import Database
from recommender.storage.identities import erased_subjects
from recommender.storage.statements import fetch
from recommender.storage.types import to_micros

PAGE_ROWS = 50_000
_MEMBERS = f"SELECT member_id, {MEMBER_COLUMNS} FROM members WHERE member_id > ? ORDER BY member_id LIMIT ?"
_CONSENTS = """
SELECT member_id, purpose, channel, at, granted FROM consents
WHERE (member_id, purpose, channel, at) > (?, ?, ?, ?) ORDER BY member_id, purpose, channel, at LIMIT ?"""
_COUPONS = {
    GIVEN: (
        "SELECT member_id, offer_id, issued_at FROM wallet_coupons",
        "SELECT member_id, offer_id, issued_at FROM coupons WHERE issued_at IS NOT NULL",
        "SELECT member_id, offer_id, sent_at FROM sends WHERE COALESCE(arm, 'treated') = 'treated' AND offer_id <> ''",
    ),
    REDEEMED: ("SELECT member_id, offer_id, redeemed_at FROM redemptions",),
}
_ITEMS = "SELECT item_id, category, brand, price_cents, cost_cents FROM items"
_NO_ITEM: tuple[Any, ...] = (None,) * 4


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What a refresh made: how many members, orders and rows of acts."""

    generation: str
    members: int
    orders: int
    acts: int


def refresh_features(database: Database, settings: CoreSettings, now: datetime, wait: bool = True) -> Refreshed | None:
    """Make member features as of now and put them in place of those before; safe to kill.

    Args:
        wait: for another refresh of this host; else return None while there is one.
    Raises: EventLogError if a registered file is missing; StoreBusyError.
    """
    with refreshing(settings.home, wait) as held:
        if not held:
            return None
        features = make_features(database, settings, now)
        write_features(settings.home, features)
    return Refreshed(
        features.facts.generation, len(features), len(features.orders.member_row), len(features.acts.member_row)
    )


def renew_without_erased(database: Database, settings: CoreSettings, now: datetime) -> bool:
    """Make features anew that name a member who was erased, or that cannot be read; tell whether they were."""
    try:
        features = read_features(settings.home)
    except ConflictError:
        return False
    except InputError:
        features = None
    if features is not None:
        prefix = member_subject("")
        with database.read() as connection:
            gone = [name.removeprefix(prefix) for name in erased_subjects(connection) if name.startswith(prefix)]
        if not features.index.rows(gone)[1].any():
            return False
    refresh_features(database, settings, now)
    return True


@dataclass(frozen=True, slots=True)
class _Recorded:
    """What SQL says, read in one snapshot: members and items by id, consents in pages, coupons by what happened."""

    sources: Sources
    members: dict[str, tuple[Any, ...]]
    consents: list[Rows]
    items: dict[str, tuple[Any, ...]]
    coupons: dict[int, Rows]


def make_features(database: Database, settings: CoreSettings, now: datetime) -> MemberFeatures:
    """Read everything that happened before now."""
    offset = int(now.astimezone(settings.zone).utcoffset().total_seconds()) * 1_000_000  # type: ignore[union-attr]
    with database.read(snapshot=True) as connection:
        known = _read_recorded(connection, settings, now)
    with opened_kept(settings, known.sources, now) as engine:
        subjects, item_ids = (_distinct(engine, name) for name in ("subject", "item_id"))
        index = _index(known, subjects)
        items = IdIndex.of({*item_ids, *known.items})
        facts = [known.items.get(one, _NO_ITEM) for one in items.ids(np.arange(len(items)))]
        prices = np.array([row[2] or 0 for row in facts], np.int64)
        owners = _owners(subjects, known.sources.links)
        found = read_acts(engine, owners, index, items, prices, Span(settings.audience_days, to_micros(now), offset))
    columns = MemberColumns.of([known.members.get(one, NO_MEMBER) for one in index.ids(np.arange(len(index)))], offset)
    offers, coupon_acts = _coupon_acts(index, known.coupons, offset)
    return MemberFeatures(
        facts=FeatureFacts(f"{now:%Y%m%dT%H%M%S}-{secrets.token_hex(4)}", now, known.sources.sequence, offset),
        overlay=Overlay(known.sources.sequence),
        index=index,
        extra=IdIndex.of([]),
        columns=columns.with_consents(consent_columns(index.rows, known.consents)),
        erased=np.zeros(len(index), bool),
        mix=mixed(unit_keys(index.keys, columns.household).tolist()),
        items=items,
        category=Labels.of(normal_path(row[0] or "") for row in facts),
        brand=Labels.of(row[1] for row in facts),
        margin_cents=_margins(facts, settings.default_margin_share),
        channels=found.channels,
        offers=offers,
        acts=found.acts,
        orders=found.orders,
        coupons=coupon_acts,
        rhythms=found.rhythms,
        lately=found.lately,
    )


def _member_rows(connection: Connection) -> dict[str, tuple[Any, ...]]:
    found: dict[str, tuple[Any, ...]] = {}
    last = ""
    while page := fetch(connection, _MEMBERS, (last, PAGE_ROWS)):
        found.update((row[0], row[1:]) for row in page)
        last = page[-1][0]
    return found


def _consent_pages(connection: Connection) -> Iterator[Rows]:
    last: tuple[Any, ...] = ("", "", "", 0)
    while page := fetch(connection, _CONSENTS, (*last, PAGE_ROWS)):
        yield page
        last = page[-1][:4]


def _read_recorded(connection: Connection, settings: CoreSettings, now: datetime) -> _Recorded:
    return _Recorded(
        read_sources(connection, settings, now),
        _member_rows(connection),
        list(_consent_pages(connection)),
        {row[0]: row[1:] for row in fetch(connection, _ITEMS)},
        {act: [row for query in queries for row in fetch(connection, query)] for act, queries in _COUPONS.items()},
    )


def _distinct(engine: duckdb.DuckDBPyConnection, name: str) -> list[str]:
    return [row[0] for row in engine.execute(f"SELECT DISTINCT {name} FROM kept WHERE {name} IS NOT NULL").fetchall()]


def _index(known: _Recorded, subjects: Sequence[str]) -> IdIndex:
    """Index every member that is recorded anywhere and was not erased."""
    prefix = member_subject("")
    found = {*known.members, *(row[0] for page in known.consents for row in page), *known.sources.links.values()}
    found.update(one.removeprefix(prefix) for one in subjects if one.startswith(prefix))
    return IdIndex.of(found - {one.removeprefix(prefix) for one in known.sources.erased})


def _margins(facts: Sequence[tuple[Any, ...]], share: float) -> npt.NDArray[np.float32]:
    """Return what each item earns, by its price and cost; without a cost, a share of the price."""
    found = [0 if price is None else price * share if cost is None else price - cost for _, _, price, cost in facts]
    return np.array(found, np.float32)


def _owners(subjects: Sequence[str], links: Mapping[str, str]) -> dict[str, str]:
    """Return the member behind each subject that has one."""
    prefix = f"{MEMBER_NAMESPACE}:"
    owners = {subject: links.get(subject) for subject in subjects}
    return {
        subject: owner or subject.removeprefix(prefix)
        for subject, owner in owners.items()
        if owner is not None or subject.startswith(prefix)
    }


def _coupon_acts(index: IdIndex, coupons: Mapping[int, Rows], day_offset: int) -> tuple[tuple[str, ...], CouponActs]:
    """Return the offers and what happened to their coupons, the same on one day once."""
    names = sorted({row[1] for rows in coupons.values() for row in rows})
    place = {name: number for number, name in enumerate(names)}
    columns: list[npt.NDArray[np.int64]] = []
    for act, rows in coupons.items():
        members, known = index.rows([row[0] for row in rows])
        day = np.array([(row[2] + day_offset) // MICROS_PER_DAY for row in rows], np.int64)[known]
        offer = np.array([place[row[1]] for row in rows], np.int64)[known]
        columns.append(np.stack((day, members.astype(np.int64), offer, np.full(len(day), act, np.int64)), axis=1))
    day, member, offer, act = np.unique(np.concatenate(columns), axis=0).T
    return tuple(names), CouponActs(
        Days.of(day.astype(np.int32)), member.astype(np.int32), offer.astype(np.int32), act.astype(np.uint8)
    )
