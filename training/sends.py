"""Past campaigns as trials: who was sent which offer when, by which chance, and what they bought and redeemed then.

A wave is what one campaign sent on one day. All that is known of its members is as of the wave's start; what came of it
is counted until the campaign, or the offer, ends. Waves that have not ended are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import scipy.sparse as sp
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from recommender.coupons.features import KINDS
from recommender.coupons.offers import Offer
from recommender.coupons.order_lines import MINUTES_PER_DAY, CouponPast
from recommender.coupons.store import read_offers
from recommender.storage.database import Database
from recommender.storage.tables import CANONICAL
from training.spending import Spending

FloatMatrix = npt.NDArray[np.float32]
BoolMatrix = npt.NDArray[np.bool_]
RowVector = npt.NDArray[np.int32]

USUAL_DAYS = 28
"""How long what came of a send is counted where neither campaign nor offer says when it ends."""
MOST_DAYS = 60
MOST_WAVES = 60
"""A campaign that sent on more days than this in all is told apart by week."""
SLACK = 0.1
GRACE_MINUTES = MINUTES_PER_DAY
"""A history that ends so little before a campaign does tells all about it: shops close at night."""
NO_OFFER = -1


@dataclass(frozen=True, slots=True)
class OfferShelf:
    """Offers that can be scored, in order of id, and what they cover.

    covers: float32, (n_items, n_offers).  unusable: ids of offers that are none, with what is wrong.
    """

    offers: tuple[Offer, ...]
    covers: sp.csc_matrix
    unusable: Mapping[str, str]

    @property
    def rows(self) -> dict[str, int]:
        """Return the row of each offer."""
        return {offer.offer_id: row for row, offer in enumerate(self.offers)}


@dataclass(frozen=True, slots=True)
class Campaign:
    """A campaign's times in minutes since 1970-01-01 UTC, the rows of its offers, and its type, "" if it has none."""

    campaign_id: str
    starts: int
    ends: int
    offer_rows: tuple[int, ...]
    kind: str


@dataclass(frozen=True, slots=True)
class Redemptions:
    """Redemptions in order of time: member_row, offer_row (NO_OFFER if unknown), minute: int32; cents: float32, NaN
    where the discount is not known; all (n,).
    """

    member_row: RowVector
    offer_row: RowVector
    minute: RowVector
    cents: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Sends:
    """Sends in order of time: as Redemptions; campaign: position among the campaigns.

    held: bool, the member was kept without.  propensity: float32, NaN where the history was not randomised.
    """

    member_row: RowVector
    offer_row: RowVector
    minute: RowVector
    campaign: RowVector
    held: npt.NDArray[np.bool_]
    propensity: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class CouponHistory:
    """All that is known of offers, campaigns, sends and redemptions before a time."""

    shelf: OfferShelf
    campaigns: tuple[Campaign, ...]
    sends: Sends
    redemptions: Redemptions
    until: int

    @property
    def kinds(self) -> tuple[str, ...]:
        """The types of campaigns that are told apart, in order."""
        return tuple(sorted({one.kind for one in self.campaigns} - {""}))[:KINDS]

    def kind(self, campaign: Campaign) -> int:
        """Return the number of a campaign's type, -1 if it has none that is told apart."""
        return self.kinds.index(campaign.kind) if campaign.kind in self.kinds else -1

    def past(self, members: int, minute: int) -> CouponPast:
        """Return what each member had been sent and had redeemed before a minute."""
        sends, used = self.sends, self.redemptions
        earlier = (sends.minute < minute) & ~sends.held
        sent = np.bincount(sends.member_row[earlier], minlength=members).astype(np.float32)
        redeemed = np.bincount(used.member_row[used.minute < minute], minlength=members).astype(np.float32)
        return CouponPast(sent, redeemed, float(redeemed.sum() / max(float(sent.sum()), 1.0)))


@dataclass(frozen=True, slots=True)
class Wave:
    """What one campaign sent at one time, as matrices over its n members and k offers.

    member_row: int32, (n,), rising.  offer_rows: int32, (k,).  starts, ends: minutes.
    given: bool, (n, k).  control: bool, (n, k), held out from the offer.  propensity: float32, (n, k), chance of what
        happened, NaN where it is not known.
    redeemed: bool, (n, k).  cents: float32, (n, k), the discount of redemptions, NaN if unknown.
    listed: bool: the wave's sends name no offers, so that all of the campaign's count as given.
    """

    campaign: Campaign
    member_row: RowVector
    offer_rows: RowVector
    starts: int
    ends: int
    given: BoolMatrix
    control: BoolMatrix
    propensity: FloatMatrix
    redeemed: BoolMatrix
    cents: FloatMatrix
    listed: bool = field(default=False)

    @property
    def window_days(self) -> float:
        """How long outcomes are counted."""
        return (self.ends - self.starts) / MINUTES_PER_DAY


