"""Refusal: every reason why a coupon is not given or not taken; the words of each are in refusal_texts.py."""

from __future__ import annotations

from enum import StrEnum


class Refusal(StrEnum):
    """Why an offer or a coupon does not apply."""

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
    OUT_OF_STOCK = "out_of_stock"
    MEMBER_LIMIT = "member_limit"
