"""Bodies of the report across channels."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from api.fields import Answer, Body
from api.report_schemas import EstimateAnswer, ReportTime
from recommender.campaigns.kpi_texts import GroupBy


class OmnichannelQuery(Body):
    """Which time and places figures are about, and how they are given."""

    model_config = ConfigDict(populate_by_name=True)
    from_: Annotated[
        ReportTime | None, Field(alias="from", description="From this time on; 28 days before `to` if left out.")
    ] = None
    to: Annotated[ReportTime | None, Field(description="Before this time; now if left out.")] = None
    group_by: Annotated[GroupBy, Field(strict=False, description="Tell figures apart by this.")] = GroupBy.ALL
    store_id: Annotated[str | None, Field(max_length=128, description="Only purchases in this store.")] = None
    region: Annotated[
        str | None, Field(max_length=200, description="Only purchases in stores of this region, or city without one.")
    ] = None
    channel: Annotated[str | None, Field(max_length=200, description="Only purchases in this channel.")] = None
    format: Annotated[Literal["json", "csv"], Field(description="`csv`: one line per number, with what it means.")] = (
        "json"
    )


class KpiAnswer(EstimateAnswer):
    """One figure: its value and, of shares of customers, its 95 % interval; what was counted, and of what."""

    counted: int | None
    of: int | None


class KpiGroup(Answer):
    """The figures of one group; null where a figure is absent or not told for such a selection."""

    group: str | None
    figures: dict[str, KpiAnswer | None]


class CohortMonth(Answer):
    """Share of a cohort that bought in a month after the first purchase's; null: not over for all of them."""

    month: int
    share: EstimateAnswer | None


class CohortAnswer(Answer):
    """Customers by the month of their first purchase."""

    cohort: str
    customers: int
    last_first_purchase: str
    repurchased: dict[str, EstimateAnswer | None]
    retained: list[CohortMonth]


def _share(value: float, counted: int, of: int) -> dict[str, Any]:
    return {"value": value, "low": round(value - 0.01, 3), "high": round(value + 0.01, 3), "counted": counted, "of": of}


_ESTIMATE = {"value": 0.31, "low": 0.29, "high": 0.33}
EXAMPLE: dict[str, Any] = {
    "from": "2026-03-01T00:00:00+00:00",
    "to": "2026-04-01T00:00:00+00:00",
    "group_by": "region",
    "store_id": None,
    "region": None,
    "channel": None,
    "browse_days": 7,
    "return_days": 28,
    "groups": [
        {
            "group": "east",
            "figures": {
                "sales": {"value": 1250000.0, "low": None, "high": None, "counted": 1250000, "of": 830},
                "browse_to_store": _share(0.12, 300, 2500),
                "repurchase": _share(0.4, 240, 600),
                "nps": None,
            },
        }
    ],
    "cohorts": [
        {
            "cohort": "2026-03",
            "customers": 140,
            "last_first_purchase": "2026-03-30T17:20:00+00:00",
            "repurchased": {"within_30_days": _ESTIMATE, "within_60_days": None, "within_90_days": None},
            "retained": [{"month": 1, "share": _ESTIMATE}],
        }
    ],
    "notes": ["no_survey"],
    "definitions": {"repurchase": "Share of known customers of the period with two orders or more in it."},
}


class OmnichannelReport(Answer):
    """Figures across channels; `definitions` says what each means, `notes` why some are absent."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})
    from_: str = Field(alias="from")
    to: str
    group_by: str
    store_id: str | None
    region: str | None
    channel: str | None
    browse_days: int
    return_days: int
    groups: list[KpiGroup]
    cohorts: list[CohortAnswer]
    notes: list[str]
    definitions: dict[str, str]
