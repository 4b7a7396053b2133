"""Transports: ways out for messages, and the signed callbacks by which receivers tell what became of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import orjson

from api import problems
from api.auth import Scope
from api.delivery_schemas import CallbackAnswer, CallbackRequest, TransportAnswer, TransportRequest, TransportsAnswer
from api.idempotency import REPLAYED
from api.openapi import Operation, Reply
from api.services import Call, Services
from api.wallet import caller_of
from recommender.campaigns.delivery.keyring import Keyring
from recommender.campaigns.receipts import Line, Receipt, apply_receipts
from recommender.campaigns.transports import TransportRow, get_transport, list_transports, put_transport
from recommender.errors import InputError
from recommender.storage.idempotency import CallKey, earlier_answer, keep_answer
from recommender.webhook_signature import ID_HEADER

TAG = "delivery"
EVENT_CHANNEL = "app"
"""The channel of events made from receipts, where the transport's own is no channel."""


def get_transports(services: Services, _call: Call) -> Reply:
    """Return all transports."""
    with services.database.read() as connection:
        return Reply({"transports": [_body(one) for one in list_transports(connection)]})


def get_one(services: Services, _call: Call, name: str) -> Reply:
    """Return a transport."""
    with services.database.read() as connection:
        return Reply(_body(get_transport(connection, name)))


def put_one(services: Services, call: Call, name: str, body: TransportRequest) -> Reply:
    """Make or change a transport."""
    call.audited = True  # with its settings, by put_transport()
    with services.database.write(durable=True) as connection:
        made = put_transport(connection, name, body.kind, body.settings, body.active, caller_of(call), call.now)
    return Reply(_body(made))


def post_callbacks(services: Services, call: Call, name: str, body: CallbackRequest) -> Reply:
    """Take note of receipts, each callback once."""
    assert call.message_id is not None, "the operation is signed"
    content = hashlib.sha256(body.model_dump_json().encode()).hexdigest()
    key = CallKey(f"transport:{name}", call.operation, call.message_id, content)
    receipts = [Receipt(**row.model_dump()) for row in body.receipts]
    with services.database.write(durable=True) as connection:
        settings = get_transport(connection, name).settings
        kept = earlier_answer(connection, key, call.now)
        if kept is not None:
            return Reply(kept.encode(), headers=REPLAYED)
        channel = settings.channel if settings.channel in services.channels else EVENT_CHANNEL
        heard = apply_receipts(connection, Line(name, settings.channel, channel), receipts, call.now)
        answer: dict[str, object] = {"results": [one.value for one in heard]}
        keep_answer(connection, key, orjson.dumps(answer).decode(), call.now)
    call.notes["receipts"] = len(heard)
    return Reply(answer)


def _secrets(services: Services, path: Mapping[str, str]) -> Sequence[bytes]:
    """Return what callbacks of a transport may be signed with."""
    try:
        return Keyring(services.settings.home).verifying(path["name"])
    except InputError:
        return ()  # no transport has such a name


def _body(row: TransportRow) -> dict[str, object]:
    return {
        "name": row.name,
        "kind": row.kind,
        "settings": dict(row.document),
        "active": row.active,
        "updated_at": row.updated_at.isoformat(),
        "updated_by": row.updated_by,
    }


_CALLBACKS = f"""
No key is needed: the request is signed as Standard Webhooks has it (`{ID_HEADER}`, `webhook-timestamp`,
`webhook-signature`), with a secret made by `memberwise transports rotate NAME --inbound`, at most five minutes ago.
The same `{ID_HEADER}` again is answered the same and changes nothing. Each receipt is answered in order: `applied`,
`known` (nothing new), or `unknown` (no such message or member). `delivered`, `opened` and `clicked` say that a message
arrived and become events; `failed` that it did not; `opted_out` withdraws the member's consent for the transport's
channel; `confirmed` and `declined` tell what a guide did with a task; `prompt_accepted` adds to the messages of a
template that a member may get.
"""

OPERATIONS = (
    Operation(
        id="get_transports",
        method="GET",
        path="/v1/transports",
        tag=TAG,
        summary="All transports.",
        description="Ways out for messages, by name.",
        view=get_transports,
        answers={200: TransportsAnswer},
        scope=Scope.CAMPAIGNS,
    ),
    Operation(
        id="get_transport",
        method="GET",
        path="/v1/transports/{name}",
        tag=TAG,
        summary="One transport.",
        description="Its kind and settings; secrets are not among them.",
        view=get_one,
        answers={200: TransportAnswer},
        scope=Scope.CAMPAIGNS,
        problems=(problems.NOT_FOUND,),
    ),
    Operation(
        id="put_transport",
        method="PUT",
        path="/v1/transports/{name}",
        tag=TAG,
        summary="Make or change a transport.",
        description="Its settings are replaced. The worker takes a change up within a second.",
        view=put_one,
        answers={200: TransportAnswer},
        scope=Scope.CAMPAIGNS,
        body=TransportRequest,
    ),
    Operation(
        id="post_callbacks",
        method="POST",
        path="/v1/transports/{name}/callbacks",
        tag=TAG,
        summary="Tell what became of messages.",
        description=_CALLBACKS,
        view=post_callbacks,
        answers={200: CallbackAnswer},
        body=CallbackRequest,
        signed=_secrets,
        streamed=True,
        problems=(problems.NOT_FOUND, problems.CONFLICT),
    ),
)
