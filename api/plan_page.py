"""The plan of a campaign as a page in plain Chinese or English: what it costs and should earn; the details folded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from api.plan_texts import TEXTS, reason_text, warning_text
from recommender.campaigns.campaign import Campaign
from recommender.campaigns.plans import PlanJob

CENTS = 100
THOUSAND = 1000
PAGE_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
}
_TEMPLATES = Path(__file__).parent / "templates"


def plan_page(campaign: Campaign, job: PlanJob, language: str) -> bytes:
    """Return a self-contained page without scripts, in UTF-8."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"money": money, "count": count, "percent": percent}
    texts = TEXTS[language]
    page = environment.get_template("campaign_plan.html").render(
        language=language,
        texts=texts,
        campaign=campaign,
        job=job,
        figures=job.figures,
        more=_one_more(job.figures),
        left_out=[(reason_text(code, language), number) for code, number in _left_out(job.figures)],
        warnings=[warning_text(code, language) for code in job.figures.get("warnings", ())],
    )
    return page.encode()


def money(cents: float | None) -> str:
    """Write cents as money; a dash for none."""
    return "–" if cents is None else f"{cents / CENTS:,.2f}"


def count(number: float) -> str:
    """Write a whole number."""
    return f"{number:,.0f}"


def percent(share: float | None) -> str:
    """Write a share in percent; a dash for none."""
    return "–" if share is None else f"{100 * share:.3g} %"


def _one_more(figures: Mapping[str, Any]) -> float | None:
    """Return what 1,000 more of budget would earn, in cents."""
    price = figures.get("shadow_price")
    return None if price is None else price * THOUSAND * CENTS


def _left_out(figures: Mapping[str, Any]) -> list[tuple[str, int]]:
    return sorted(figures.get("left_out", {}).items(), key=lambda one: (-one[1], one[0]))
