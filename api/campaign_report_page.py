"""The report of a campaign as a page in Chinese or English, with plots, and with what each number means beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recommender.campaigns.report_texts import (
    CHANGES,
    COSTS,
    DEFINITIONS,
    FIGURES,
    LEFT_OUT,
    MONEY,
    REASONS,
    SEGMENT_NAMES,
    STEPS,
    Figure,
    Text,
)

CENTS = 100
NOTHING = "–"
PAGE_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
WIDTH, LEFT, RIGHT, ROW = 640, 190, 20, 26
_TEMPLATES = Path(__file__).parent / "templates"

WORDS: Mapping[str, Text] = {
    "title": Text("What this campaign changed", "活动效果报告"),
    "treated": Text("treated", "实验组"),
    "control": Text("control", "对照组"),
    "households": Text("households", "家庭"),
    "members": Text("members", "会员"),
    "window": Text("purchases from {start} to {end}, {days} days each", "统计购买：{start} 至 {end}，每人 {days} 天"),
    "adjusted": Text("adjusted (CUPED)", "调整后（CUPED）"),
    "raw": Text("raw", "未调整"),
    "winsorised": Text("winsorised", "缩尾"),
    "means": Text("What it means", "含义"),
    "interval": Text("95 % interval", "95 % 置信区间"),
    "rise": Text("rise", "上升"),
    "fall": Text("fall", "下降"),
    "undetermined": Text("undetermined", "无法判断"),
    "left_out": Text("Not counted", "未计入"),
    "steps": Text("Step", "环节"),
    "messages": Text("Messages", "消息数"),
    "losses": Text("Losses", "损失"),
    "reason": Text("Reason", "原因"),
    "remedies": Text("It would be smaller with", "缩小的办法"),
    "segments_warning": Text(
        "{made} comparisons: with no effect anywhere, the chance that at least one looks real uncorrected is {chance}.",
        "共 {made} 次比较：即使毫无效果，未校正时至少出现一次“显著”的概率为 {chance}。",
    ),
    "corrected": Text("corrected p-value", "校正后 p 值"),
    "segment": Text("Segment", "分群"),
    "assumed": Text(
        "{share} of sales have no known cost: their margin is assumed.", "{share} 的销售额成本未知：毛利为假定值。"
    ),
    "narrowed": Text("CUPED narrows the interval of profit by {share}.", "CUPED 使利润的置信区间缩窄 {share}。"),
    "skewed": Text(
        "Few households carry much of the sum: the interval is approximate; see the winsorised figure.",
        "少数家庭占总额的很大部分：置信区间为近似值，请参考缩尾估计。",
    ),
    "bootstrap": Text("by bootstrap", "自助法"),
}


def report_page(report: Mapping[str, Any], language: str, currency: str) -> bytes:
    """Return a self-contained page without scripts, in UTF-8."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"money": money, "count": count, "percent": percent, "p": p_value}
    page = environment.get_template("campaign_report.html").render(
        language=language,
        currency=currency,
        report=report,
        figures=FIGURES,
        money_figures=MONEY,
        definitions=_spoken(DEFINITIONS, language),
        words={name: text.of(language) for name, text in WORDS.items()},
        because=[REASONS[code].of(language) for code in report["verdict"]["because"]],
        left_out=[(LEFT_OUT[row["reason"]].of(language), row) for row in report["groups"]["left_out"]],
        remedies=[_remedy(row, language) for row in report["detectable"]["remedies"]],
        segment_name=lambda name: SEGMENT_NAMES[name].of(language) if name in SEGMENT_NAMES else name,
        effects_plot=interval_plot(_relative_rows(report, language)),
        segments_plot=interval_plot(_segment_rows(report, language), CENTS),
        cost_names={name: text.of(language) for name, text in COSTS.items()},
        step_names={name: text.of(language) for name, text in STEPS.items()},
        funnel_plot=_bars({STEPS[name].of(language): n for name, n in report["funnel"]["treated"].items()}),
    )
    return page.encode()


def money(cents: float | None) -> str:
    """Write cents as money; a dash for none."""
    return NOTHING if cents is None else f"{cents / CENTS:,.2f}"


def count(number: float | None) -> str:
    """Write a number with at most two digits behind the point."""
    return NOTHING if number is None else f"{number:,.2f}".rstrip("0").rstrip(".")


def percent(share: float | None) -> str:
    """Write a share in percent; a dash for none."""
    return NOTHING if share is None else f"{100 * share:,.1f} %"


def p_value(value: float | None) -> str:
    """Write a p-value; a dash for none."""
    return NOTHING if value is None else ("< 0.001" if value < 0.001 else f"{value:.3f}")


def interval_plot(rows: Sequence[tuple[str, Mapping[str, float | None]]], unit: float = 0.01) -> dict[str, Any] | None:
    """Lay intervals out below one another, with a line at zero.

    Args:
        rows: label and estimate; those without bounds are left out.  unit: what one of the axis's numbers stands for.
    Returns: texts and numbers in the units of a view box; None where there is nothing to draw.
    """
    drawn = [(label, one) for label, one in rows if one["low"] is not None and one["high"] is not None]
    if not drawn:
        return None
    lows, highs = ([float(one[side] or 0.0) for _, one in drawn] for side in ("low", "high"))
    least, most = min(0.0, *lows), max(0.0, *highs)
    scale = (WIDTH - LEFT - RIGHT) / ((most - least) or 1.0)

    def place(value: float) -> float:
        return round(LEFT + (value - least) * scale, 1)

    marks = [
        {
            "label": label,
            "y": ROW * (row + 0.5),
            "low": place(low),
            "high": place(high),
            "at": place(one["value"] or 0.0),
        }
        for row, ((label, one), low, high) in enumerate(zip(drawn, lows, highs, strict=True))
    ]
    ticks = [{"x": place(value), "text": f"{value / unit:,.4g}"} for value in sorted({least, 0.0, most})]
    return {"width": WIDTH, "height": ROW * (len(marks) + 1), "zero": place(0.0), "marks": marks, "ticks": ticks}


def _bars(counts: Mapping[str, int]) -> dict[str, Any]:
    """Lay counts out as bars below one another."""
    most = max(counts.values(), default=0) or 1
    bars = [
        {"label": name, "y": ROW * row, "width": round((WIDTH - LEFT - 90) * number / most, 1), "value": number}
        for row, (name, number) in enumerate(counts.items())
    ]
    return {"width": WIDTH, "height": ROW * len(bars), "left": LEFT, "bars": bars}


def _relative_rows(report: Mapping[str, Any], language: str) -> list[tuple[str, Mapping[str, float | None]]]:
    return [
        (
            f"{DEFINITIONS[name].name.of(language)} · {WORDS[kind].of(language)}",
            report["effects"][name][kind]["relative"],
        )
        for name in FIGURES
        for kind in ("adjusted", "raw")
    ]


def _segment_rows(report: Mapping[str, Any], language: str) -> list[tuple[str, Mapping[str, float | None]]]:
    names = [
        (SEGMENT_NAMES[row["segment"]].of(language) if row["segment"] in SEGMENT_NAMES else row["segment"], row)
        for row in report["segments"]["rows"]
    ]
    return [(name, row["per_member"]) for name, row in names]


def _remedy(row: Mapping[str, Any], language: str) -> tuple[str, float | None]:
    return CHANGES[row["change"]].of(language).format(size=row["size"]), row["relative"]


def _spoken(figures: Mapping[str, Figure], language: str) -> dict[str, dict[str, str]]:
    return {
        name: {"name": figure.name.of(language), "meaning": figure.meaning.of(language)}
        for name, figure in figures.items()
    }
