"""The chance that a member redeems anything of a campaign that sends all its offers at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recommender.coupons.features import FEATURES
from recommender.coupons.order_lines import Goods
from recommender.coupons.response import ResponseModel
from recommender.coupons.terms import Setting, make_terms
from training.fit.pairs import CELLS_AT_ONCE, Pairs, Snapshot
from training.fit.regression import expit, log_odds
from training.fit.response import FitOptions, fit_response
from training.sends import Campaign, CouponHistory, Wave
from training.spending import Spending

FloatVector = npt.NDArray[np.float64]
FloatMatrix = npt.NDArray[np.float32]
RowVector = npt.NDArray[np.int32]

LEAST_SENDS = 50
PENALTY = 100.0
"""L2 weight, in rows: campaigns are few, and differ in more than features say. Trees rank new campaigns worse."""
LEAST_BEFORE = 15
"""Redemptions before a wave from which on it is foretold from what came before it."""
WAVE_SPREAD, DRIFT_SPREAD = 0.3, 0.5
"""Log-odds by which waves are taken to differ from each other, and from what was foretold on the whole."""
NEWTON_STEPS = 30
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
    parts: list[_Sent] = []
    goods = spending.catalogue.goods()
    for number, wave in enumerate(found):
        if not wave.listed:
            continue
        mine = np.flatnonzero((pairs.wave == number) & pairs.given)
        rows, at = np.unique(pairs.member_row[mine], return_inverse=True)
        scene = campaign_scene(spending, history, wave.campaign, wave.starts, wave.window_days, goods)
        parts.append(
            _Sent(
                wave.starts,
                campaign_features(scene, rows, at, chance[mine]),
                np.bincount(at, pairs.redeemed[mine], len(rows)) > 0,
                rows.astype(np.int64),
            )
        )
    if sum(len(part.redeemed) for part in parts) < LEAST_SENDS:
        return None
    own = FitOptions(options.seed, penalty=PENALTY, trees=False)
    model = _fit(parts, own)
    return replace(model, shift=model.shift + drift(parts, own))


@dataclass(frozen=True, slots=True)
class _Sent:
    """One wave: when it started, and of its members the features, whether they redeemed anything, and who they are."""

    starts: int
    features: FloatMatrix
    redeemed: npt.NDArray[np.bool_]
    member: npt.NDArray[np.int64]


def _fit(parts: Sequence[_Sent], options: FitOptions) -> ResponseModel:
    features = np.concatenate([part.features for part in parts])
    redeemed = np.concatenate([part.redeemed for part in parts])
    model, _ = fit_response(features, redeemed, np.concatenate([part.member for part in parts]), options)
    return model


def drift(parts: Sequence[_Sent], options: FitOptions) -> float:
    """Return by how much, in log-odds, waves were redeemed more than the waves before them foretold.

    What is known of members grows with the history, and habits change: calibration within past waves sees neither. The
    mean over waves leans on none, by how sure each is and how much waves differ.
    """
    total = weight = 0.0
    for part in parts:
        before = [other for other in parts if other.starts < part.starts]
        if sum(int(other.redeemed.sum()) for other in before) < LEAST_BEFORE:
            continue
        odds = log_odds(_fit(before, options).chance(part.features))
        step, sureness = _step(odds, part.redeemed.astype(np.float64))
        precision = 1.0 / (1.0 / sureness + WAVE_SPREAD**2)
        total, weight = total + precision * step, weight + precision
    return total / (weight + DRIFT_SPREAD**-2)


def _step(odds: FloatVector, outcome: FloatVector) -> tuple[float, float]:
    """Return what to add to log-odds so that they fit what happened, and the sureness of it (Fisher information).

    Where nobody or everybody redeemed, one half of a case more of the other kind keeps it finite.
    """
    step, cases = 0.0, float(np.clip(outcome.sum(), 0.5, len(outcome) - 0.5))
    for _ in range(NEWTON_STEPS):
        chance = expit(odds + step)
        step += float(np.clip((cases - chance.sum()) / max(float((chance * (1 - chance)).sum()), 1e-9), -1.0, 1.0))
    chance = expit(odds + step)
    return step, max(float((chance * (1 - chance)).sum()), 1e-9)


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
