"""What each refusal is called: one sentence that a cashier can read out, in English and Chinese."""

from __future__ import annotations

from recommender.coupons.discount import Refused
from recommender.coupons.refusals import Refusal

SENTENCES: dict[Refusal, tuple[str, str]] = {
    Refusal.NOT_STARTED: ("This coupon cannot be used yet.", "这张券还没有到使用时间。"),
    Refusal.ENDED: ("This offer has ended.", "这个活动已经结束。"),
    Refusal.WRONG_STORE: ("This coupon is not valid in this store.", "这张券不能在本店使用。"),
    Refusal.WRONG_CHANNEL: ("This coupon cannot be used in this channel.", "这张券不能在此渠道使用。"),
    Refusal.WRONG_FULFILMENT: (
        "This coupon is not valid for this way of receiving the order.",
        "这张券不适用于当前的取货或配送方式。",
    ),
    Refusal.NOT_IN_SEGMENT: ("This coupon is for other membership levels.", "这张券不适用于您的会员等级。"),
    Refusal.NOT_ENOUGH_POINTS: ("There are not enough points for this coupon.", "积分不足，不能使用这张券。"),
    Refusal.NOTHING_IN_SCOPE: (
        "Nothing in this purchase is covered by the coupon.",
        "本次购买的商品不在券的使用范围内。",
    ),
    Refusal.RESTRICTED_GOODS_ONLY: (
        "The goods covered by the coupon may not be discounted by law or by house rules.",
        "券范围内的商品按规定不能参加优惠。",
    ),
    Refusal.BELOW_MINIMUM_SPEND: ("The minimum spend of this coupon is not reached.", "未达到这张券的最低消费金额。"),
    Refusal.NOTHING_TO_TAKE_OFF: ("There is nothing left for this coupon to take off.", "没有可以再优惠的金额。"),
    Refusal.EXCLUSIVE_GROUP: (
        "This coupon cannot be combined with another one that is applied.",
        "这张券不能与已使用的券叠加。",
    ),
    Refusal.VALUE_UNKNOWN: ("The value of this coupon is not known.", "这张券的面额不明，暂不能使用。"),
    Refusal.OUTSIDE_RANGE: (
        "The value of this coupon lies outside the published range.",
        "这张券的面额超出公示范围。",
    ),
    Refusal.OUT_OF_STOCK: ("All coupons of this offer are gone.", "这个活动的券已经领完。"),
    Refusal.MEMBER_LIMIT: (
        "You already have all the coupons of this offer that one member may have.",
        "您已达到每人可领数量。",
    ),
    Refusal.HOUSEHOLD_LIMIT: (
        "Your household already has all the coupons of this offer that it may have.",
        "您的家庭已达到该活动可领数量。",
    ),
    Refusal.DEVICE_LIMIT: ("Too many coupons were claimed on this device.", "这台设备领取的券过多。"),
    Refusal.PAYER_LIMIT: ("Too many coupons were claimed by this payment account.", "这个付款账户领取的券过多。"),
    Refusal.PHONE_LIMIT: ("Too many coupons were claimed with this phone number.", "这个手机号领取的券过多。"),
    Refusal.BUDGET_SPENT: ("The budget of this offer is used up.", "这个活动的预算已经用完。"),
    Refusal.UNKNOWN_OFFER: ("This offer does not exist.", "没有这个活动。"),
    Refusal.OFFER_UNUSABLE: (
        "This offer is not set up correctly; please tell the office.",
        "这个活动设置有误，请联系总部。",
    ),
    Refusal.EXTERNAL_WALLET: ("This coupon is kept by another system.", "这张券由其他系统管理。"),
    Refusal.OFFER_FROZEN: ("This offer is suspended for a check.", "这个活动正在核查，暂停使用。"),
    Refusal.APPROVAL_MISSING: ("This offer is waiting for a second approval.", "这个活动还在等待第二人审批。"),
    Refusal.UNKNOWN_MEMBER: ("This member is not known.", "没有找到这位会员。"),
    Refusal.MEMBER_NOT_ELIGIBLE: ("This account cannot use coupons.", "这个账户不能使用优惠券。"),
    Refusal.WRONG_MEMBER: ("This coupon belongs to another member.", "这张券属于其他会员。"),
    Refusal.HELD_OUT: ("This offer is not available to this member.", "这个活动不面向这位会员。"),
    Refusal.RISK_REFUSED: (
        "This coupon could not be accepted; please contact customer service.",
        "这张券暂不能使用，请联系客服。",
    ),
    Refusal.UNKNOWN_CAMPAIGN: ("The campaign of this coupon does not exist.", "没有这张券对应的营销活动。"),
    Refusal.NOT_IN_AUDIENCE: ("This campaign is not for this member.", "该会员不在此营销活动的目标人群内。"),
    Refusal.CAMPAIGN_NOT_RUNNING: ("The campaign of this coupon is not running.", "这张券对应的营销活动未在进行。"),
    Refusal.UNKNOWN_COUPON: ("This coupon does not exist.", "没有找到这张券。"),
    Refusal.UNKNOWN_CODE: ("This code is not valid; please show a new one.", "券码无效，请重新出示。"),
    Refusal.CODE_EXPIRED: ("This code has run out; please show a new one.", "券码已过期，请刷新后重新出示。"),
    Refusal.NAMED_TWICE: ("This coupon was scanned twice.", "这张券被重复扫描。"),
    Refusal.COUPON_LOCKED: ("This coupon is in use in another order.", "这张券正在另一笔订单中使用。"),
    Refusal.COUPON_REDEEMED: ("This coupon was used already.", "这张券已经使用过。"),
    Refusal.COUPON_EXPIRED: ("This coupon has expired.", "这张券已过期。"),
    Refusal.COUPON_VOIDED: ("This coupon was withdrawn.", "这张券已作废。"),
    Refusal.NOT_LOCKED: ("This coupon is not reserved for this order.", "这张券没有为本订单锁定。"),
    Refusal.NOT_REDEEMED: ("This coupon was not used in this order.", "这张券没有在本订单中使用。"),
    Refusal.ROLLED_BACK: ("This request was rolled back.", "这次请求已被撤销。"),
}

_SHORT_BY = {
    Refusal.BELOW_MINIMUM_SPEND: ("{amount} more is needed to use this coupon.", "再消费 {amount} 元即可使用这张券。"),
    Refusal.NOT_ENOUGH_POINTS: (
        "{points} more points are needed for this coupon.",
        "还差 {points} 积分才能使用这张券。",
    ),
}
_LANGUAGES = ("en", "zh")


def sentence(refused: Refused, language: str) -> str:
    """Return what to say about a refusal; `language`: "zh", else English."""
    place = _LANGUAGES.index("zh" if language == "zh" else "en")
    if refused.short_by is not None and refused.reason in _SHORT_BY:
        amount = f"{refused.short_by // 100}.{refused.short_by % 100:02d}"
        return _SHORT_BY[refused.reason][place].format(amount=amount, points=refused.short_by)
    return SENTENCES[refused.reason][place]
