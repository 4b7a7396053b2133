"""What each decision on an offer is called, in English and Chinese: for those who answer customers and auditors."""

from __future__ import annotations

from recommender.coupons.decisions import Decision
from recommender.coupons.refusal_texts import SENTENCES
from recommender.coupons.refusals import Refusal

TEXTS: dict[Decision, tuple[str, str]] = {
    Decision.BEST_WORTH: (
        "Given: of all offers it is expected to earn most with this member.",
        "已给予：在所有活动中，预计对该会员的增量收益最高。",
    ),
    Decision.DRAWN: ("Given by lot, to learn from.", "已给予：随机抽取，用于学习效果。"),
    Decision.KIND: ("Accounts of this kind get no offers.", "此类账户不参与优惠活动。"),
    Decision.OPTED_OUT: (
        "The member declined personal offers, or is a minor without a guardian's consent; public offers remain.",
        "会员已关闭个性化，或为未获监护人同意的未成年人；仍可领取公开活动。",
    ),
    Decision.HELD_OUT: ("Held out of the campaign to measure its effect.", "属于对照组，用于衡量活动效果。"),
    Decision.MEMBER_LIMIT: ("Has as many coupons of this offer as allowed.", "该活动的领取数量已达上限。"),
    Decision.SEGMENT: ("The offer is for other membership levels.", "该活动面向其他会员等级。"),
    Decision.STORE: ("The offer is not valid in the member's store.", "该活动不适用于会员所属门店。"),
    Decision.POINTS: ("Not enough points.", "积分不足。"),
    Decision.NOT_SCORED: ("Nothing could be estimated.", "无法估计。"),
    Decision.NO_GAIN: (
        "Not expected to earn more with the offer than without it.",
        "预计给予该优惠不会带来额外收益。",
    ),
    Decision.LOST_THE_DRAW: ("Took part in a draw, and another ticket was drawn.", "参与了随机抽取，未抽中该活动。"),
    Decision.OTHER_OFFER: ("Another offer is worth more with this member.", "另一活动对该会员更合适。"),
    Decision.LOYALTY_FLOOR: (
        "New members are not given more per head than loyal ones.",
        "新会员人均优惠不得高于老会员。",
    ),
    Decision.OUTBID: (
        "Budget or stock goes to members with whom it is expected to earn more.",
        "预算或库存有限，已分配给预计收益更高的会员。",
    ),
    Decision.SOLD_OUT: (
        "What the offer is for is sold out in every store that the member can reach.",
        "该活动的商品在会员可到的门店均已售罄。",
    ),
    Decision.CHANNEL: (
        "The offer is for channels of which the member reaches no store.",
        "该活动所限渠道不在会员可购买的范围内。",
    ),
}
_LANGUAGES = ("en", "zh")


def decision_text(code: Decision | Refusal, language: str) -> str:
    """Return what to say about a decision, or about a refusal of the wallet; `language`: "zh", else English."""
    place = _LANGUAGES.index("zh" if language == "zh" else "en")
    return TEXTS[code][place] if isinstance(code, Decision) else SENTENCES[code][place]
