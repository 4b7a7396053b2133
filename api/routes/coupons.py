"""The wallet: coupons issued, asked about, locked, redeemed and taken back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

import orjson
from pydantic import BaseModel
from sqlalchemy.engine import Connection

from api.auth import Scope
from api.coupon_schemas import (
    CodeAnswer,
    CodeRequest,
    CouponRef,
    CouponsAnswer,
    IssueRequestBody,
    LockRequest,
    MergeAnswer,
    MergeRequest,
    QualifyAnswer,
    QualifyRequest,
    RedeemRequest,
    ReleaseRequest,
    ReturnRequest,
    RollbackRequest,
    ValidateRequest,
    VoidRequest,
)
from api.idempotency import once
from api.openapi import Operation, Reply
from api.problems import CONFLICT, NOT_FOUND
from api.services import Call, Services
from api.wallet import caller_of, do_once, issue_request, outcome_body, outcomes_body, purchase_of, with_coupons
from recommender.coupons.codes import make_code
from recommender.coupons.discount import Refused
from recommender.coupons.issuing import issue
from recommender.coupons.merging import merge_wallets
from recommender.coupons.refusal_texts import sentence
from recommender.coupons.refusals import Refusal
from recommender.coupons.requests import close_request
from recommender.coupons.undoing import give_back, rollback, void
from recommender.coupons.using import Use, lock, qualify, redeem, release, validate
from recommender.coupons.wallet import Outcome, Turn
from recommender.storage.audit import record

TAG = "coupons"
REDEEM = "redeem_coupons"

Ask = Callable[[list[str]], list[Outcome]]
View = Callable[..., Reply]


def issue_coupons(services: Services, call: Call, body: IssueRequestBody) -> Reply:
    """Give out coupons."""
    requests = [issue_request(services, row) for row in body.coupons]
    return do_once(services, call, body, body.request_no, lambda turn: issue(turn, requests))


def qualify_coupons(services: Services, call: Call, body: QualifyRequest) -> Reply:
    """Rank a member's coupons for a purchase."""
    with services.database.read(snapshot=True) as connection:
        alone, together = qualify(_asking(services, call, connection), body.member_id, purchase_of(body.purchase))
    applied = [one for one in together if one.refused is None]
    found = outcomes_body(applied, call.language)
    return Reply(
        {
            "coupons": [outcome_body(one, call.language) for one in alone],
            "together": {"discount_cents": found["discount_cents"], "coupons": found["coupons"]},
        }
    )


def validate_coupons(services: Services, call: Call, body: ValidateRequest) -> Reply:
    """Compute what coupons take off."""
    purchase = purchase_of(body.purchase)
    with services.database.read(snapshot=True) as connection:
        turn = _asking(services, call, connection)
        found = with_coupons(
            connection,
            call,
            body.coupons,
            lambda ids: validate(turn, Use(ids, body.order_id, purchase, body.member_id)),
        )
    return Reply(outcomes_body(found, call.language))


def lock_coupons(services: Services, call: Call, body: LockRequest) -> Reply:
    """Reserve coupons for an order."""
    purchase = purchase_of(body.purchase)
    hold = None if body.ttl_seconds is None else timedelta(seconds=body.ttl_seconds)

    def ask(turn: Turn, coupon_ids: list[str]) -> list[Outcome]:
        return lock(turn, Use(coupon_ids, body.order_id, purchase, body.member_id, hold))

    return do_once(
        services, call, body, body.request_no, lambda turn: _named(turn, call, body.coupons, lambda ids: ask(turn, ids))
    )


def redeem_coupons(services: Services, call: Call, body: RedeemRequest) -> Reply:
    """Spend coupons for an order."""
    purchase = None if body.purchase is None else purchase_of(body.purchase)
    return do_once(
        services,
        call,
        body,
        body.request_no,
        lambda turn: _named(
            turn, call, body.coupons, lambda ids: redeem(turn, Use(ids, body.order_id, purchase, body.member_id))
        ),
    )


