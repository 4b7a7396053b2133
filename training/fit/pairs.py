"""Pairs of a member and an offer from past waves: what was known before, what was done, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recommender.coupons.features import FEATURES, pair_features
from recommender.coupons.order_lines import CouponPast, Goods, Purchases
from recommender.coupons.terms import Setting, Terms, make_terms
from training.sends import CouponHistory, Wave
from training.spending import Spending

FloatVector = npt.NDArray[np.float32]
BoolVector = npt.NDArray[np.bool_]
RowVector = npt.NDArray[np.int32]

MOST_PAIRS = 600_000
"""Pairs taken from all waves together; of more, members are drawn."""
CELLS_AT_ONCE = 1_000_000
"""Pairs whose features are held in memory at once, before the ones that count are chosen."""
LEAST_HOLDOUT = 0.1
"""Share of a wave from which on the held out are enough; below, those who got other offers are compared with too."""
INCLUDED = 0.95
"""Part of redemptions whose discount the order lines hold too, from which on lines are taken to be net of coupons."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs as columns, (n,) each.

    features: float32, (n, len(FEATURES)).  member_row, offer_row, wave: int32.
    given, control, held: bool: got the offer; got no offer that competes; was held out from all.
    propensity: float32, chance of what happened, NaN where unknown.  other: float32, average chance of the opposite.
    redeemed, bought: bool, within the wave's window; bought: something the offer covers.
    discount_cents: float32, granted by redemptions, NaN if unknown.
    inside_cents, outside_cents: float32, margin earned on what the offer covers, and on the rest, before the coupon.
    line_cents, rest_cents, face_cents: float32, as in Economics.
    """

    features: npt.NDArray[np.float32]
    member_row: RowVector
    offer_row: RowVector
    wave: RowVector
    given: BoolVector
    control: BoolVector
    held: BoolVector
    propensity: FloatVector
    other: FloatVector
    redeemed: BoolVector
    bought: BoolVector
    discount_cents: FloatVector
    inside_cents: FloatVector
    outside_cents: FloatVector
    line_cents: FloatVector
    rest_cents: FloatVector
    face_cents: FloatVector

    def __len__(self) -> int:
        return len(self.given)

    def where(self, kept: BoolVector) -> Pairs:
        """Return the pairs where `kept` is True."""
        return Pairs(*(getattr(self, column.name)[kept] for column in fields(self)))


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Offers and purchases as of a minute, and the margins in them.

    terms: of k offers.  line_cents, rest_cents: float32, (k,), as in Economics.  past: of all members.
    """

    purchases: Purchases
    terms: Terms
    past: CouponPast
    minute: int
    line_cents: FloatVector
    rest_cents: FloatVector

    def features(self, first: int, last: int) -> npt.NDArray[np.float32]:
        """Return the features of members first <= row < last, float32, (last - first, k, len(FEATURES))."""
        past = CouponPast(self.past.sent[first:last], self.past.redeemed[first:last], self.past.average_rate)
        return pair_features(self.purchases.of(first, last), past, self.terms, self.minute)

    def features_of(self, rows: RowVector) -> npt.NDArray[np.float32]:
        """Return the features of some members, float32, (n, k, len(FEATURES)); rows of nobody know nothing.

        Args:
            rows: int32, (n,), rising, distinct.
        """
        known = rows[rows < len(self.past.sent)]
        sent, redeemed = np.zeros(len(rows), np.float32), np.zeros(len(rows), np.float32)
        sent[: len(known)], redeemed[: len(known)] = self.past.sent[known], self.past.redeemed[known]
        past = CouponPast(sent, redeemed, self.past.average_rate)
        return pair_features(self.purchases.take(rows), past, self.terms, self.minute)


def snapshot_of(
    spending: Spending,
    history: CouponHistory,
    offer_rows: RowVector,
    minute: int,
    setting: Setting,
    goods: Goods,
) -> Snapshot:
    """Describe offers of the history's shelf as of a minute."""
    from_shelf = history.shelf
    before = spending.purchases.minute < minute
    purchases, margin = spending.purchases.where(before), spending.margin_cents[before]
    covers = from_shelf.covers[:, offer_rows].tocsc()
    offers = [from_shelf.offers[row] for row in offer_rows.tolist()]
    terms = make_terms(offers, covers, goods, purchases, minute, setting)
    line, rest = _margins(purchases, margin, covers)
    return Snapshot(purchases, terms, history.past(len(spending.members), minute), minute, line, rest)


