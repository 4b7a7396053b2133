"""Refusal: every reason why a coupon is not given or not taken; the words of each are in refusal_texts.py."""

from __future__ import annotations

from enum import StrEnum


class Refusal(StrEnum):
    """Why an offer or a coupon does not apply, is not given, or is not taken."""

    # The offer and the basket.
    NOT_STARTED = "not_started"
    ENDED = "ended"
    WRONG_STORE = "wrong_store"
    WRONG_CHANNEL = "wrong_channel"
    WRONG_FULFILMENT = "wrong_fulfilment"
    NOT_IN_SEGMENT = "not_in_segment"
    NOT_ENOUGH_POINTS = "not_enough_points"
    NOTHING_IN_SCOPE = "nothing_in_scope"
    RESTRICTED_GOODS_ONLY = "restricted_goods_only"
    BELOW_MINIMUM_SPEND = "below_minimum_spend"
    NOTHING_TO_TAKE_OFF = "nothing_to_take_off"
    EXCLUSIVE_GROUP = "exclusive_group"
    VALUE_UNKNOWN = "value_unknown"
    OUTSIDE_RANGE = "outside_range"
    # What is left.
    OUT_OF_STOCK = "out_of_stock"
    MEMBER_LIMIT = "member_limit"
    HOUSEHOLD_LIMIT = "household_limit"
    DEVICE_LIMIT = "device_limit"
    PAYER_LIMIT = "payer_limit"
    PHONE_LIMIT = "phone_limit"
    BUDGET_SPENT = "budget_spent"
    # Who and what it is for.
    UNKNOWN_OFFER = "unknown_offer"
    OFFER_UNUSABLE = "offer_unusable"
    EXTERNAL_WALLET = "external_wallet"
    OFFER_FROZEN = "offer_frozen"
    APPROVAL_MISSING = "approval_missing"
    UNKNOWN_MEMBER = "unknown_member"
    MEMBER_NOT_ELIGIBLE = "member_not_eligible"
    WRONG_MEMBER = "wrong_member"
    HELD_OUT = "held_out"
    RISK_REFUSED = "risk_refused"
    UNKNOWN_CAMPAIGN = "unknown_campaign"
    CAMPAIGN_NOT_RUNNING = "campaign_not_running"
    NOT_IN_AUDIENCE = "not_in_audience"
    # The coupon.
    UNKNOWN_COUPON = "unknown_coupon"
    UNKNOWN_CODE = "unknown_code"
    CODE_EXPIRED = "code_expired"
    NAMED_TWICE = "named_twice"
    COUPON_LOCKED = "coupon_locked"
    COUPON_REDEEMED = "coupon_redeemed"
    COUPON_EXPIRED = "coupon_expired"
    COUPON_VOIDED = "coupon_voided"
    NOT_LOCKED = "not_locked"
    NOT_REDEEMED = "not_redeemed"
    ROLLED_BACK = "rolled_back"
