"""What models of coupons see of a member and an offer, computed the same way for training and serving.

Everything uses only purchases before the moment asked about. Affinity of the member to what the offer covers comes
first: how often and for how much they bought it, lately and over a longer time, and what lies near it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recommender.coupons.order_lines import MINUTES_PER_DAY, CouponPast, Purchases, decayed, exposure
from recommender.coupons.terms import LONG_DAYS, Near, Terms

FloatVector = npt.NDArray[np.float32]
FloatMatrix = npt.NDArray[np.float32]
FloatCube = npt.NDArray[np.float32]
RowVector = npt.NDArray[np.int32]
BoolVector = npt.NDArray[np.bool_]

MIDDLE_DAYS, SHORT_DAYS = 60.0, 14.0
"""Ages at which a purchase counts half, beside LONG_DAYS."""
PRIOR_DAYS = 30.0
"""Days of an average member's purchases that a member's own rate leans on."""
PRIOR_SENDS = 4.0
"""Sends of an average member that a member's own rate of redemption leans on."""
CENTS = 100.0

PAIR_FEATURES = (
    "spend_middle",
    "times_short",
    "times_long",
    "ever",
    "chance",
    "chance_log_odds",
    "chance_spread",
    "share_of_spend",
    "near_category",
    "near_brand",
)
MEMBER_FEATURES = ("visits", "spend", "recency", "saved", "couponed", "redeemed", "redeem_rate", "sent")
KINDS = 3
"""Types of campaigns that are told apart."""
OFFER_FEATURES = (
    "face",
    "strength",
    "minimum",
    "width",
    "popularity",
    "window",
    "percent",
    "other_kind",
    "campaign_size",
    *(f"campaign_kind_{number}" for number in range(KINDS)),
)
MIXED_FEATURES = ("strength_saved", "strength_chance", "strength_rate", "strength_spread", "rate_chance", "coupon_ever")
FEATURES = PAIR_FEATURES + MEMBER_FEATURES + OFFER_FEATURES + MIXED_FEATURES
PAIR = slice(0, len(PAIR_FEATURES))


def pair_features(purchases: Purchases, past: CouponPast, terms: Terms, minute: int) -> FloatCube:
    """Return the features of every member and offer, float32, (n, k, len(FEATURES)).

    Args:
        purchases: of n members, before `minute`.
        past: of the same members.
        terms: of k offers.
        minute: the moment.
    """
    n, k = purchases.members, len(terms)
    found = np.empty((n, k, len(FEATURES)), np.float32)
    place = {name: number for number, name in enumerate(FEATURES)}
    _put_pairs(found, place, purchases, terms, minute)
    for name, column in _member_columns(purchases, past, minute).items():
        found[:, :, place[name]] = column[:, None]
    for name, column in _offer_columns(terms).items():
        found[:, :, place[name]] = column
    strength, chance = found[:, :, place["strength"]], found[:, :, place["chance"]]
    rate, saved = found[:, :, place["redeem_rate"]], found[:, :, place["saved"]]
    found[:, :, place["strength_saved"]] = strength * saved
    found[:, :, place["strength_chance"]] = strength * chance
    found[:, :, place["strength_rate"]] = strength * rate
    found[:, :, place["strength_spread"]] = strength * chance * (1 - chance)
    found[:, :, place["rate_chance"]] = rate * chance
    found[:, :, place["coupon_ever"]] = found[:, :, place["couponed"]] * found[:, :, place["ever"]]
    return found


def _put_pairs(found: FloatCube, place: dict[str, int], purchases: Purchases, terms: Terms, minute: int) -> None:
    middle = decayed(purchases.minute, minute, MIDDLE_DAYS)
    long = _matrix(purchases, decayed(purchases.minute, minute, LONG_DAYS))
    money = _matrix(purchases, middle * purchases.paid_cents)
    times = _dense(long @ terms.covers)
    spend = _dense(money @ terms.covers)
    short = _dense(_matrix(purchases, decayed(purchases.minute, minute, SHORT_DAYS)) @ terms.covers)
    days = exposure(purchases, minute, LONG_DAYS)
    rate = (times + terms.rate * PRIOR_DAYS) / (days + PRIOR_DAYS)
    chance = 1 - np.exp(-rate * terms.setting.window_days)
    inside = np.clip(chance, 1e-5, 1 - 1e-5)
    total = np.maximum(np.asarray(money.sum(axis=1), np.float32), 1.0)
    columns = {
        "spend_middle": np.log1p(spend / CENTS),
        "times_short": np.log1p(short),
        "times_long": np.log1p(times),
        "ever": (times > 0).astype(np.float32),
        "chance": chance,
        "chance_log_odds": np.log(inside / (1 - inside)),
        "chance_spread": chance * (1 - chance),
        "share_of_spend": spend / total.reshape(-1, 1),
    }
    for name, near in (("near_category", terms.near_category), ("near_brand", terms.near_brand)):
        columns[name] = np.log1p(_dense(_grouped(long, near) @ near.columns))
    for name, column in columns.items():
        found[:, :, place[name]] = column