def release_coupons(services: Services, call: Call, body: ReleaseRequest) -> Reply:
    """Give locks back."""
    return do_once(
        services,
        call,
        body,
        body.request_no,
        lambda turn: _named(turn, call, body.coupons, lambda ids: release(turn, ids, body.order_id)),
    )


def rollback_coupons(services: Services, call: Call, body: RollbackRequest) -> Reply:
    """Undo a redemption, or keep one that is still on its way from being done."""

    def work(turn: Turn) -> list[Outcome]:
        close_request(turn.connection, REDEEM, body.request_no, call.now)
        return rollback(turn, body.request_no)

    return do_once(services, call, body, None, work)


def return_coupons(services: Services, call: Call, body: ReturnRequest) -> Reply:
    """Take note of a return."""
    return do_once(
        services,
        call,
        body,
        body.request_no,
        lambda turn: _named(turn, call, body.coupons, lambda ids: give_back(turn, ids, body.order_id, body.full)),
    )


def void_coupons(services: Services, call: Call, body: VoidRequest) -> Reply:
    """Withdraw coupons; the reason is kept in the ledger and in the audit."""
    call.audited = True

    def work(turn: Turn) -> list[Outcome]:
        found = _named(turn, call, body.coupons, lambda ids: void(turn, ids, body.reason))
        details = orjson.dumps({"reason": body.reason, "coupons": len(found)}).decode()
        record(turn.connection, caller_of(call), "coupons.void", "", call.now, details)
        return found

    return do_once(services, call, body, body.request_no, work)


def merge_coupons(services: Services, call: Call, body: MergeRequest) -> Reply:
    """Give everything in one member's wallet to another; noted in the audit without ids."""
    call.audited = True

    def write(connection: Connection) -> dict[str, object]:
        turn = Turn(connection, services.wallet, call.now, caller_of(call))
        merged = merge_wallets(turn, body.from_member_id, body.into_member_id)
        details = orjson.dumps({"moved": merged.coupons, "withdrawn": merged.withdrawn}).decode()
        record(connection, caller_of(call), "coupons.merge", f"member:{body.into_member_id}", call.now, details)
        return {"moved": merged.coupons, "withdrawn": merged.withdrawn}

    return once(services, call, body, write, durable=True)


def make_coupon_code(services: Services, call: Call, body: CodeRequest) -> Reply:
    """Make a number to show at a till."""

    def write(connection: Connection) -> dict[str, object]:
        turn = Turn(connection, services.wallet, call.now, caller_of(call))
        made = make_code(turn, body.coupon_id)
        refused = made if isinstance(made, Refusal) else None
        return {
            "digits": None if isinstance(made, Refusal) else made.digits,
            "barcode": None if isinstance(made, Refusal) else made.code,
            "format": "EAN-13",
            "expires_at": None if isinstance(made, Refusal) else made.expires_at.isoformat(),
            "reason": refused,
            "message": None if refused is None else sentence(Refused(refused), call.language),
        }

    return once(services, call, body, write, durable=True)


def _asking(services: Services, call: Call, connection: Connection) -> Turn:
    return Turn(connection, services.wallet, call.now, caller_of(call))


def _named(turn: Turn, call: Call, refs: Sequence[CouponRef], ask: Ask) -> list[Outcome]:
    return with_coupons(turn.connection, call, refs, ask)


_ANSWERED = (
    " A coupon that is refused is no error: the answer says `refused` with a `reason` and a sentence in the language of"
    " `Accept-Language`."
)
_ONCE = (
    " Send an `Idempotency-Key` of your own with every call: the same call sent again within 24 hours changes nothing"
    " and gets the first answer; the same key with another body is a 409. A `request_no` does the same for good."
)


def _write(
    name: str, summary: str, description: str, view: Callable[..., Reply], body: type[BaseModel], streamed: bool = True
) -> Operation:
    """Return an operation that changes the wallet."""
    return Operation(
        id=f"{name}_coupons",
        method="POST",
        path=f"/v1/coupons:{name}",
        tag=TAG,
        summary=summary,
        description=description + _ANSWERED + _ONCE,
        view=view,
        answers={200: CouponsAnswer},
        scope=Scope.COUPONS,
        body=body,
        problems=(CONFLICT,),
        localized=True,
        streamed=streamed,
        idempotent=True,
    )


