"""Shopping guides: whom to follow up today, and what they did about it."""

from __future__ import annotations

import hashlib

from sqlalchemy.engine import Connection

from api import problems
from api.auth import Scope
from api.followups import Body, followups_body, has_consented
from api.guide_schemas import ActAnswer, FollowupAct, FollowupsAnswer, FollowupsQuery
from api.idempotency import once
from api.openapi import Operation, Reply
from api.routes.audiences import desk_of
from api.services import Call, Services
from recommender.campaigns.guide_acts import GuideAct, record_act
from recommender.events import EventKind

TAG = "guides"


def get_followups(services: Services, call: Call, guide_id: str, query: FollowupsQuery) -> Reply:
    """Return a guide's customers of today."""
    found = followups_body(services, call, guide_id, query.store_id, query.items)
    followups = found["followups"]
    assert isinstance(followups, list)
    call.notes |= {"followups": len(followups)}
    return Reply(found)


def record_followup(services: Services, call: Call, guide_id: str, body: FollowupAct) -> Reply:
    """Record what a guide did."""
    caller = "" if call.caller is None else call.caller.key_id
    key = f"{caller}\0{guide_id}\0{call.idempotency_key}\0{call.now.date()}"
    act = GuideAct(
        f"guide-{hashlib.blake2b(key.encode(), digest_size=8).hexdigest()}",
        EventKind(f"guide_{body.act}"),
        guide_id,
        body.member_id,
        body.reason,
        body.recommendation_id,
        body.coupon_id,
        body.message_id,
    )
    with services.database.read(snapshot=True) as connection:
        consented = has_consented(desk_of(services).ground(connection, call.now), body.member_id)
    today = call.now.astimezone(services.settings.zone).date()

    def write(connection: Connection) -> Body:
        record_act(connection, act, consented, today, call.now)
        return {"event_id": act.event_id, "kind": str(act.kind), "member_id": act.member_id}

    return once(services, call, body, write, durable=True)


_FOLLOWUPS = """
The guide's own customers who agreed to be contacted (`push`, for the channel `guide` or for any), ranked by what a
word today is expected to add: the incremental profit of their coupon, and the margin of products that are due by their
own rhythm times `MEMBERWISE_GUIDE_EFFECT`, which is an assumption and flagged. As many as the guide still has room for
today. Left out are members who opted out, the global holdout, and who was contacted or skipped within
`MEMBERWISE_GUIDE_REST_DAYS`. Each comes with items to offer (due or recommended; no infant formula, medicine or
sensitive goods unless switched on), their stock and price in the store, the best coupon that can be used now, and
reasons in the language of `Accept-Language`. What is shown is recorded as a slate of the channel `guide`. `tasks` are
messages of campaigns that wait for the guide.
"""
_RECORD = """
Kept as an event of the kind `guide_accept`, `guide_done` or `guide_skip`, with the guide and the reason in its
attributes. `done` counts as a message to the customer's household in all caps, and in the guide's capacity. A customer
of another guide is a 404; one who does not """

OPERATIONS = (
    Operation(
        id="get_followups",
        method="GET",
        path="/v1/guides/{guide_id}/followups",
        tag=TAG,
        summary="A guide's customers of today.",
        description=_FOLLOWUPS,
        view=get_followups,
        answers={200: FollowupsAnswer},
        scope=Scope.CAMPAIGNS,
        query=FollowupsQuery,
        problems=(problems.NO_BUNDLE, problems.CONFLICT),
        localized=True,
    ),
    Operation(
        id="record_followup",
        method="POST",
        path="/v1/guides/{guide_id}/followups",
        tag=TAG,
        summary="What a guide did about a customer.",
        description=_RECORD,
        view=record_followup,
        answers={200: ActAnswer},
        scope=Scope.CAMPAIGNS,
        body=FollowupAct,
        problems=(problems.NOT_FOUND, problems.CONFLICT),
        idempotent=True,
    ),
)
