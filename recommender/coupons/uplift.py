"""ProfitModel: what giving an offer to a member changes, in cents of margin, with its uncertainty and its cost.

The profit is a sum of three parts, each learned by itself, because their sum drowns in noise: margin earned on what the
offer covers, margin on what else is bought on visits that it causes, and the cost of redemptions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recommender.bundle import Array
from recommender.coupons.features import FEATURES
from recommender.coupons.response import ResponseModel
from recommender.retrievers.base import Json, as_number

FloatVector = npt.NDArray[np.float64]
FloatMatrix = npt.NDArray[np.float64]

BOUND = 1.6449
"""Standard errors between an expected cost and its upper bound: 95 %, one-sided."""
_SAVED, _STRENGTH, _RATE = (FEATURES.index(name) for name in ("saved", "strength", "redeem_rate"))
_PERCENT, _OTHER = FEATURES.index("percent"), FEATURES.index("other_kind")
BASIS = (
    "redeems",
    "buys",
    "redeems_buys",
    "redeems_squared",
    "buys_squared",
    "redeems_saved",
    "redeems_strength",
    "buys_strength",
    "redeems_rate",
    "buys_rate",
    "one",
)


@dataclass(frozen=True, slots=True)
class Economics:
    """What money is in the offers of pairs; float64, (n,) each, or of one length that fits.

    face_cents: what a redemption takes off.  line_cents: margin of a purchase that the offer covers.
    rest_cents: margin of what else is usually bought with it.  own_share: part of the discount that the retailer pays.
    """

    face_cents: FloatVector
    line_cents: FloatVector
    rest_cents: FloatVector
    own_share: FloatVector


@dataclass(frozen=True, slots=True)
class PairScores:
    """Estimates for pairs of a member and an offer, float64, (n,) each; as in OfferScores."""

    profit_cents: FloatVector
    error_cents: FloatVector
    cost_cents: FloatVector
    cost_bound_cents: FloatVector
    redemption: FloatVector


@dataclass(frozen=True, slots=True)
class ProfitModel:
    """Incremental profit of a member and an offer.

    redeems: chance that a given offer is redeemed.  buys: chance to buy what it covers without it.
    coefficients, covariance: float64, (len(BASIS),) and its square: extra purchases, times the margin of one, on the
        basis of basis().
    level, level_variance: margin in scope that an extra purchase brings, in margins of a usual one.
    spill, spill_variance: margin outside the scope that it brings, in units of what is usually bought with it.
    cost_levels: float64, (3,), discounts really granted per discount expected, of amounts, percentages, other kinds.
    contact_cents: what reaching a member costs.
    assumed: not learned from randomised sends.
    """

    redeems: ResponseModel
    buys: ResponseModel
    coefficients: FloatVector
    covariance: FloatMatrix
    level: float
    level_variance: float
    spill: float
    spill_variance: float
    cost_levels: FloatVector
    contact_cents: float
    assumed: bool

    def scores(self, features: npt.NDArray[np.float32], money: Economics) -> PairScores:
        """Return the estimates of pairs.

        Args:
            features: float32, (n, len(FEATURES)), from features.pair_features.
            money: of the same pairs.
        """
        redeems, buys = self.redeems.chance(features), self.buys.chance(features)
        shape = basis(features, redeems, buys)
        # Who was given an offer cannot buy more often because of it than they redeem it.
        extra = np.clip(shape @ self.coefficients, -0.25 * redeems, redeems)
        variance = np.maximum(np.einsum("np,pq,nq->n", shape, self.covariance, shape, optimize=True), 0.0)
        gain = self.level * money.line_cents + self.spill * money.rest_cents
        doubt = self.level_variance * money.line_cents**2 + self.spill_variance * money.rest_cents**2
        cost = redeems * money.face_cents * self.cost_levels[kind_of(features)] * money.own_share
        error = np.sqrt(variance * gain**2 + doubt * extra**2 + (cost * self.redeems.doubt) ** 2)
        return PairScores(
            profit_cents=extra * gain - cost - self.contact_cents,
            error_cents=error,
            cost_cents=cost,
            cost_bound_cents=cost * (1 + BOUND * self.redeems.doubt),
            redemption=redeems,
        )

    def parts(self) -> tuple[dict[str, Array], dict[str, Json], dict[str, str]]:
        """Return arrays and texts by name, and a JSON description, from which from_parts() makes the same model."""
        arrays: dict[str, Array] = {name: getattr(self, name) for name in _ARRAYS}
        texts: dict[str, str] = {}
        described: dict[str, Json] = {name: float(getattr(self, name)) for name in _NUMBERS}
        described["assumed"] = self.assumed
        for name in ("redeems", "buys"):
            own, about, trees = getattr(self, name).parts()
            arrays |= {f"{name}.{key}": value for key, value in own.items()}
            described[name] = about
            texts[name] = trees
        return arrays, described, texts

    @classmethod
    def from_parts(
        cls, arrays: Mapping[str, Array], described: Mapping[str, Json], texts: Mapping[str, str]
    ) -> ProfitModel:
        """Make the model whose parts() these are."""
        redeems, buys = (
            ResponseModel.from_parts(_below(arrays, name), _table(described[name]), texts[name])
            for name in ("redeems", "buys")
        )
        own = {name: np.asarray(arrays[name], np.float64) for name in _ARRAYS}
        number = {name: as_number(described[name]) for name in _NUMBERS}
        return cls(
            redeems,
            buys,
            own["coefficients"],
            own["covariance"],
            number["level"],
            number["level_variance"],
            number["spill"],
            number["spill_variance"],
            own["cost_levels"],
            number["contact_cents"],
            bool(described["assumed"]),
        )


_NUMBERS = (
    "level",
    "level_variance",
    "spill",
    "spill_variance",
    "contact_cents",
)
_ARRAYS = ("coefficients", "covariance", "cost_levels")


def kind_of(features: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """Return the kind of each pair's offer, int64, (n,): 0 an amount, 1 a percentage, 2 another."""
    found: npt.NDArray[np.int64] = np.where(features[:, _PERCENT] > 0.5, 1, np.where(features[:, _OTHER] > 0.5, 2, 0))
    return found


def basis(features: npt.NDArray[np.float32], redeems: FloatVector, buys: FloatVector) -> FloatMatrix:
    """Return what extra purchases are made of, float64, (n, len(BASIS)).

    Redemptions are of two kinds: of those who would have bought anyway, and of those who would not. So extra purchases
    are, at first, the chance to redeem less a part of the chance to buy anyway; the other terms bend that.
    """
    saved, strength, rate = (features[:, at].astype(np.float64) for at in (_SAVED, _STRENGTH, _RATE))
    return np.stack(
        (
            redeems,
            buys,
            redeems * buys,
            redeems**2,
            buys**2,
            redeems * saved,
            redeems * strength,
            buys * strength,
            redeems * rate,
            buys * rate,
            np.ones(len(redeems)),
        ),
        axis=1,
    )


def _below(arrays: Mapping[str, Array], name: str) -> dict[str, Array]:
    return {key.removeprefix(f"{name}."): value for key, value in arrays.items() if key.startswith(f"{name}.")}


def _table(value: Json) -> Mapping[str, Json]:
    assert isinstance(value, Mapping)
    return value
