"""What each figure across channels is called and means, in English and Chinese."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from recommender.campaigns.report_texts import Document, Figure, Text

WINDOW_DAYS, RETURN_DAYS = 7, 28
REPURCHASE_DAYS = (30, 60, 90)
COHORT_MONTHS = 6


class GroupBy(StrEnum):
    """By what figures across channels are told apart; ALL: by nothing."""

    ALL = "all"
    STORE = "store"
    REGION = "region"
    CHANNEL = "channel"


def _figure(en: str, zh: str, meaning_en: str, meaning_zh: str) -> Figure:
    return Figure(Text(en, zh), Text(meaning_en, meaning_zh))


DEFINITIONS: Mapping[str, Figure] = {
    "sales": _figure(
        "Sales",
        "销售额",
        "What was paid in the period, after discounts and without what was given back; of: different orders.",
        "期间内实付金额：扣除优惠，不含退货；of 为订单数。",
    ),
    "known_sales": _figure(
        "Sales to known customers",
        "已识别客户销售额占比",
        "Share of sales to customers who can be told apart; employees and test members are not among them.",
        "可识别客户的销售额占总销售额的比例；员工与测试会员不计入。",
    ),
    "customers": _figure(
        "Customers", "客户数", "Known customers who bought in the period.", "期间内有购买的已识别客户数。"
    ),
    "online_sales": _figure(
        "Online share of sales", "线上销售占比", "Share of sales in online channels.", "线上渠道销售额占比。"
    ),
    "omnichannel_customers": _figure(
        "Omnichannel customers",
        "全渠道客户占比",
        "Share of known customers who bought both online and in a shop in the period, anywhere.",
        "期间内既在线上又在门店购买的已识别客户占比（不限门店）。",
    ),
    "omnichannel_sales": _figure(
        "Omnichannel share of sales",
        "全渠道客户销售占比",
        "Share of sales to known customers that went to omnichannel customers.",
        "全渠道客户的销售额占已识别客户销售额的比例。",
    ),
    "browse_to_store": _figure(
        "Browsed online, bought in a shop",
        "线上浏览、门店购买",
        f"Share of known customers who looked at an item online in the period and bought that item in a shop within"
        f" {WINDOW_DAYS} days, in the period. It says what follows, not what causes what.",
        f"期间内线上浏览过商品的已识别客户中，{WINDOW_DAYS} 天内在门店购买同一商品的比例。仅为先后关系，并非因果。",
    ),
    "browsed_store_sales": _figure(
        "Shop sales browsed online before",
        "先浏览后到店的门店销售占比",
        f"Share of shop sales of items that the same customer had looked at online within {WINDOW_DAYS} days before.",
        f"门店销售中，同一客户此前 {WINDOW_DAYS} 天内在线上浏览过该商品的金额占比。",
    ),
    "store_to_online": _figure(
        "Bought in a shop, came back for an online promotion",
        "门店购买后参与线上促销",
        f"Share of known customers who bought in a shop in the period and, within {RETURN_DAYS} days and in the period,"
        " bought something online with a discount or a coupon.",
        f"期间内在门店购买的已识别客户中，{RETURN_DAYS} 天内（且在期间内）又在线上以优惠或券购买的比例。",
    ),
    "repurchase": _figure(
        "Repurchase",
        "复购率",
        "Share of known customers of the period with two orders or more in it.",
        "期间内有购买的已识别客户中，下单两次及以上的比例。",
    ),
    "retention": _figure(
        "Retention",
        "留存率",
        "Share of known customers of the period before, which is as long, who bought again in this one.",
        "上一等长期间有购买的已识别客户中，本期再次购买的比例。",
    ),
    "redemption": _figure(
        "Redemption",
        "核销率",
        "Share of this wallet's coupons issued in the period that are redeemed by now. It is not told by store, region"
        " or channel, since a coupon is issued in none.",
        "期间内本系统发放的券中，截至目前已核销的比例。券发放时不属于任何门店、区域或渠道，因此不分组。",
    ),
    "discounts": _figure(
        "Discounts redeemed",
        "核销优惠额",
        "Cents of discount redeemed in the period, here and in other systems; of: redemptions. The wallet notes"
        " the store,"
        " not the channel.",
        "期间内核销的优惠金额（含其他系统）；of 为核销次数。券包记录门店，不记录渠道。",
    ),
    "attributed_sales": _figure(
        "Attributed sales",
        "归因销售额",
        "Sales that named the recommendation they came from, of slates shown in the period, by the store and channel of"
        " the slate. Many would have been bought anyway.",
        "期间内展示的推荐所直接带来的销售额（事件中注明推荐编号），按推荐的门店和渠道。其中许多本来也会购买。",
    ),
    "assisted_sales": _figure(
        "Assisted sales",
        "助攻销售额",
        "Sales in shops of items shown to the same customer before, that named no recommendation.",
        "同一客户此前看过推荐、随后在门店购买但未注明推荐编号的销售额。",
    ),
    "incremental_sales": _figure(
        "Incremental sales",
        "增量销售额",
        "What the campaigns whose windows ended in the period added, by their control groups (CUPED, intention"
        " to treat),"
        " with the 95 % interval of the sum; of: campaigns. Not told by store, region or channel.",
        "窗口在期间内结束的各活动相对对照组带来的销售增量（CUPED，意向性分析）之和及 95 % 区间；of 为活动数。不分组。",
    ),
    "nps": _figure(
        "NPS",
        "净推荐值",
        "Share of survey answers of 9 or 10 less the share of 0 to 6, times 100; of: answers (events of the kind"
        " survey)."
        " Absent where there are none.",
        "问卷（survey 事件）中 9–10 分占比减 0–6 分占比，乘以 100；of 为答卷数。无答卷时为空。",
    ),
    "fulfilment_cost": _figure(
        "Fulfilment cost per order",
        "单均履约成本",
        "Mean cents over orders that carry `attributes.fulfilment_cost_cents` (of the lines of an order the"
        " largest counts);"
        " of: such orders. Absent where none does.",
        "带有 attributes.fulfilment_cost_cents 的订单的平均履约成本（分；同一订单取各行最大值）；of"
        " 为此类订单数。无则为空。",
    ),
    "sold_out_avoided": _figure(
        "Sold-out items kept out",
        "避免展示缺货商品",
        "Share of slates of known customers from which at least one sold-out candidate was taken before the"
        " slate was cut;"
        " of: slates.",
        "已识别客户的推荐中，截断前至少剔除了一个缺货候选商品的比例；of 为推荐次数。",
    ),
    "cohorts": _figure(
        "Cohorts",
        "客户群组",
        "Known customers by the local month of their first purchase on record, where it lies in the period; the"
        " share with"
        " another order within 30, 60 and 90 days of it, and with a purchase in each month after. Absent where"
        " that time"
        " is not over for all of them.",
        "按首次购买的当地月份分组（首购在期间内）：30、60、90 天内再次下单的比例，以及其后各月有购买的比例。"
        "时间未满则为空。",
    ),
}

NOTES: Mapping[str, Text] = {
    "no_survey": Text("There are no survey answers in the period.", "期间内没有问卷答卷。"),
    "no_fulfilment": Text("No order of the period carries its fulfilment cost.", "期间内没有订单带有履约成本。"),
    "no_campaign": Text(
        "No campaign's window ended in the period: nothing can be said of increments.",
        "期间内没有活动窗口结束：无法给出增量。",
    ),
    "no_channel": Text("Redemptions in the wallet note no channel.", "券包核销不记录渠道。"),
}


def kpi_definitions(language: str) -> Document:
    """Return what each figure means, by name."""
    return {name: figure.meaning.of(language) for name, figure in DEFINITIONS.items()}
