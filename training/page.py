"""The report as an HTML page.

The page is self-contained: no script, no font and no picture is loaded from elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from training.baselines import PERSONAL, PERSONAL_DECAYED, POPULARITY
from training.charts import Line, column_chart, line_chart
from training.evaluate import BOUGHT, MEMBERWISE, MEMBERWISE_HOME
from training.list_metrics import TENTHS
from training.report import Document, find_measure
from training.windows import Subset

METHOD_NAMES = {
    MEMBERWISE: "Memberwise",
    MEMBERWISE_HOME: "Memberwise (home list)",
    BOUGHT: "Really bought",
    POPULARITY: "Popularity",
    PERSONAL: "Personal",
    PERSONAL_DECAYED: "Personal, decayed",
}
SUBSET_NAMES = {
    Subset.ALL.value: "all items",
    Subset.REPEAT.value: "repeat items",
    Subset.NOVEL.value: "novel items",
    Subset.NEVER_SEEN.value: "never-seen items",
}
MOST_FEATURES = 15
"""Features shown per placement; the JSON has them all."""
_TEMPLATES = Path(__file__).parent / "templates"


def templates() -> Any:
    """Return the jinja2 environment of all pages."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = _number
    return environment


def to_html(document: Document) -> str:
    """Write a report as a self-contained HTML page."""
    html: str = (
        templates()
        .get_template("report.html")
        .render(
            report=document,
            methods=METHOD_NAMES,
            subsets=SUBSET_NAMES,
            most_features=MOST_FEATURES,
            find=find_measure,
            largest=_largest,
            curve_chart=_curve_chart,
            tenths_chart=_tenths_chart,
            diversity_chart=_diversity_chart,
            calibration_chart=_calibration_chart,
        )
    )
    return html


def _curve_chart(points: list[Document], subset: str) -> Document:
    """Lay out the learning curve of one subset, its points at equal distances."""
    chosen = [point for point in points if point["subset"] == subset and point["interval"]["mean"] is not None]
    labels = ["all" if point["days"] is None else str(point["days"]) for point in chosen]
    return line_chart(
        [Line(subset, [(at, *_bounds(point["interval"]), labels[at]) for at, point in enumerate(chosen)])]
    )


def _tenths_chart(rows: list[Document]) -> Document:
    """Lay out how what is shown spreads over the tenths of sales, in the order of a legend."""
    shares = {METHOD_NAMES[row["method"]]: [share or 0.0 for share in row["shares"]] for row in rows}
    shown = {METHOD_NAMES[name]: shares[METHOD_NAMES[name]] for name in (BOUGHT, MEMBERWISE, PERSONAL_DECAYED)}
    return column_chart(shown, [*(str(number + 1) for number in range(TENTHS)), "unsold"])


def _diversity_chart(rows: list[Document]) -> Document:
    """Lay out NDCG@10 against diversity; the strength stands below each point."""
    points = [(row["diversity"], *_bounds(row["ndcg"]), f"{row['diversity']:.2f}") for row in rows]
    return line_chart([Line("home", sorted(points))])


def _calibration_chart(rows: list[list[float]]) -> Document:
    """Lay out chances foretold and shares redeemed of each tenth."""
    shown = {"foretold": [row[0] for row in rows], "redeemed": [row[1] for row in rows]}
    return column_chart(shown, [str(number + 1) for number in range(len(rows))])


def _bounds(interval: Document) -> tuple[float, float, float]:
    return interval["mean"], interval["low"], interval["high"]


def _largest(intervals: Iterable[Document]) -> float:
    """Return the largest distance of any bound from zero."""
    bounds: list[Any] = [interval[end] for interval in intervals for end in ("low", "high")]
    return max((abs(bound) for bound in bounds if bound is not None), default=0.0)


def _number(value: float | None, digits: int = 4) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"
