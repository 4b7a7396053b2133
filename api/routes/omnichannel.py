"""The report across channels: how customers move between shops and online, and what that is worth."""

from __future__ import annotations

import time
from datetime import timedelta

from api.auth import Scope
from api.omnichannel_schemas import OmnichannelQuery, OmnichannelReport
from api.openapi import Operation, Reply
from api.outcomes import DEFAULT_DAYS
from api.services import Call, Services
from recommender.campaigns.apart import kpis_apart
from recommender.campaigns.kpi_table import kpi_csv
from recommender.campaigns.kpi_texts import kpi_definitions

CSV = "text/csv"


def get_omnichannel_report(services: Services, call: Call, query: OmnichannelQuery) -> Reply:
    """Add figures across channels up."""
    until = query.to or call.now
    since = query.from_ or until - timedelta(days=DEFAULT_DAYS)
    places = {"store_id": query.store_id, "region": query.region, "channel": query.channel}
    with services.exports.passing(None, time.monotonic()):
        report = kpis_apart(services.settings, call.now, (since, until), query.group_by, places)
    if query.format == "csv":
        return Reply(kpi_csv(report, call.language).encode(), media_type=f"{CSV}; charset=utf-8")
    return Reply(report | {"definitions": kpi_definitions(call.language)})


OPERATIONS = (
    Operation(
        id="get_omnichannel_report",
        method="GET",
        path="/v1/reports/omnichannel",
        tag="reports",
        summary="How customers move between shops and online, and what that is worth.",
        description=(
            "Browsed online and bought in a shop, bought in a shop and came back for an online promotion, repurchase"
            " and retention with cohorts, omnichannel share of sales, redemption, attributed and incremental sales,"
            " NPS, fulfilment cost, sold-out items kept out of slates; of any period, by store, region or channel."
            " `definitions` says what each figure means. One report is made at a time; it reads the whole event log."
        ),
        view=get_omnichannel_report,
        answers={200: OmnichannelReport},
        media_types=(CSV,),
        scope=Scope.CAMPAIGNS,
        query=OmnichannelQuery,
        localized=True,
    ),
)
