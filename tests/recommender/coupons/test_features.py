"""Features of members and offers, on purchases whose figures are known."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from recommender.coupons.features import FEATURES, MIDDLE_DAYS, pair_features
from recommender.coupons.offers import Offer, OfferKind
from recommender.coupons.order_lines import MINUTES_PER_DAY, CouponPast, Goods, Purchases
from recommender.coupons.terms import LONG_DAYS, Setting, face_cents, make_terms

DAY = MINUTES_PER_DAY
NOW = 400 * DAY


def purchases(*lines, members=3, items=4):
    """Lines (member, item, day, paid, saved, couponed), ordered."""
    member, item, day, paid, saved, couponed = np.array(sorted(lines), np.float64).reshape(-1, 6).T
    return Purchases(
        members,
        items,
        0,
        member.astype(np.int32),
        item.astype(np.int32),
        (day * DAY).astype(np.int32),
        paid.astype(np.float32),
        saved.astype(np.float32),
        couponed > 0,
    )


LINES = purchases((0, 0, 399, 300, 0, 0), (0, 1, 399, 100, 100, 1), (0, 0, 220, 300, 0, 0), (1, 3, 390, 50, 0, 0))
OFFERS = (
    Offer("a", OfferKind.AMOUNT_OFF, value=150),
    Offer("b", OfferKind.PERCENT_OFF, value=2000, minimum_spend_cents=1000),
)
COVERS = sp.csc_matrix(np.array([[1, 0], [1, 0], [0, 1], [0, 1]], np.float32))
GOODS = Goods(np.array([0, 0, 1, 1], np.int32), np.array([0, 1, 1, 1], np.int32))


def features(lines=LINES, past=None):
    terms = make_terms(OFFERS, COVERS, GOODS, lines, NOW, Setting.plain(2, 14.0))
    return pair_features(lines, past or CouponPast.nothing(lines.members), terms, NOW)


def column(found, name):
    return found[:, :, FEATURES.index(name)]


def test_affinity_counts_what_the_offer_covers_by_age():
    found = features()
    times = 2 * 2 ** (-1 / LONG_DAYS) + 2 ** (-180 / LONG_DAYS)
    assert column(found, "times_long")[0, 0] == pytest.approx(np.log1p(times), rel=1e-4)
    assert column(found, "times_long")[0, 1] == 0
    assert column(found, "ever").tolist() == [[1, 0], [0, 1], [0, 0]]
    assert column(found, "share_of_spend")[1].tolist() == [0, 1]


def test_who_bought_more_is_likelier_to_buy_without_an_offer():
    chance = column(features(), "chance")
    assert chance[0, 0] > chance[1, 0] == chance[2, 0] > 0


def test_what_lies_near_an_offer_counts_by_the_part_it_covers():
    brand = column(features(), "near_brand")
    assert brand[1, 0] == pytest.approx(np.log1p(2 ** (-10 / LONG_DAYS) / 3), rel=1e-4)


def test_members_are_described_once_for_all_offers():
    found = features(past=CouponPast(np.array([4, 0, 0], np.float32), np.array([2, 0, 0], np.float32), 0.1))
    assert column(found, "redeem_rate")[0].tolist() == pytest.approx([2.4 / 8, 2.4 / 8])
    assert column(found, "redeem_rate")[2].tolist() == pytest.approx([0.1, 0.1])
    assert column(found, "couponed")[0, 0] > 0 == column(found, "couponed")[1, 0]
    new, old = 2 ** (-1 / MIDDLE_DAYS), 2 ** (-180 / MIDDLE_DAYS)
    assert column(found, "saved")[0, 0] == pytest.approx(100 * new / (500 * new + 300 * old), rel=1e-4)


def test_some_members_are_described_as_among_all():
    whole = features()
    terms = make_terms(OFFERS, COVERS, GOODS, LINES, NOW, Setting.plain(2, 14.0))
    part = pair_features(LINES.of(1, 3), CouponPast.nothing(2), terms, NOW)
    taken = pair_features(LINES.take(np.array([1, 7], np.int32)), CouponPast.nothing(2), terms, NOW)
    assert np.array_equal(part, whole[1:])
    assert np.array_equal(taken[0], whole[1])
    assert np.array_equal(taken[1], whole[2])


@pytest.mark.parametrize(
    ("offer", "expected"),
    [
        (Offer("o", OfferKind.AMOUNT_OFF, value=150), 150),
        (Offer("o", OfferKind.PERCENT_OFF, value=2000), 80),
        (Offer("o", OfferKind.PERCENT_OFF, value=2000, minimum_spend_cents=1000), 200),
        (Offer("o", OfferKind.PERCENT_OFF, value=2000, minimum_spend_cents=1000, maximum_discount_cents=90), 90),
        (Offer("o", OfferKind.FIXED_PRICE, value=300), 100),
        (Offer("o", OfferKind.AMOUNT_OFF, assumed_value_cents=70), 70),
        (Offer("o", OfferKind.GIFT), 0),
    ],
)
def test_what_a_redemption_takes_off(offer, expected):
    assert face_cents(offer, 400.0) == expected


def test_without_any_purchase_everything_is_finite():
    nothing = purchases(members=2)
    assert np.isfinite(features(nothing)).all()
