"""Deliveries: messages of campaigns and what became of them; dead letters sent again; test messages to seeds."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy.engine import Connection

from api import problems
from api.auth import Scope
from api.delivery_rules import delivery_rules, surroundings
from api.delivery_schemas import (
    DeliveriesAnswer,
    DeliveriesQuery,
    ReplayAnswer,
    ReplayRequest,
    TestAnswer,
    TestRequest,
    shown_time,
)
from api.idempotency import once
from api.openapi import Operation, Reply
from api.services import Call, Services
from recommender.campaigns.delivery.kinds import make_transport
from recommender.campaigns.messages import Choice, failed_ids, list_deliveries, replay, send_tests
from recommender.campaigns.store import get_campaign
from recommender.campaigns.transports import get_transport
from recommender.errors import InputError

TAG = "delivery"


def get_deliveries(services: Services, _call: Call, query: DeliveriesQuery) -> Reply:
    """List messages."""
    choice = Choice(query.campaign_id, query.member_id, query.state, query.after)
    with services.database.read() as connection:
        rows = list_deliveries(connection, choice, query.limit)
    full = len(rows) == query.limit
    return Reply({"deliveries": [_body(row) for row in rows], "next": rows[-1]["delivery_id"] if full else None})


def replay_deliveries(services: Services, call: Call, body: ReplayRequest) -> Reply:
    """Send dead letters again."""
    if (body.delivery_ids is None) == (body.campaign_id is None):
        accepted = "`delivery_ids`, or `campaign_id`"
        raise InputError(
            "Messages are named one by one, or by their campaign.", field="delivery_ids", accepted=accepted
        )

    def write(connection: Connection) -> dict[str, object]:
        wanted = body.delivery_ids if body.campaign_id is None else failed_ids(connection, body.campaign_id)
        return {"replayed": replay(connection, wanted or [], call.now)}

    return once(services, call, body, write, durable=True)


def test_campaign(services: Services, call: Call, campaign_id: str, body: TestRequest) -> Reply:
    """Send the campaign's message to seed contacts, now."""
    with services.database.read() as connection:
        campaign = get_campaign(connection, campaign_id)
        settings = campaign.settings
        if settings.transport is None:
            raise InputError("The campaign has no transport.", field="settings.transport", accepted="a transport")
        row = get_transport(connection, settings.transport).settings
    members = list(dict.fromkeys(body.members if body.members is not None else settings.seeds))
    if not members:
        raise InputError("The campaign has no seeds.", field="members", accepted="member ids")
    rules = delivery_rules(services.settings)
    transport = make_transport(row, surroundings(services.settings))
    try:
        results = send_tests(services.database, campaign, row, transport, rules, members, call.now)
    finally:
        transport.close()
    return Reply({"results": results})


def _body(row: dict[str, Any]) -> dict[str, object]:
    return {name: shown_time(value) if isinstance(value, datetime) else value for name, value in row.items()}


OPERATIONS = (
    Operation(
        id="get_deliveries",
        method="GET",
        path="/v1/deliveries",
        tag=TAG,
        summary="Messages, and what became of them.",
        description="In order of their ids; docs/delivery.md says what states and reasons mean.",
        view=get_deliveries,
        answers={200: DeliveriesAnswer},
        scope=Scope.CAMPAIGNS,
        query=DeliveriesQuery,
    ),
    Operation(
        id="replay_deliveries",
        method="POST",
        path="/v1/deliveries:replay",
        tag=TAG,
        summary="Send dead letters again.",
        description=(
            "Messages that `failed`, one by one or all of a campaign. Each is looked at anew, as any message is, and"
            " keeps its id and its coupon."
        ),
        view=replay_deliveries,
        answers={200: ReplayAnswer},
        scope=Scope.CAMPAIGNS,
        body=ReplayRequest,
        idempotent=True,
        problems=(problems.CONFLICT,),
    ),
    Operation(
        id="test_campaign",
        method="POST",
        path="/v1/campaigns/{campaign_id}:test",
        tag=TAG,
        summary="Send a test message to seed contacts.",
        description=(
            "At once, whatever the campaign's state. Seeds need no consent and are of any kind, such as employees; who"
            " refused gets nothing. Tests have no coupon, count for no cap, and are in no report."
        ),
        view=test_campaign,
        answers={200: TestAnswer},
        scope=Scope.CAMPAIGNS,
        body=TestRequest,
        problems=(problems.NOT_FOUND,),
    ),
)