def _member_columns(purchases: Purchases, past: CouponPast, minute: int) -> dict[str, FloatVector]:
    n = purchases.members
    day = purchases.minute // MINUTES_PER_DAY
    first = np.ones(len(day), bool)
    first[1:] = (np.diff(day) != 0) | (np.diff(purchases.member_row) != 0)
    weight = decayed(purchases.minute, minute, MIDDLE_DAYS)
    days_seen = exposure(purchases, minute, MIDDLE_DAYS)

    def summed(values: npt.NDArray[np.floating]) -> FloatVector:
        return np.bincount(purchases.member_row, values, n).astype(np.float32)

    last = np.zeros(n)
    np.maximum.at(last, purchases.member_row, purchases.minute)
    recency = np.where(last > 0, (minute - last) / MINUTES_PER_DAY, 365.0)
    paid, saved = summed(weight * purchases.paid_cents), summed(weight * purchases.saved_cents)
    visits = summed(weight * first)
    couponed = summed(weight * (purchases.couponed & _first_of_day(purchases, day)))
    rate = (past.redeemed + PRIOR_SENDS * past.average_rate) / (past.sent + PRIOR_SENDS)
    return {
        "visits": np.log1p(visits / days_seen * 7),
        "spend": np.log1p(paid / days_seen * 7 / CENTS),
        "recency": np.log1p(recency).astype(np.float32),
        "saved": (saved / np.maximum(paid + saved, 1.0)).astype(np.float32),
        "couponed": np.log1p(couponed),
        "redeemed": np.log1p(past.redeemed),
        "redeem_rate": rate.astype(np.float32),
        "sent": np.log1p(past.sent),
    }


def _first_of_day(purchases: Purchases, day: npt.NDArray[np.integer]) -> BoolVector:
    """Tell of each line whether it is the first one with a coupon of its member and day."""
    at = np.flatnonzero(purchases.couponed)
    first = np.ones(len(at), bool)
    first[1:] = (np.diff(day[at]) != 0) | (np.diff(purchases.member_row[at]) != 0)
    marked = np.zeros(len(day), bool)
    marked[at[first]] = True
    return marked


def _offer_columns(terms: Terms) -> dict[str, FloatVector]:
    strength = terms.face_cents / np.maximum(terms.occasion_cents + 0.5 * terms.minimum_cents, 1.0)
    kinds = {f"campaign_kind_{number}": terms.setting.kind == number for number in range(KINDS)}
    return {
        "face": np.log1p(terms.face_cents / CENTS),
        "strength": np.minimum(strength, 2.0),
        "minimum": np.log1p(terms.minimum_cents / np.maximum(terms.occasion_cents, 1.0)),
        "width": np.log1p(terms.width),
        "popularity": np.log(terms.rate + 1e-5),
        "window": np.log1p(terms.setting.window_days),
        "percent": terms.percent.astype(np.float32),
        "other_kind": terms.other_kind.astype(np.float32),
        "campaign_size": np.log(terms.setting.size),
        **{name: column.astype(np.float32) for name, column in kinds.items()},
    }


def _grouped(matrix: sp.csr_matrix, near: Near) -> sp.csr_matrix:
    """Return members by groups of items."""
    return sp.csr_matrix(
        (matrix.data, near.group[matrix.indices], matrix.indptr), (matrix.shape[0], near.columns.shape[0])
    )


def _matrix(purchases: Purchases, weight: npt.NDArray[np.floating]) -> sp.csr_matrix:
    """Return members by items; a line of its own per purchase, which products add up."""
    indptr = np.searchsorted(purchases.member_row, np.arange(purchases.members + 1))
    return sp.csr_matrix((weight.astype(np.float32), purchases.item_row, indptr), (purchases.members, purchases.items))


def _dense(matrix: sp.spmatrix) -> FloatMatrix:
    found: FloatMatrix = np.asarray(matrix.todense(), np.float32)
    return found
