"""What the page of a plan says, in English and Chinese."""

from __future__ import annotations

from collections.abc import Mapping

TEXTS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "title": "Plan of the campaign",
        "waiting": "The plan is being made",
        "failed": "No plan could be made",
        "budget": "Budget for discounts",
        "no_budget": "no limit",
        "granted": "The plan grants at most",
        "cost": "Expected to be paid by the retailer",
        "contact": "Cost of messages",
        "profit": "Extra profit",
        "range": "With 95 % confidence between {low} and {high}; most likely {mean}.",
        "one_more": "One more 1,000.00 of budget would earn {more} more.",
        "reach": "Members who get an offer",
        "control": "Members kept back for comparison, who would have got one",
        "audience": "Members in the audience",
        "smallest": "The smallest extra profit the report will be able to tell from chance",
        "cannot_tell": "The report will not be able to tell the effect from chance.",
        "warnings": "Before you go on",
        "left_out": "Left out of some or all offers",
        "offers": "Offers",
        "offer": "Offer",
        "members": "Members",
        "details": "Details",
        "bound": "No plan can earn more than",
        "gap": "Share of that bound the plan does not reach",
        "price": "Shadow price: one more cent of budget earns",
        "explorers": "Members for whom lots were drawn",
        "propensity": "Chance of a household to be treated",
        "bundle": "Bundle",
        "curve": "Profit by budget",
    },
    "zh": {
        "title": "活动方案",
        "waiting": "方案正在计算",
        "failed": "无法生成方案",
        "budget": "优惠预算",
        "no_budget": "不限",
        "granted": "方案最多发放优惠",
        "cost": "预计商家承担",
        "contact": "消息费用",
        "profit": "增量利润",
        "range": "95%置信区间：{low} 至 {high}；最可能 {mean}。",
        "one_more": "预算每增加 1,000.00，可多赚 {more}。",
        "reach": "获得优惠的会员",
        "control": "留作对照的会员（本应获得优惠）",
        "audience": "目标会员",
        "smallest": "报告能够与偶然波动区分的最小增量利润",
        "cannot_tell": "报告将无法把效果与偶然波动区分开。",
        "warnings": "请先留意",
        "left_out": "未获得部分或全部优惠的会员",
        "offers": "优惠",
        "offer": "优惠",
        "members": "会员数",
        "details": "详细数据",
        "bound": "任何方案的利润都不会超过",
        "gap": "方案与该上限的差距",
        "price": "影子价格：预算每增加一分可多赚",
        "explorers": "随机分配的会员",
        "propensity": "家庭被分入实验组的概率",
        "bundle": "模型",
        "curve": "不同预算下的利润",
    },
}
_REASONS: Mapping[str, tuple[str, str]] = {
    "kind": ("Not an ordinary customer, such as staff", "非普通顾客（如员工）"),
    "opted_out": ("Opted out of personal offers", "已关闭个性化推荐"),
    "held_out": ("Kept back by another campaign", "属于其他活动的对照组"),
    "member_limit": ("Has had the offer as often as allowed", "已达到每人领取上限"),
    "segment": ("Not in the offer's segment", "不在优惠的适用人群"),
    "store": ("Shops in other stores", "常去门店不适用"),
    "points": ("Not enough points", "积分不足"),
    "erased": ("Erased", "已注销"),
    "no_consent": ("Did not agree to messages", "未同意接收消息"),
    "capped": ("Had enough messages", "消息次数已达上限"),
    "no_history": ("Nothing is known of them yet", "暂无购买记录"),
}
_WARNINGS: Mapping[str, tuple[str, str]] = {
    "only_whom_the_event_meets_gets_an_offer": (
        "These figures are of everybody; only members whom the event meets get an offer, within the budget.",
        "以上为全体会员的数字；只有触发事件的会员才会在预算内获得优惠。",
    ),
    "nobody_gets_an_offer": (
        "Nobody gets an offer: none is expected to earn more than it costs.",
        "没有会员获得优惠：预计收益均低于成本。",
    ),
    "some_offers_cannot_be_given": ("Some offers cannot be given; see the plan.", "部分优惠无法发放，详见方案。"),
    "an_offer_ends_before_the_campaign": ("An offer ends before the campaign does.", "有优惠在活动结束前到期。"),
    "profits_are_assumed": (
        "Profits are assumed: no past sends of such offers were randomised.",
        "利润为假设值：以往没有随机发放过此类优惠。",
    ),
    "the_effect_cannot_be_measured": (
        "Without members kept back the effect cannot be measured.",
        "没有对照组，无法衡量效果。",
    ),
    "the_expected_effect_is_too_small_to_be_told_from_chance": (
        "The expected effect is too small to be told from chance: pool campaigns, measure longer or keep more back.",
        "预期效果太小，难以与偶然波动区分：可合并活动、延长观察期或扩大对照组。",
    ),
    "the_smallest_effect_is_unknown": (
        "These members bought nothing lately: how large an effect must be to be told from chance is unknown.",
        "这些会员近期没有购买记录，无法判断多大的效果才能与偶然波动区分。",
    ),
    "the_campaign_starts_long_after_the_plan": (
        "The campaign starts long after this plan; plan again closer to it.",
        "活动开始时间较晚，请临近时重新生成方案。",
    ),
}


def reason_text(code: str, language: str) -> str:
    """Say why members are left out; the code itself if it is not known here."""
    return _said(_REASONS, code, language)


def warning_text(code: str, language: str) -> str:
    """Say what a marketer should know; the code itself if it is not known here."""
    return _said(_WARNINGS, code, language)


def _said(texts: Mapping[str, tuple[str, str]], code: str, language: str) -> str:
    english, chinese = texts.get(code, (code, code))
    return chinese if language == "zh" else english
