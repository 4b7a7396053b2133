"""Request and response bodies of reports and experiments: figures, intervals, and what they stand on."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field

from api.fields import Answer, Body, UtcTime, wrong
from recommender.query import Scenario

GroupName = Literal[
    "scenario",
    "position",
    "bundle",
    "experiment",
    "group",
    "channel",
    "store",
    "strategy",
    "retriever",
    "reason",
    "day",
]
MAX_GROUPS = 4
FIRST_YEAR, LAST_YEAR = 2000, 3000


def _reported_time(value: datetime) -> datetime:
    if not FIRST_YEAR <= value.year < LAST_YEAR:
        raise wrong("report_time", "No slate was served then.", f"a time from {FIRST_YEAR} to {LAST_YEAR}")
    return value


ReportTime = Annotated[UtcTime, AfterValidator(_reported_time)]


class EstimateAnswer(Answer):
    """A figure and its 95 % interval; null where the data cannot say."""

    value: float | None
    low: float | None
    high: float | None


class ShareAnswer(Answer):
    """How many of the items shown had this outcome, and which share that is."""

    items: int
    rate: EstimateAnswer


class RevenueAnswer(Answer):
    """Money, after corrections and returns, in the currency's minor unit."""

    cents: int
    cents_per_item: EstimateAnswer


class OutcomesAnswer(Answer):
    """What came of items shown, for acts that named the recommendation."""

    viewed: ShareAnswer
    added_to_basket: ShareAnswer
    purchased: ShareAnswer
    revenue: RevenueAnswer


class AssistedAnswer(Answer):
    """Purchases of an item shown before that named no recommendation. Many of them would have happened anyway."""

    purchased: ShareAnswer
    revenue: RevenueAnswer


class ReportGroup(Answer):
    """One group: what was shown, what came of it, and, apart, what was bought without naming a recommendation."""

    group: dict[str, str | int | None]
    slates: int
    items: int
    customers: int
    attributed: OutcomesAnswer
    assisted: AssistedAnswer


class RecommendationReportQuery(Body):
    """Which slates a report is about, and how they are grouped."""

    model_config = ConfigDict(populate_by_name=True)
    from_: Annotated[
        ReportTime | None, Field(alias="from", description="Slates from this time on; 28 days before `to` if left out.")
    ] = None
    to: Annotated[ReportTime | None, Field(description="Slates before this time; now if left out.")] = None
    group_by: Annotated[
        list[GroupName],
        Field(max_length=MAX_GROUPS, description="Give it once per grouping; without it there is one row."),
    ] = Field(default_factory=list)
    scenario: Annotated[Scenario | None, Field(strict=False, description="Only this placement.")] = None
    shadow: Annotated[
        bool, Field(description="Slates made in shadow mode, which nobody saw, in place of those that were served.")
    ] = False


class RecommendationReport(Answer):
    """What came of recommendations. `complete_until`: later slates may still be credited with acts to come."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "from": "2026-02-01T00:00:00+00:00",
                    "to": "2026-03-01T00:00:00+00:00",
                    "complete_until": "2026-02-22T00:00:00+00:00",
                    "window_days": 7.0,
                    "method": "Rates are per item shown; intervals are at 95 %, ...",
                    "groups": [
                        {
                            "group": {"scenario": "home"},
                            "slates": 1000,
                            "items": 10000,
                            "customers": 412,
                            "attributed": {
                                "viewed": {"items": 520, "rate": {"value": 0.052, "low": 0.047, "high": 0.058}},
                                "added_to_basket": {
                                    "items": 210,
                                    "rate": {"value": 0.021, "low": 0.018, "high": 0.025},
                                },
                                "purchased": {"items": 160, "rate": {"value": 0.016, "low": 0.013, "high": 0.019}},
                                "revenue": {
                                    "cents": 310400,
                                    "cents_per_item": {"value": 31.04, "low": 25.7, "high": 36.4},
                                },
                            },
                            "assisted": {
                                "purchased": {"items": 95, "rate": {"value": 0.0095, "low": 0.0077, "high": 0.0117}},
                                "revenue": {
                                    "cents": 141200,
                                    "cents_per_item": {"value": 14.12, "low": 11.2, "high": 17.0},
                                },
                            },
                        }
                    ],
                }
            ]
        }
    )
    from_: str = Field(alias="from")
    to: str
    complete_until: str
    window_days: float
    method: str
    groups: list[ReportGroup]
