"""The rules of the wallet, from the service's settings."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from datetime import timedelta

from api.settings import ServiceSettings
from recommender.coupons.fairness import FairnessRules
from recommender.coupons.wallet import RiskQuestion, WalletRules
from recommender.errors import SettingsError


def wallet_rules(settings: ServiceSettings) -> WalletRules:
    """Return what holds for all coupons. Raises: SettingsError if the risk hook cannot be had."""
    hook = settings.coupon_risk_hook
    return WalletRules(
        lock=timedelta(seconds=settings.coupon_lock_seconds),
        code=timedelta(seconds=settings.coupon_code_seconds),
        claim_limit=settings.coupon_claim_limit,
        breaker_redemptions=settings.coupon_breaker_redemptions,
        breaker_share=settings.coupon_breaker_share,
        risk=_risk_hook(hook) if hook else WalletRules().risk,
        fairness=FairnessRules.of(settings),
        household_limits=settings.coupon_household_limits,
        offline_limit=settings.coupon_offline_limit,
        zone=settings.zone,
    )


def _risk_hook(place: str) -> Callable[[RiskQuestion], bool]:
    module, _, name = place.partition(":")
    try:
        hook: Callable[[RiskQuestion], bool] = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise SettingsError(
            f"The risk hook cannot be loaded: {error}.",
            field="MEMBERWISE_COUPON_RISK_HOOK",
            value=place,
            accepted="module:function",
        ) from error
    return hook
