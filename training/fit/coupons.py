"""Fits all that a bundle holds of coupons, where there were sends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recommender.coupons.models import CouponModels
from recommender.errors import MemberwiseError
from training.fit.campaigns import fit_campaigns
from training.fit.incremental import Fitted, fit_profit
from training.fit.pairs import Pairs, read_pairs
from training.fit.response import FitOptions
from training.sends import CouponHistory, Wave, waves
from training.spending import Spending


@dataclass(frozen=True, slots=True)
class CouponFit:
    """What was fitted and on what, for the report."""

    models: CouponModels
    fitted: Fitted
    pairs: Pairs
    waves: tuple[Wave, ...]


def fit_coupons(spending: Spending, history: CouponHistory, contact_cents: float, seed: int) -> CouponFit | None:
    """Fit the models of coupons on all waves that have ended; None where none has.

    Raises: MemberwiseError only for our own mistakes: what the history lacks makes a model `assumed`, or none.
    """
    found = waves(history, len(spending.members))
    found = [wave for wave in found if wave.given.any()]
    if not found:
        return None
    pairs = read_pairs(spending, history, found, seed)
    if not pairs.given.any():
        return None
    options = FitOptions(seed)
    fitted = fit_profit(pairs, contact_cents, options)
    campaign = fit_campaigns(spending, history, found, pairs, fitted.redeems, options)
    models = CouponModels(fitted.model, campaign, history.kinds, _usual_window(found))
    _check(models)
    return CouponFit(models, fitted, pairs, tuple(found))


def _usual_window(found: Sequence[Wave]) -> float:
    return float(np.median([wave.window_days for wave in found]))


def _check(models: CouponModels) -> None:
    """Fail on the spot if a fit produced what is no number."""
    arrays, _, _ = models.parts()
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise MemberwiseError("A model of coupons holds what is no number.", field=name)
