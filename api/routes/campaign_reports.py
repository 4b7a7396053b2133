"""Reports of campaigns: what they changed, cost and earned."""

from __future__ import annotations

import time

from api.auth import Scope
from api.campaign_report_page import PAGE_HEADERS, report_page
from api.campaign_report_schemas import CampaignReport, CampaignReportQuery
from api.openapi import Operation, Reply
from api.problems import NOT_FOUND
from api.services import Call, Services
from recommender.campaigns.apart import campaign_report_apart
from recommender.campaigns.report_table import report_csv
from recommender.campaigns.report_texts import definitions

HTML, CSV = "text/html", "text/csv"


def get_campaign_report(services: Services, call: Call, campaign_id: str, query: CampaignReportQuery) -> Reply:
    """Say what a campaign changed."""
    with services.exports.passing(None, time.monotonic()):
        report = campaign_report_apart(services.settings, campaign_id, call.now, query.segment_by)
    if query.format == "csv":
        return Reply(report_csv(report, call.language).encode(), media_type=f"{CSV}; charset=utf-8")
    if query.format == "html":
        page = report_page(report, call.language, services.settings.currency)
        return Reply(page, media_type=f"{HTML}; charset=utf-8", headers=PAGE_HEADERS)
    return Reply(report | {"definitions": definitions(call.language)})


OPERATIONS = (
    Operation(
        id="get_campaign_report",
        method="GET",
        path="/v1/campaigns/{campaign_id}/report",
        tag="reports",
        summary="What a campaign changed, cost and earned.",
        description=(
            "Treated against control members as the groups were drawn (intention to treat), with 95 % intervals in"
            " which the household is the unit: sales, margin, profit, orders and visits, with CUPED and without; costs;"
            " return on cost; redemptions that would have bought anyway; the effect by segment, corrected for how many"
            " comparisons that makes; messages and why some were lost. `undetermined` where the data cannot say."
            " `definitions` says what each figure means; the formulas are in docs/measurement.md. One report is made at"
            " a time."
        ),
        view=get_campaign_report,
        answers={200: CampaignReport},
        media_types=(CSV, HTML),
        scope=Scope.CAMPAIGNS,
        query=CampaignReportQuery,
        problems=(NOT_FOUND,),
        localized=True,
    ),
)
