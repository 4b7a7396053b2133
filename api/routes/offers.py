"""Offers: put in batches, approved by a second person where they go below cost, frozen and let go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import orjson
from sqlalchemy.engine import Connection

from api.auth import Scope
from api.offer_schemas import (
    ExternalRequest,
    FreezeRequest,
    OffersRequest,
    OfferStateAnswer,
    StatusAnswer,
    StatusRequest,
)
from api.openapi import Operation, Reply
from api.problems import CONFLICT, INVALID_REQUEST, NOT_FOUND, FieldError, ProblemError
from api.routes.catalog import WHOLE
from api.services import Call, Services
from api.table_schemas import UpsertAnswer
from api.wallet import caller_of
from recommender.coupons.following import follow, refuse_own, secrets_file
from recommender.coupons.offers import Offer
from recommender.coupons.offline import follow_external
from recommender.coupons.store import OfferBook, read_offers
from recommender.coupons.supervision import OfferState, approve, freeze, state_of, unfreeze
from recommender.errors import NotFoundError
from recommender.storage.audit import record
from recommender.storage.upserts import UpsertCounts, upsert
from recommender.webhook_signature import read_secrets

TAG = "coupons"


def put_offers(services: Services, call: Call, body: OffersRequest) -> Reply:
    """Add or change offers; their terms are examined in the same transaction."""
    rows: list[Mapping[str, object]] = [row.model_dump(exclude_unset=True) for row in body.offers]
    with services.database.write(durable=True) as connection:
        counts = upsert(connection, "offers", rows, call.now)
        book = read_offers(connection, [row.offer_id for row in body.offers])
        _refuse_unusable(body, book)
        for offer in book.offers.values():
            state_of(connection, offer, caller_of(call))
    return _counted(call, len(rows), counts)


def put_external_coupons(services: Services, call: Call, body: ExternalRequest) -> Reply:
    """Take in what another system tells of its coupons; what it spent counts at once."""
    coupons: list[Mapping[str, object]] = [row.model_dump(exclude_unset=True) for row in body.coupons]
    redemptions: list[Mapping[str, object]] = [row.model_dump(exclude_unset=True) for row in body.redemptions]
    with services.database.write(durable=True) as connection:
        refuse_own(connection, coupons, redemptions)
        counts = upsert(connection, "coupons", coupons, call.now) + upsert(
            connection, "redemptions", redemptions, call.now
        )
        follow_external(connection, call.now, {row.campaign_id for row in body.redemptions if row.campaign_id})
    return _counted(call, len(coupons) + len(redemptions), counts)


def follow_coupons(services: Services, call: Call, body: StatusRequest) -> Reply:
    """Take in a signed message about coupons of another system."""
    assert call.message_id is not None, "the operation is not signed"
    coupons = [(row.model_dump(exclude_unset=True, exclude={"as_of"}), row.as_of) for row in body.coupons]
    redemptions: list[Mapping[str, object]] = [row.model_dump(exclude_unset=True) for row in body.redemptions]
    with services.database.write(durable=True) as connection:
        found = follow(connection, call.message_id, coupons, redemptions, call.now)
    received = len(coupons) + len(redemptions)
    call.notes |= {"received": received, "repeated": found.repeated, "outdated": found.outdated}
    return Reply(
        {
            "repeated": found.repeated,
            "received": received,
            "outdated": found.outdated,
            "changed": found.changed,
        }
    )


def _status_secrets(services: Services, _path: Mapping[str, str]) -> Sequence[bytes]:
    return read_secrets(secrets_file(services.settings))


def approve_offer(services: Services, call: Call, offer_id: str) -> Reply:
    """Approve the present terms of an offer."""
    with services.database.write(durable=True) as connection:
        return _state_reply(offer_id, approve(connection, _offer(connection, offer_id), caller_of(call), call.now))


def freeze_offer(services: Services, call: Call, offer_id: str, body: FreezeRequest) -> Reply:
    """Suspend an offer; the reason is kept in the audit."""
    call.audited = True
    with services.database.write(durable=True) as connection:
        offer = _offer(connection, offer_id)
        state_of(connection, offer)
        freeze(connection, offer_id, body.reason, call.now)
        details = orjson.dumps({"reason": body.reason}).decode()
        record(connection, caller_of(call), "offers.freeze", offer_id, call.now, details)
        return _state_reply(offer_id, state_of(connection, offer))


def unfreeze_offer(services: Services, call: Call, offer_id: str) -> Reply:
    """Let a frozen offer be used again."""
    with services.database.write(durable=True) as connection:
        offer = _offer(connection, offer_id)
        state_of(connection, offer)
        unfreeze(connection, offer_id)
        return _state_reply(offer_id, state_of(connection, offer))


def _counted(call: Call, received: int, counts: UpsertCounts) -> Reply:
    found: dict[str, object] = {
        "received": received,
        "added": counts.added,
        "changed": counts.changed,
        "unchanged": counts.unchanged,
    }
    call.notes |= found
    return Reply(found)


def _refuse_unusable(body: OffersRequest, book: OfferBook) -> None:
    """Raises: ProblemError that names every offer that cannot be used; nothing is written."""
    wrong = tuple(
        FieldError(f"offers[{number}].{error.field}", error.message, error.value, error.accepted)
        for number, row in enumerate(body.offers)
        if (error := book.unusable.get(row.offer_id)) is not None
    )
    if wrong:
        raise ProblemError(INVALID_REQUEST, f"{wrong[0].field}: {wrong[0].detail}", wrong)


def _offer(connection: Connection, offer_id: str) -> Offer:
    found = read_offers(connection, [offer_id])
    if offer_id in found.unusable:
        raise found.unusable[offer_id]
    if offer_id not in found.offers:
        raise NotFoundError("There is no such offer.", field="offer_id", value=offer_id)
    return found.offers[offer_id]


def _state_reply(offer_id: str, state: OfferState) -> Reply:
    return Reply(
        {
            "offer_id": offer_id,
            "below_cost": state.below_cost,
            "approved_by": state.approved_by,
            "frozen": state.frozen_reason is not None,
            "reason": state.frozen_reason,
        }
    )


OPERATIONS = (
    Operation(
        id="put_offers",
        method="PUT",
        path="/v1/offers",
        tag=TAG,
        summary="Add or change offers.",
        description=(
            "Terms that are out of range or can never apply are refused, naming the field. Terms under which goods may"
            " be sold below their cost need the approval of a second key before coupons are issued. `offer_items`"
            " for large scopes are loaded by `memberwise ingest`." + WHOLE
        ),
        view=put_offers,
        answers={200: UpsertAnswer},
        scope=Scope.COUPONS,
        body=OffersRequest,
    ),
    Operation(
        id="put_external_coupons",
        method="PUT",
        path="/v1/external-coupons",
        tag=TAG,
        summary="Tell of coupons that another system keeps.",
        description=(
            "For callbacks of a CRM or a payment provider about offers whose `wallet` is `external`. The coupons count"
            " for members' limits, the redemptions come off the budgets of their campaigns, at once. A coupon of this"
            " wallet is a 409." + WHOLE
        ),
        view=put_external_coupons,
        answers={200: UpsertAnswer},
        scope=Scope.COUPONS,
        body=ExternalRequest,
        problems=(CONFLICT,),
        streamed=True,
    ),
    Operation(
        id="follow_coupons",
        method="POST",
        path="/v1/coupons:status",
        tag=TAG,
        summary="Follow coupons that another system keeps, by signed webhook.",
        description=(
            "For systems that keep no API key: the call is signed as Standard Webhooks has it, over the raw body,"
            " with a secret that `memberwise coupons secret` made, at most five minutes ago. A message that comes again"
            " under its `webhook-id` changes nothing (`repeated`), whatever its timestamp; other content under the same"
            " id is a 409. Coupons count for members' limits, redemptions come off the budgets of their campaigns, at"
            " once; what is older than known of a coupon (`as_of`) changes nothing."
        ),
        view=follow_coupons,
        answers={200: StatusAnswer},
        body=StatusRequest,
        problems=(CONFLICT,),
        streamed=True,
        signed=_status_secrets,
    ),
    Operation(
        id="approve_offer",
        method="POST",
        path="/v1/offers/{offer_id}:approve",
        tag=TAG,
        summary="Approve the terms of an offer that go below cost.",
        description="By another key than the one that put them. New terms need a new approval.",
        view=approve_offer,
        answers={200: OfferStateAnswer},
        scope=Scope.COUPONS,
        problems=(NOT_FOUND, CONFLICT),
    ),
    Operation(
        id="freeze_offer",
        method="POST",
        path="/v1/offers/{offer_id}:freeze",
        tag=TAG,
        summary="Suspend an offer.",
        description=(
            "No coupon of it is issued or locked any more, at once; orders that hold a lock can finish. The worker does"
            " the same to an offer that runs away."
        ),
        view=freeze_offer,
        answers={200: OfferStateAnswer},
        scope=Scope.COUPONS,
        body=FreezeRequest,
        problems=(NOT_FOUND,),
    ),
    Operation(
        id="unfreeze_offer",
        method="POST",
        path="/v1/offers/{offer_id}:unfreeze",
        tag=TAG,
        summary="Let a frozen offer be used again.",
        description="Nothing happens to an offer that is not frozen.",
        view=unfreeze_offer,
        answers={200: OfferStateAnswer},
        scope=Scope.COUPONS,
        problems=(NOT_FOUND,),
    ),
)