OPERATIONS = (
    _write(
        "issue",
        "Give coupons to members.",
        "Each only if stock, limits, the member, the campaign and its holdout allow it; what cannot be looked up counts"
        " against it. A member held out of a campaign gets none of its coupons by any path, except by hand"
        " (`service`, without a campaign).",
        issue_coupons,
        IssueRequestBody,
        streamed=False,
    ),
    Operation(
        id="qualify_coupons",
        method="POST",
        path="/v1/coupons:qualify",
        tag=TAG,
        summary="A member's coupons for a basket, ranked by what they are worth.",
        description="Looks at the hundred coupons that expire first, and spends nothing." + _ANSWERED,
        view=qualify_coupons,
        answers={200: QualifyAnswer},
        scope=Scope.COUPONS,
        body=QualifyRequest,
        localized=True,
    ),
    Operation(
        id="validate_coupons",
        method="POST",
        path="/v1/coupons:validate",
        tag=TAG,
        summary="What coupons would take off a basket, to the cent.",
        description="The arithmetic of a lock, without spending." + _ANSWERED,
        view=validate_coupons,
        answers={200: CouponsAnswer},
        scope=Scope.COUPONS,
        body=ValidateRequest,
        localized=True,
    ),
    _write(
        "lock",
        "Reserve coupons and their budget for an order.",
        "Coupons apply one after the other, the one that is worth most first. A lock ends by itself after"
        " `ttl_seconds`; the same order may renew it, also for another basket.",
        lock_coupons,
        LockRequest,
    ),
    _write(
        "redeem",
        "Spend coupons for an order.",
        "Without `purchase`, those that the order locked, for what was reserved; with it, they are locked and spent in"
        " one go. Sent again by the same order it spends nothing more and answers `repeated`.",
        redeem_coupons,
        RedeemRequest,
    ),
    _write(
        "release",
        "Give the locks of an order back.",
        "The budget is free again at once.",
        release_coupons,
        ReleaseRequest,
    ),
    _write(
        "rollback",
        "Undo a redemption by its request number.",
        "For payments that failed. A redemption with that number that comes later is refused (`rolled_back`).",
        rollback_coupons,
        RollbackRequest,
    ),
    _write(
        "return",
        "Tell that an order was returned.",
        "A full return makes its coupons issued again, with the expiry they had, and restores the budget, once. A"
        " partial one is noted and restores neither.",
        return_coupons,
        ReturnRequest,
    ),
    _write(
        "void",
        "Withdraw coupons.",
        "Stock and the member's limit get them back. Redeemed ones stay.",
        void_coupons,
        VoidRequest,
        streamed=False,
    ),
    Operation(
        id="merge_coupons",
        method="POST",
        path="/v1/coupons:merge",
        tag=TAG,
        summary="Give one member's coupons to another: they are one person.",
        description=(
            "Coupons as they stand (with locks, expiries and till codes), those of other systems, redemptions, counters"
            " and holdouts become the other member's. Where both together have more of an offer than one member may"
            " have, the latest unused ones are withdrawn." + _ONCE
        ),
        view=merge_coupons,
        answers={200: MergeAnswer},
        scope=Scope.COUPONS,
        body=MergeRequest,
        problems=(CONFLICT, NOT_FOUND),
        idempotent=True,
    ),
    Operation(
        id="make_coupon_code",
        method="POST",
        path="/v1/coupons:code",
        tag=TAG,
        summary="A short-lived number to show at a till.",
        description=(
            "It stands for the coupon in every other call for `MEMBERWISE_COUPON_CODE_SECONDS`; a new one ends the one"
            " before." + _ONCE
        ),
        view=make_coupon_code,
        answers={200: CodeAnswer},
        scope=Scope.COUPONS,
        body=CodeRequest,
        problems=(CONFLICT,),
        localized=True,
        streamed=True,
        idempotent=True,
    ),
)