def wave_setting(history: CouponHistory, wave: Wave) -> Setting:
    """Return how a wave's offers were given out."""
    k = len(wave.offer_rows)
    return Setting(
        np.full(k, wave.window_days, np.float32),
        np.full(k, k if wave.listed else 1, np.float32),
        np.full(k, history.kind(wave.campaign), np.int32),
    )


def read_pairs(spending: Spending, history: CouponHistory, found: Sequence[Wave], seed: int) -> Pairs:
    """Return the pairs of waves that tell something: those given, and those they can be compared with."""
    rng = np.random.default_rng(seed)
    goods = spending.catalogue.goods()
    total = sum(wave.given.size for wave in found)
    share = min(1.0, MOST_PAIRS / max(total, 1))
    parts = [_wave_pairs(spending, history, wave, number, share, rng, goods) for number, wave in enumerate(found)]
    return Pairs(*(np.concatenate([getattr(part, column.name) for part in parts]) for column in fields(Pairs)))


def _wave_pairs(
    spending: Spending,
    history: CouponHistory,
    wave: Wave,
    number: int,
    share: float,
    rng: np.random.Generator,
    goods: Goods,
) -> Pairs:
    scene = snapshot_of(spending, history, wave.offer_rows, wave.starts, wave_setting(history, wave), goods)
    outcome = _outcome(spending, wave, scene.terms.covers)
    compared, opposite = _comparable(wave, scene.terms.covers)
    chosen = (wave.given | compared) & (rng.random(len(wave.member_row)) < share)[:, None]
    step = max(1, CELLS_AT_ONCE // max(len(wave.offer_rows), 1))
    parts, places = [], []
    for start in range(0, spending.purchases.members, step):
        last = min(start + step, spending.purchases.members)
        mine = slice(*np.searchsorted(wave.member_row, (start, last)).tolist())
        at, offer = np.nonzero(chosen[mine])
        if len(at):
            parts.append(scene.features(start, last)[wave.member_row[mine][at] - start, offer])
            places.append((at + mine.start, offer))
    at = np.concatenate([np.empty(0, np.int64), *(one for one, _ in places)])
    offer = np.concatenate([np.empty(0, np.int64), *(one for _, one in places)])
    given = wave.given[at, offer]
    return Pairs(
        features=np.concatenate([np.empty((0, len(FEATURES)), np.float32), *parts]),
        member_row=wave.member_row[at],
        offer_row=wave.offer_rows[offer],
        wave=np.full(len(at), number, np.int32),
        given=given,
        control=compared[at, offer] & ~given,
        held=wave.control[at, offer],
        propensity=np.where(given, wave.propensity[at, offer], opposite.own[at, offer]).astype(np.float32),
        other=np.where(given, opposite.control[offer], opposite.given[offer]).astype(np.float32),
        redeemed=wave.redeemed[at, offer],
        bought=outcome.bought[at, offer],
        discount_cents=wave.cents[at, offer],
        inside_cents=outcome.inside[at, offer],
        outside_cents=outcome.total[at] - outcome.inside[at, offer],
        line_cents=scene.line_cents[offer],
        rest_cents=scene.rest_cents[offer],
        face_cents=scene.terms.face_cents[offer],
    )


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What members of a wave bought in its window: float32 and bool, (n, k); total: (n,)."""

    inside: npt.NDArray[np.float32]
    bought: npt.NDArray[np.bool_]
    total: FloatVector


def _outcome(spending: Spending, wave: Wave, covers: sp.csc_matrix) -> _Outcome:
    during = (spending.purchases.minute >= wave.starts) & (spending.purchases.minute < wave.ends)
    lines = spending.purchases.where(during)
    shape = (lines.members, lines.items)

    def summed(values: npt.NDArray[np.float32]) -> sp.csr_matrix:
        return sp.csr_matrix((values, (lines.member_row, lines.item_row)), shape)[wave.member_row]

    margin = summed(spending.margin_cents[during])
    inside = np.asarray((margin @ covers).todense(), np.float32)
    bought = np.asarray((summed(np.ones(len(lines.minute), np.float32)) @ covers).todense()) > 0
    total = np.asarray(margin.sum(axis=1), np.float32).ravel()
    cents = np.nan_to_num(wave.cents)
    if wave.redeemed.any():
        saved = np.asarray((summed(lines.saved_cents) @ covers).todense())[wave.redeemed]
        if float((saved >= 0.99 * cents[wave.redeemed]).mean()) >= INCLUDED:
            # The lines are net of coupons: their cost is counted by itself.
            inside = inside + cents
            total = total + cents.sum(axis=1)
    return _Outcome(inside, bought, total)


@dataclass(frozen=True, slots=True)
class _Opposite:
    """own: float32, (n, k), chance of being compared; control, given: float32, (k,), average chances."""

    own: npt.NDArray[np.float32]
    control: FloatVector
    given: FloatVector


def _comparable(wave: Wave, covers: sp.csc_matrix) -> tuple[npt.NDArray[np.bool_], _Opposite]:
    """Return who can be compared with those who got an offer: the held out, and where these are few, those who got
    others that share no goods with it.
    """
    given = _mean(wave.propensity, wave.given)
    held = wave.control
    share = float(np.any(held, axis=1).mean())
    if share >= LEAST_HOLDOUT or not np.isfinite(wave.propensity).any():
        return held, _Opposite(np.where(held, wave.propensity, np.nan), _mean(wave.propensity, held), given)
    overlap: npt.NDArray[np.bool_] = np.asarray(((covers.T @ covers) > 0).todense(), bool)
    touched: npt.NDArray[np.bool_] = (wave.given.astype(np.float32) @ overlap.astype(np.float32)) > 0
    drawn: npt.NDArray[np.bool_] = np.isfinite(np.where(wave.given | held, wave.propensity, np.nan))
    known = drawn.sum(axis=1) > 0
    compared = (~touched & known[:, None]) | held
    chance = np.clip(1 - np.nan_to_num(given) @ overlap, 1e-3, 1.0).astype(np.float32)
    chance[~np.isfinite(given)] = np.nan
    return compared, _Opposite(np.broadcast_to(chance, compared.shape), chance, given)


def _mean(values: npt.NDArray[np.float32], chosen: npt.NDArray[np.bool_]) -> FloatVector:
    """Return the mean of chosen values of each column, NaN where there is none."""
    known = chosen & np.isfinite(values)
    total = np.where(known, values, 0).sum(axis=0)
    return np.divide(total, known.sum(axis=0), out=np.full(values.shape[1], np.nan), where=known.any(axis=0)).astype(
        np.float32
    )


def _margins(purchases: Purchases, margin: FloatVector, covers: sp.csc_matrix) -> tuple[FloatVector, FloatVector]:
    """Return the margin of a line that each offer covers, and of what else is in the basket with it."""
    count = np.bincount(purchases.item_row, minlength=purchases.items).astype(np.float64)
    money = np.bincount(purchases.item_row, margin, purchases.items)
    usual = float(margin.mean()) if len(margin) else 0.0
    lines = covers.T @ count
    line = (covers.T @ money + usual * 10) / (lines + 10)
    day = purchases.minute // 1440
    starts = np.ones(len(day), bool)
    starts[1:] = (np.diff(day) != 0) | (np.diff(purchases.member_row) != 0)
    basket = np.cumsum(starts) - 1
    whole = np.bincount(basket, margin) if len(basket) else np.empty(0)
    # What lies in the basket beside a line, counted once per line.
    beside = np.bincount(purchases.item_row, whole[basket] - margin, purchases.items) if len(basket) else money
    rest = (covers.T @ beside + usual * 10) / (lines + 10)
    return line.astype(np.float32), np.maximum(rest, 0).astype(np.float32)
