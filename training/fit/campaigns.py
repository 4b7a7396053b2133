"""The chance that a member redeems anything of a campaign that sends all its offers at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recommender.coupons.features import FEATURES
from recommender.coupons.order_lines import Goods
from recommender.coupons.response import ResponseModel
from recommender.coupons.terms import Setting, make_terms
from training.fit.pairs import CELLS_AT_ONCE, Pairs, Snapshot
from training.fit.response import FitOptions, fit_response
from training.sends import Campaign, CouponHistory, Wave
from training.spending import Spending

FloatVector = npt.NDArray[np.float64]
FloatMatrix = npt.NDArray[np.float32]
RowVector = npt.NDArray[np.int32]

LEAST_SENDS = 50
PENALTY = 100.0
"""L2 weight, in rows: campaigns are few, and differ in more than features say. Trees rank new campaigns worse."""
OF_SINGLE_OFFERS = (
    "face",
    "strength",
    "minimum",
    "popularity",
    "percent",
    "other_kind",
    "strength_saved",
    "strength_chance",
    "strength_rate",
    "strength_spread",
)
"""Features that mean nothing of a campaign as a whole."""


def fit_campaigns(
    spending: Spending,
    history: CouponHistory,
    found: Sequence[Wave],
    pairs: Pairs,
    chance: FloatVector,
    options: FitOptions,
) -> ResponseModel | None:
    """Fit on the waves whose sends named no offer; None if there are too few.

    Args:
        pairs: of all waves.
        chance: float64, (len(pairs),), of redemption, by models that have not seen the member.
    """
    parts, labels, members = [], [], []
    goods = spending.catalogue.goods()
    for number, wave in enumerate(found):
        if not wave.listed:
            continue
        mine = np.flatnonzero((pairs.wave == number) & pairs.given)
        rows, at = np.unique(pairs.member_row[mine], return_inverse=True)
        scene = campaign_scene(spending, history, wave.campaign, wave.starts, wave.window_days, goods)
        parts.append(campaign_features(scene, rows, at, chance[mine]))
        labels.append(np.bincount(at, pairs.redeemed[mine], len(rows)) > 0)
        members.append(rows.astype(np.int64))
    if sum(map(len, labels)) < LEAST_SENDS:
        return None
    own = FitOptions(options.seed, penalty=PENALTY, trees=False)
    model, _ = fit_response(np.concatenate(parts), np.concatenate(labels), np.concatenate(members), own)
    return model


def campaign_scene(
    spending: Spending, history: CouponHistory, campaign: Campaign, minute: int, window_days: float, goods: Goods
) -> Snapshot:
    """Describe all goods of a campaign as if one offer were for them."""
    before = spending.purchases.minute < minute
    purchases = spending.purchases.where(before)
    rows = np.array(campaign.offer_rows, np.int32)
    union = (history.shelf.covers[:, rows].sum(axis=1) > 0).astype(np.float32)
    size = np.array([len(rows)], np.float32)
    kind = np.array([history.kind(campaign)], np.int32)
    setting = Setting(np.array([window_days], np.float32), size, kind)
    offer = history.shelf.offers[int(rows[0])]
    terms = make_terms([offer], sp.csc_matrix(union), goods, purchases, minute, setting)
    nothing = np.zeros(1, np.float32)
    return Snapshot(purchases, terms, history.past(len(spending.members), minute), minute, nothing, nothing)


def campaign_features(
    scene: Snapshot, rows: RowVector, at: npt.NDArray[np.integer], chance: FloatVector
) -> FloatMatrix:
    """Return the features of members and a campaign, float32, (n, len(FEATURES) + len(CAMPAIGN_FEATURES)).

    Args:
        scene: from campaign_scene.
        rows: int32, (n,), rising, distinct.
        at: int64, (m,), position among `rows` of each chance.
        chance: float64, (m,), of redeeming single offers of the campaign.
    """
    step = max(1, CELLS_AT_ONCE)
    flat = np.concatenate(
        [scene.features_of(rows[start : start + step])[:, 0] for start in range(0, max(len(rows), 1), step)]
    )
    flat[:, [FEATURES.index(name) for name in OF_SINGLE_OFFERS]] = 0.0
    best = np.full(len(rows), 1e-6)
    np.maximum.at(best, at, chance)
    expected = np.bincount(at, chance, len(rows)) + 1e-6
    inside = np.clip(best, 1e-6, 1 - 1e-6)
    more = np.stack((np.log(inside / (1 - inside)), np.log(expected)), axis=1)
    return np.concatenate((flat, more.astype(np.float32)), axis=1)
