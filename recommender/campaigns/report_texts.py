"""What each figure of a campaign's report is called and means, in English and Chinese."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

Document = dict[str, object]

FIGURES = ("sales", "margin", "profit", "orders", "visits")
"""Outcomes that the groups are compared by; those of money are in cents."""
MONEY = frozenset({"sales", "margin", "profit"})
HEADLINE = "profit"
LANGUAGES = ("en", "zh")


class Segmentation(StrEnum):
    """What members are told apart by, known before the campaign."""

    HISTORY = "history"
    OFFER = "offer"
    TIER = "tier"
    CITY = "city"
    HOME_STORE = "home_store"


@dataclass(frozen=True, slots=True)
class Text:
    """One text in both languages."""

    en: str
    zh: str

    def of(self, language: str) -> str:
        """Return the text in a language; English where it is another one."""
        return self.zh if language == "zh" else self.en


@dataclass(frozen=True, slots=True)
class Figure:
    """What a figure is called and means."""

    name: Text
    meaning: Text


def _figure(en: str, zh: str, meaning_en: str, meaning_zh: str) -> Figure:
    return Figure(Text(en, zh), Text(meaning_en, meaning_zh))


DEFINITIONS: Mapping[str, Figure] = {
    "sales": _figure(
        "Sales",
        "销售额",
        "What members paid for goods in the window, after all discounts and without what was given back.",
        "会员在统计窗口内实际支付的货款：扣除全部优惠，不含已退货部分。",
    ),
    "margin": _figure(
        "Margin",
        "毛利",
        "Sales less the cost of goods, with the discounts of this campaign's coupons added again, since they are"
        " counted as cost. Goods without a known cost: the assumed margin share.",
        "销售额减去商品成本，再加回本活动优惠券的优惠额（该优惠计入成本）。成本未知的商品按假定毛利率计算。",
    ),
    "profit": _figure(
        "Profit",
        "利润",
        "Margin less the campaign's cost: the share of discounts that no supplier pays, and what messages cost.",
        "毛利减去活动成本：供应商不承担的优惠部分，以及消息发送成本。",
    ),
    "planned": _figure(
        "As planned",
        "计划值",
        "What the plan expected before launch: profit with its range, and the discounts that you pay.",
        "上线前计划的预期：利润及其区间，以及自行承担的优惠额。",
    ),
    "orders": _figure("Orders", "订单数", "Different orders in the window.", "统计窗口内不同订单的数量。"),
    "visits": _figure(
        "Visits",
        "到访次数",
        "Local days on which something was bought, in any channel.",
        "发生购买的当地自然日数，不分渠道。",
    ),
    "per_member": _figure(
        "Effect per member",
        "人均增量",
        "Mean per member of the treated group less that of the control group, as the groups were drawn, whether the"
        " message arrived or not (intention to treat), with a 95 % interval in which the household is the unit. Units"
        " are weighted by 1 / the chance of their group. adjusted: CUPED with the same measure, the sales and the"
        " visits of the time before; raw: without.",
        "按最初随机分组，实验组人均值减对照组人均值，无论消息是否送达（意向性分析）；95 % 置信区间以家庭为单位，"
        "按入组概率的倒数加权。adjusted：以活动前的同一指标、销售额和到访次数作 CUPED 调整；raw：未调整。",
    ),
    "total": _figure(
        "Effect in total",
        "总增量",
        "The effect per member times the members of the treated group.",
        "人均增量乘以实验组会员数。",
    ),
    "relative": _figure(
        "Relative effect",
        "相对增量",
        "The effect per member as a share of the control group's mean.",
        "人均增量占对照组人均值的比例。",
    ),
    "winsorised": _figure(
        "Winsorised",
        "缩尾估计",
        "A second opinion, not the headline: units that bought more than the 99th percentile of buying units are cut to"
        " it. It is steadier, and leans towards too little.",
        "辅助参考，并非主要结论：把超过购买家庭第 99 百分位的数值截至该值后重算。结果更稳定，但倾向于低估。",
    ),
    "verdict": _figure(
        "Verdict",
        "结论",
        "rise or fall where the whole 95 % interval of the adjusted effect lies on one side of zero and the groups are"
        " of the sizes that were drawn; else undetermined: the data cannot say.",
        "调整后增量的 95 % 置信区间完全在零的一侧且分组比例正常时为 rise（上升）或 fall（下降）；否则为"
        " undetermined（无法判断）：数据不足以得出结论。",
    ),
    "sample_ratio": _figure(
        "Sample-ratio check",
        "样本比例检验",
        "Chance of groups of these sizes if they were drawn as planned (chi-square). Below 0.001 something is wrong"
        " with the groups, and nothing is concluded.",
        "若按计划随机分组，出现当前组别规模的概率（卡方检验）。低于 0.001 说明分组有误，不下任何结论。",
    ),
    "costs": _figure(
        "Cost",
        "活动成本",
        "Discounts of the campaign's coupons redeemed in the window, the share of them that no supplier pays, and"
        " messages sent times what one costs.",
        "统计窗口内核销的本活动优惠额、其中供应商不承担的部分，以及已发送消息数乘以单条成本。",
    ),
    "return_on_cost": _figure(
        "Return on cost (iROI)",
        "增量投资回报率（iROI）",
        "(Incremental margin - cost) / cost, both as differences between the groups; 0 is break-even. The 95 %"
        " interval is Fieller's; where that has no bounds, a bootstrap over units stands in, and `method` says so.",
        "（增量毛利 − 成本）÷ 成本，两者均为两组之差；0 为盈亏平衡。95 % 区间用 Fieller 法；若其无界，则改用按家庭"
        "重抽样的自助法，并在 method 中注明。",
    ),
    "bought_anyway": _figure(
        "Would have bought anyway",
        "本来就会购买",
        "Share of redeemers who would have bought what the offer covers without it: 1 - (share of the treated who"
        " bought it - share of the controls) / share of the treated who redeemed. An offer is taken to keep nobody"
        " from buying.",
        "核销会员中无券也会购买券适用商品的比例：1 −（实验组购买率 − 对照组购买率）÷ 实验组核销率。"
        "假定优惠券不会使任何人放弃购买。",
    ),
    "segments": _figure(
        "Effect by segment",
        "分群增量",
        "The adjusted effect on profit within segments known beforehand. The more segments are looked at, the more of"
        " them look real by chance: verdicts go by p-values that are corrected for their number (Holm).",
        "按活动前已知的分群分别计算利润的调整后增量。比较越多，偶然出现的“显著”越多：结论依据按比较次数校正后的 p 值"
        "（Holm 法）。",
    ),
    "detectable": _figure(
        "Smallest detectable effect",
        "最小可检出增量",
        "The smallest effect on sales that groups of this size and spread find with a chance of 80 %, and what it would"
        " be with another holdout, a longer window or several campaigns measured as one.",
        "以当前组别规模和波动，有 80 % 把握检出的最小销售额增量；以及扩大对照组、延长窗口或合并多次活动后的数值。",
    ),
    "funnel": _figure(
        "Messages",
        "触达漏斗",
        "Messages put into the outbox, and what became of them, with the reason of each loss. A withheld message is one"
        " that a member of a control group would have got. opened, clicked: messages that at least one event of the"
        " kinds push_open, push_click names.",
        "进入发件箱的消息及其去向，每种损失均列出原因。withheld 指对照组会员本应收到而未发送的消息。"
        "opened、clicked：至少有一个 push_open、push_click 事件指明的消息数。",
    ),
}

REASONS: Mapping[str, Text] = {
    "nobody_reached": Text("Nobody was reached yet.", "尚未触达任何会员。"),
    "too_few_units": Text("A group has fewer than two households.", "某一组不足两个家庭。"),
    "interval_holds_zero": Text("The interval holds zero: there may be no effect.", "置信区间包含零：可能没有效果。"),
    "sample_ratio": Text(
        "The groups are not of the sizes that were drawn: no figure is to be trusted.",
        "两组规模与随机分组不符：所有数字均不可信。",
    ),
    "global_control": Text(
        "The campaign kept nobody back itself: compared with the global holdout, the effect is that of all campaigns of"
        " the time together.",
        "本活动没有自己的对照组：与全局对照组比较，所得为同期全部活动的合计效果。",
    ),
    "window_open": Text(
        "The window has not ended for everybody: figures will change.", "统计窗口尚未全部结束：数字仍会变化。"
    ),
}

SEGMENT_NAMES: Mapping[str, Text] = {
    "none": Text("bought nothing before", "此前未购买"),
    "light": Text("light buyers before", "此前购买较少"),
    "heavy": Text("heavy buyers before", "此前购买较多"),
    "": Text("not known", "未知"),
}

LEFT_OUT: Mapping[str, Text] = {
    "erased": Text("erased", "已删除"),
    "global_holdout": Text("in the global holdout, which gets nothing of any campaign", "全局对照组（不参与任何活动）"),
    "mixed_household": Text("a household in both groups", "同一家庭分属两组"),
    "no_consumer": Text("no consumer", "非普通消费者"),
    "not_randomised": Text("not randomised", "未随机分组"),
    "opted_out": Text("opted out of profiling, or a minor", "拒绝画像或未成年"),
}

COSTS: Mapping[str, Text] = {
    "discount_cents": Text("discounts redeemed", "核销优惠额"),
    "own_discount_cents": Text("of them paid by you", "其中自行承担"),
    "contact_cents": Text("messages", "消息费用"),
    "total_cents": Text("in all", "合计"),
    "control_cents": Text("in all, control group", "合计（对照组）"),
    "budget_cents": Text("budget of discounts", "优惠预算"),
}

STEPS: Mapping[str, Text] = {
    "queued": Text("queued", "进入发件箱"),
    "waiting": Text("waiting", "等待中"),
    "skipped": Text("skipped", "跳过"),
    "failed": Text("failed", "失败"),
    "sent": Text("sent", "已发送"),
    "delivered": Text("delivered", "已送达"),
    "opened": Text("opened", "已打开"),
    "clicked": Text("clicked", "已点击"),
}

CHANGES: Mapping[str, Text] = {
    "larger_holdout": Text("hold out {size:.0%}", "对照组扩大到 {size:.0%}"),
    "longer_window": Text("a window {size:g} times as long", "窗口延长到 {size:g} 倍"),
    "pooled_campaigns": Text("{size:g} such campaigns measured as one", "{size:g} 次同类活动合并评估"),
}


def definitions(language: str) -> Document:
    """Return what each figure means, by name."""
    return {name: figure.meaning.of(language) for name, figure in DEFINITIONS.items()}
