"""The wallet over HTTP: requests from bodies, outcomes as answers tell them."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence

import orjson
from pydantic import BaseModel
from sqlalchemy.engine import Connection

from api.coupon_schemas import CouponRef, IssueRow, PurchaseBody
from api.idempotency import once
from api.openapi import Reply
from api.services import Call, Services
from recommender.coupons.codes import coupons_of
from recommender.coupons.discount import Refused
from recommender.coupons.issuing import IssueRequest
from recommender.coupons.purchases import Purchase, PurchaseLine
from recommender.coupons.refusal_texts import sentence
from recommender.coupons.refusals import Refusal
from recommender.coupons.requests import CLOSED, earlier_request, keep_request
from recommender.coupons.wallet import Outcome, Turn, refusal
from recommender.storage.hashing import HashKey, hash_value

Body = dict[str, object]
Work = Callable[[Turn], list[Outcome]]


def do_once(services: Services, call: Call, body: BaseModel, request_no: str | None, work: Work) -> Reply:
    """Do a write on the wallet once per Idempotency-Key and, if it has one, per business request number.

    A request of which everything was refused did nothing, so its number may come again.
    """

    def write(connection: Connection) -> Body:
        turn = Turn(connection, services.wallet, call.now, caller_of(call), request_no)
        content = orjson.dumps(body.model_dump(mode="json", exclude_unset=True), option=orjson.OPT_SORT_KEYS).decode()
        if request_no is not None:
            kept = earlier_request(connection, call.operation, request_no, content)
            if kept == CLOSED:
                named = [getattr(one, "coupon_id", None) for one in getattr(body, "coupons", (None,))]
                return outcomes_body([refusal(Refusal.ROLLED_BACK, coupon_id=one) for one in named], call.language)
            if kept is not None:
                answer: Body = orjson.loads(kept)
                return answer
        outcomes = work(turn)
        services.metrics.note_coupons(call.operation, outcomes)
        done = outcomes_body(outcomes, call.language)
        if request_no is not None and any(one.refused is None for one in outcomes):
            keep_request(connection, call.operation, request_no, content, orjson.dumps(done).decode(), call.now)
        return done

    return once(services, call, body, write, durable=True)


def with_coupons(
    connection: Connection, call: Call, refs: Sequence[CouponRef], ask: Callable[[list[str]], list[Outcome]]
) -> list[Outcome]:
    """Look up what codes stand for, ask about each coupon once, and return the outcomes in the order of `refs`."""
    codes = coupons_of(connection, [ref.code for ref in refs if ref.code is not None], call.now)
    named: list[str | Refusal] = [
        codes[ref.code] if ref.code is not None else ref.coupon_id or Refusal.UNKNOWN_COUPON for ref in refs
    ]
    distinct = list(dict.fromkeys(one for one in named if not isinstance(one, Refusal)))
    found = dict(zip(distinct, ask(distinct), strict=True))
    outcomes: list[Outcome] = []
    for one in named:
        if isinstance(one, Refusal):
            outcomes.append(refusal(one))
        else:
            outcomes.append(found.pop(one) if one in found else refusal(Refusal.NAMED_TWICE, coupon_id=one))
    return outcomes


def outcomes_body(outcomes: Sequence[Outcome], language: str) -> Body:
    """Return outcomes as answers hold them; they name no member."""
    done = sum(one.refused is None for one in outcomes)
    return {
        "done": done,
        "refused": len(outcomes) - done,
        "discount_cents": sum(_cents(one) for one in outcomes if one.refused is None),
        "coupons": [outcome_body(one, language) for one in outcomes],
    }


def outcome_body(one: Outcome, language: str) -> Body:
    """Return one outcome as answers hold it."""
    coupon, refused, discount = one.coupon, one.refused, one.discount
    return {
        "coupon_id": one.coupon_id,
        "result": "refused" if refused is not None else "repeated" if one.repeated else "done",
        "status": None if coupon is None else coupon.status,
        "reason": None if refused is None else refused.reason,
        "message": None if refused is None else sentence(refused, language),
        "short_by": None if refused is None else refused.short_by,
        "offer_id": None if coupon is None else coupon.offer_id,
        "discount_cents": 0 if refused is not None else _cents(one),
        "line_discounts_cents": [] if discount is None else list(discount.line_cents),
        "delivery_discount_cents": 0 if discount is None else discount.delivery_cents,
        "expires_at": None if coupon is None or coupon.expires_at is None else coupon.expires_at.isoformat(),
        "locked_until": None if coupon is None or coupon.locked_until is None else coupon.locked_until.isoformat(),
    }


def told(reason: Refusal, language: str) -> Body:
    """Return a refusal that is about no coupon in particular, as answers hold it."""
    return outcome_body(Outcome(None, None, Refused(reason)), language)


def purchase_of(body: PurchaseBody) -> Purchase:
    """Return a purchase as the wallet takes it."""
    lines = tuple(
        PurchaseLine(line.item_id, line.quantity, line.unit_price_cents, line.discount_cents) for line in body.lines
    )
    return Purchase(lines, body.store_id, body.channel, body.fulfilment, body.delivery_fee_cents)


def issue_request(services: Services, row: IssueRow) -> IssueRequest:
    """Return a request to issue, with keyed hashes in place of device, payer and phone number.

    Raises: InputError if the phone number has no digits.
    """
    key = services.hash_key
    return IssueRequest(
        offer_id=row.offer_id,
        member_id=row.member_id,
        campaign_id=row.campaign_id,
        service=row.service,
        expires_at=row.expires_at,
        device=_hashed(key, "device", row.device),
        payer=_hashed(key, "payer", row.payer),
        phone=None if row.phone is None else hash_value("phone", row.phone, key.secret, key.version),
    )


def caller_of(call: Call) -> str:
    """Return the id of the key that calls."""
    return "" if call.caller is None else call.caller.key_id


def _cents(one: Outcome) -> int:
    if one.discount is not None:
        return one.discount.total_cents
    return 0 if one.coupon is None else one.coupon.discount_cents


def _hashed(key: HashKey, kind: str, value: str | None) -> str | None:
    if value is None:
        return None
    return hmac.new(key.secret, f"{kind}:{value}".encode(), hashlib.sha256).hexdigest()
