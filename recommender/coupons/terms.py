"""Terms: offers as models see them at one moment, with what all members together tell of the goods they cover."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recommender.coupons.offers import WHOLE_BASIS_POINTS, Offer, OfferKind
from recommender.coupons.order_lines import Goods, Purchases, decayed, exposure

FloatVector = npt.NDArray[np.float32]
RowVector = npt.NDArray[np.int32]
BoolVector = npt.NDArray[np.bool_]

LONG_DAYS = 180.0
"""Age at which a purchase counts half in what is said of offers, and of rates."""
MOST_WINDOW_DAYS = 60.0
USUAL_CENTS = 100.0
"""What a line costs where nothing was sold."""


@dataclass(frozen=True, slots=True)
class Near:
    """Which group each item belongs to, and what part of each group each offer covers."""

    group: RowVector
    columns: sp.csc_matrix


@dataclass(frozen=True, slots=True)
class Setting:
    """How k offers are given out, (k,) each.

    window_days: float32, how long one may be used.  size: float32, offers of the campaign where all go to each member,
    else 1.  kind: int32, the campaign's type, -1 if none is known.
    """

    window_days: FloatVector
    size: FloatVector
    kind: RowVector

    @classmethod
    def plain(cls, offers: int, window_days: float) -> Setting:
        """Return the setting of offers that belong to no campaign of a type."""
        return cls(np.full(offers, window_days, np.float32), np.ones(offers, np.float32), np.full(offers, -1, np.int32))


@dataclass(frozen=True, slots=True)
class Terms:
    """k offers at one moment, and what all members together tell of what they cover.

    covers: float32, (n_items, k), 1 where an offer is for an item.  near_category, near_brand: float32, (categories, k)
    and (brands, k), part of the goods there that the offer covers.
    face_cents: what a redemption is expected to take off.  minimum_cents: least spend.  occasion_cents: what a line of
    what it covers costs.  width: items.  rate: lines a day of an average member.
    """

    covers: sp.csc_matrix
    near_category: Near
    near_brand: Near
    face_cents: FloatVector
    minimum_cents: FloatVector
    occasion_cents: FloatVector
    width: FloatVector
    rate: FloatVector
    percent: BoolVector
    other_kind: BoolVector
    setting: Setting

    def __len__(self) -> int:
        return len(self.face_cents)


def make_terms(
    offers: Sequence[Offer],
    covers: sp.csc_matrix,
    goods: Goods,
    purchases: Purchases,
    minute: int,
    setting: Setting,
) -> Terms:
    """Describe offers as of a minute.

    Args:
        offers: the terms, k of them.
        covers: float32, (n_items, k).
        goods: the catalogue.
        purchases: of all members, before `minute`.
        minute: the moment.
        setting: of the k offers.
    """
    weight = decayed(purchases.minute, minute, LONG_DAYS)
    sold = np.bincount(purchases.item_row, weight, purchases.items)
    paid = np.bincount(purchases.item_row, weight * purchases.paid_cents, purchases.items)
    times, money = covers.T @ sold, covers.T @ paid
    usual = float(paid.sum() / max(float(sold.sum()), 1e-9)) or USUAL_CENTS
    occasion = ((money + usual) / (times + 1)).astype(np.float32)
    rate = times / max(purchases.members, 1) / exposure(purchases, minute, LONG_DAYS)
    width = np.asarray(covers.sum(axis=0)).ravel()
    return Terms(
        covers=covers,
        near_category=near_of(goods.category_row, covers),
        near_brand=near_of(goods.brand_row, covers),
        face_cents=np.array([face_cents(one, float(o)) for one, o in zip(offers, occasion, strict=True)], np.float32),
        minimum_cents=np.array([one.minimum_spend_cents for one in offers], np.float32),
        occasion_cents=occasion,
        width=width.astype(np.float32),
        rate=rate.astype(np.float32),
        percent=np.array([one.kind is OfferKind.PERCENT_OFF for one in offers], bool),
        other_kind=np.array([one.kind not in (OfferKind.PERCENT_OFF, OfferKind.AMOUNT_OFF) for one in offers], bool),
        setting=replace(setting, window_days=np.clip(setting.window_days, 1.0, MOST_WINDOW_DAYS)),
    )


def face_cents(offer: Offer, occasion_cents: float) -> float:
    """Return what a redemption is expected to take off, given what a line usually costs."""
    spend = max(occasion_cents, float(offer.minimum_spend_cents))
    if offer.kind is OfferKind.PERCENT_OFF and offer.value is not None:
        worth = spend * offer.value / WHOLE_BASIS_POINTS
    elif offer.kind is OfferKind.FIXED_PRICE and offer.value is not None:
        worth = max(occasion_cents - offer.value, 0.0)
    else:
        worth = float(offer.value or offer.assumed_value_cents or 0)
    most = offer.maximum_discount_cents
    return worth if most is None else min(worth, float(most))


def near_of(group: RowVector, covers: sp.csc_matrix) -> Near:
    """Return what part of each group of items each offer covers."""
    groups = int(group.max(initial=0)) + 1
    member = sp.csr_matrix((np.ones(len(group), np.float32), (group, np.arange(len(group)))), (groups, len(group)))
    size = np.maximum(np.bincount(group, minlength=groups), 1)
    part = sp.diags((1.0 / size).astype(np.float32)) @ (member @ covers)
    return Near(group, part.tocsc())