def read_coupon_history(database: Database, spending: Spending, until: datetime) -> CouponHistory:
    """Read offers, campaigns, and the sends and redemptions before a time, of members that the spending knows."""
    with database.read(snapshot=True) as connection:
        book = read_offers(connection)
        campaigns = _rows_of(connection, "campaigns", "campaign_id")
        sends = _rows_of(connection, "sends", "sent_at", until)
        redemptions = _rows_of(connection, "redemptions", "redeemed_at", until)
    offers = tuple(book.offers.values())
    shelf = OfferShelf(offers, cover(offers, spending), {key: str(error) for key, error in book.unusable.items()})
    known = _campaigns(campaigns, sends, shelf.rows)
    return CouponHistory(
        shelf,
        known,
        _sends(sends, spending, shelf.rows, {one.campaign_id: at for at, one in enumerate(known)}),
        _redemptions(redemptions, spending, shelf.rows),
        _minute(until),
    )


def any_sends(connection: Connection, until: datetime) -> bool:
    """Tell whether anything was sent before a time."""
    sends = CANONICAL["sends"]
    return connection.execute(sa.select(sends.c.member_id).where(sends.c.sent_at < until).limit(1)).first() is not None


def cover(offers: Sequence[Offer], spending: Spending) -> sp.csc_matrix:
    """Return which items each offer is for, float32, (n_items, k); restricted goods never are."""
    catalogue = spending.catalogue
    free = np.flatnonzero(~catalogue.restricted)
    below = _places(catalogue.above())
    brands = _places([(name,) if name else () for name in catalogue.brand])
    columns: list[npt.NDArray[np.int64]] = []
    for offer in offers:
        scope = offer.scope
        if scope.everything:
            columns.append(free)
            continue
        parts = [spending.items.rows(sorted(scope.items))[0].astype(np.int64)]
        parts += [below.get(name, _NOTHING) for name in scope.categories]
        parts += [brands.get(name, _NOTHING) for name in scope.brands]
        found = np.unique(np.concatenate(parts))
        columns.append(found[~catalogue.restricted[found]])
    indptr = np.concatenate(([0], np.cumsum([len(one) for one in columns])))
    rows = np.concatenate([_NOTHING, *columns])
    return sp.csc_matrix((np.ones(len(rows), np.float32), rows, indptr), (len(spending.items), len(offers)))


def waves(history: CouponHistory, members: int) -> list[Wave]:
    """Return the waves that have ended, oldest first."""
    sends = history.sends
    span = MINUTES_PER_DAY
    key = sends.campaign.astype(np.int64) << 32 | sends.minute // span
    if len(np.unique(key)) > MOST_WAVES:
        span = 7 * MINUTES_PER_DAY
        key = sends.campaign.astype(np.int64) << 32 | sends.minute // span
    found = []
    for one in np.unique(key):
        rows = np.flatnonzero(key == one)
        wave = _wave(history, rows)
        if wave is not None and wave.ends <= history.until + GRACE_MINUTES:
            found.append(wave)
    return sorted(found, key=lambda wave: (wave.starts, wave.campaign.campaign_id))


def _wave(history: CouponHistory, rows: npt.NDArray[np.int64]) -> Wave | None:
    sends = history.sends
    campaign = history.campaigns[int(sends.campaign[rows[0]])]
    starts = int(sends.minute[rows].min())
    named = sends.offer_row[rows]
    listed = bool((named[~sends.held[rows]] == NO_OFFER).all()) if (~sends.held[rows]).any() else False
    wanted = set(campaign.offer_rows) if listed else set(named.tolist()) - {NO_OFFER}
    if not wanted:
        return None
    offer_rows = np.array(sorted(wanted), np.int32)
    ends = _end(history, campaign, offer_rows, starts)
    member_row, at = np.unique(sends.member_row[rows], return_inverse=True)
    shape = (len(member_row), len(offer_rows))
    given, control = np.zeros(shape, bool), np.zeros(shape, bool)
    propensity = np.full(shape, np.nan, np.float32)
    place = np.searchsorted(offer_rows, np.maximum(named, 0)).clip(0, len(offer_rows) - 1)
    whole = named == NO_OFFER
    chances = _own_chances(sends.held[rows], sends.propensity[rows])
    for held, matrix in ((False, given), (True, control)):
        mine = sends.held[rows] == held
        single = mine & ~whole
        matrix[at[single], place[single]] = True
        propensity[at[single], place[single]] = chances[single]
        # Where other sends name their offers, one that names none says nothing.
        everywhere = mine & whole & (held or listed)
        matrix[at[everywhere]] = True
        propensity[at[everywhere]] = chances[everywhere][:, None]
    redeemed, cents = _redeemed(history, member_row.astype(np.int32), offer_rows, starts, ends)
    return Wave(
        campaign, member_row.astype(np.int32), offer_rows, starts, ends, given, control & ~given, propensity,
        redeemed, cents, listed,
    )  # fmt: skip


