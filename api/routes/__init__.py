"""One file per resource; OPERATIONS lists every operation, in the order the document shows them."""

from __future__ import annotations

from api.openapi import Operation
from api.routes import (
    audiences,
    audit,
    campaign_reports,
    campaigns,
    catalog,
    coupons,
    deliveries,
    events,
    experiments,
    explain,
    guides,
    members,
    offers,
    omnichannel,
    operations,
    own_coupons,
    recommendations,
    reports,
    scenarios,
    stock,
    transports,
)

OPERATIONS: tuple[Operation, ...] = (
    *recommendations.OPERATIONS,
    *explain.OPERATIONS,
    *events.OPERATIONS,
    *catalog.OPERATIONS,
    *stock.OPERATIONS,
    *offers.OPERATIONS,
    *coupons.OPERATIONS,
    *own_coupons.OPERATIONS,
    *audiences.OPERATIONS,
    *campaigns.OPERATIONS,
    *guides.OPERATIONS,
    *transports.OPERATIONS,
    *deliveries.OPERATIONS,
    *scenarios.OPERATIONS,
    *reports.OPERATIONS,
    *campaign_reports.OPERATIONS,
    *omnichannel.OPERATIONS,
    *members.OPERATIONS,
    *experiments.OPERATIONS,
    *audit.OPERATIONS,
    *operations.OPERATIONS,
)
