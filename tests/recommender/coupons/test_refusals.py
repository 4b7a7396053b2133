from __future__ import annotations

from recommender.coupons.discount import Refused
from recommender.coupons.refusal_texts import SENTENCES, sentence
from recommender.coupons.refusals import Refusal


def test_every_reason_has_a_sentence_in_both_languages() -> None:
    assert set(SENTENCES) == set(Refusal)
    for english, chinese in SENTENCES.values():
        assert english.endswith(".")
        assert chinese.endswith("。")


def test_what_is_missing_is_told() -> None:
    assert sentence(Refused(Refusal.BELOW_MINIMUM_SPEND, 1205), "en") == "12.05 more is needed to use this coupon."
    assert sentence(Refused(Refusal.NOT_ENOUGH_POINTS, 30), "zh") == "还差 30 积分才能使用这张券。"
    assert sentence(Refused(Refusal.COUPON_REDEEMED), "zh") == "这张券已经使用过。"
    assert sentence(Refused(Refusal.COUPON_REDEEMED), "fr") == "This coupon was used already."