def _own_chances(held: npt.NDArray[np.bool_], chance: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the chance of what happened; some histories write the chance to be sent also to those held out."""
    known = held & np.isfinite(chance)
    if not known.any():
        return chance
    share, said = float(held.mean()), float(chance[known].mean())
    if abs(1 - said - share) < abs(said - share) - SLACK:
        return np.where(known, 1 - chance, chance)
    return chance


def _end(history: CouponHistory, campaign: Campaign, offer_rows: RowVector, starts: int) -> int:
    ends = campaign.ends
    if ends <= starts:
        until = [history.shelf.offers[row].valid_until for row in offer_rows.tolist()]
        known = [_minute(time) for time in until if time is not None and _minute(time) > starts]
        ends = max(known) if known else starts + USUAL_DAYS * MINUTES_PER_DAY
    return min(ends, starts + MOST_DAYS * MINUTES_PER_DAY)


def _redeemed(
    history: CouponHistory, member_row: RowVector, offer_rows: RowVector, starts: int, ends: int
) -> tuple[BoolMatrix, FloatMatrix]:
    used = history.redemptions
    inside = np.flatnonzero((used.minute >= starts) & (used.minute < ends) & np.isin(used.offer_row, offer_rows))
    inside = inside[np.isin(used.member_row[inside], member_row)]
    redeemed = np.zeros((len(member_row), len(offer_rows)), bool)
    cents = np.zeros(redeemed.shape, np.float32)
    at = np.searchsorted(member_row, used.member_row[inside]), np.searchsorted(offer_rows, used.offer_row[inside])
    redeemed[at] = True
    np.add.at(cents, at, used.cents[inside])
    return redeemed, cents


_NOTHING = np.empty(0, np.int64)


def _places(names: Sequence[tuple[str, ...]]) -> dict[str, npt.NDArray[np.int64]]:
    found: dict[str, list[int]] = {}
    for row, one in enumerate(names):
        for name in one:
            found.setdefault(name, []).append(row)
    return {name: np.array(rows, np.int64) for name, rows in found.items()}


def _rows_of(connection: Connection, table: str, order: str, until: datetime | None = None) -> list[Mapping[str, Any]]:
    chosen = CANONICAL[table]
    statement = sa.select(chosen).order_by(chosen.c[order], *chosen.primary_key.columns)
    if until is not None:
        statement = statement.where(chosen.c[order] < until)
    return [dict(row) for row in connection.execute(statement).mappings()]


def _campaigns(
    rows: Sequence[Mapping[str, Any]], sends: Sequence[Mapping[str, Any]], offers: Mapping[str, int]
) -> tuple[Campaign, ...]:
    """Return the campaigns on record, then those that only sends name, which have no end."""
    found = {
        row["campaign_id"]: Campaign(
            row["campaign_id"],
            _minute(row["starts_at"]),
            _minute(row["ends_at"]),
            tuple(sorted({offers[name] for name in _json_list(row["offers"]) if name in offers})),
            _type(row["message"]),
        )
        for row in rows
    }
    for send in sends:
        name = send["campaign_id"]
        if name not in found:
            found[name] = Campaign(name, _minute(send["sent_at"]), 0, (), "")
    return tuple(found.values())


def _sends(
    rows: Sequence[Mapping[str, Any]], spending: Spending, offers: Mapping[str, int], campaigns: Mapping[str, int]
) -> Sends:
    member, known = spending.members.rows([row["member_id"] for row in rows])
    kept = [row for row, one in zip(rows, known.tolist(), strict=True) if one]
    offer = np.array([offers.get(row["offer_id"] or "", NO_OFFER) for row in kept], np.int32)
    # An offer that cannot be used is not the same as none named.
    usable = np.array([not row["offer_id"] or row["offer_id"] in offers for row in kept], bool)
    chances = [np.nan if row["propensity"] is None else row["propensity"] for row in kept]
    chance = np.array(chances, np.float32)
    chance[~((chance > 0) & (chance <= 1))] = np.nan
    return Sends(
        member[usable],
        offer[usable],
        np.array([_minute(row["sent_at"]) for row in kept], np.int32)[usable],
        np.array([campaigns[row["campaign_id"]] for row in kept], np.int32)[usable],
        np.array([row["arm"] == "holdout" for row in kept], bool)[usable],
        chance[usable],
    )


def _redemptions(rows: Sequence[Mapping[str, Any]], spending: Spending, offers: Mapping[str, int]) -> Redemptions:
    member, known = spending.members.rows([row["member_id"] for row in rows])
    kept = [row for row, one in zip(rows, known.tolist(), strict=True) if one]
    cents = [np.nan if row["discount_cents"] is None else row["discount_cents"] for row in kept]
    return Redemptions(
        member,
        np.array([offers.get(row["offer_id"], NO_OFFER) for row in kept], np.int32),
        np.array([_minute(row["redeemed_at"]) for row in kept], np.int32),
        np.array(cents, np.float32),
    )


def _json_list(text: str | None) -> list[str]:
    try:
        found = orjson.loads(text) if text else []
    except orjson.JSONDecodeError:
        return []
    return [str(one) for one in found] if isinstance(found, list) else []


def _type(message: str | None) -> str:
    try:
        found = orjson.loads(message) if message else {}
    except orjson.JSONDecodeError:
        return ""
    kind = found.get("type") if isinstance(found, dict) else None
    return kind if isinstance(kind, str) else ""


def _minute(time: datetime) -> int:
    return int(time.timestamp() // 60)
