"""One member: what is known, what was shown and why, consents, export and erasure."""

from __future__ import annotations

import re
import time

from api import problems
from api.auth import MemberAccess, Scope
from api.member_schemas import (
    ConsentAnswer,
    ConsentRequest,
    ErasureAnswer,
    ExportAnswer,
    ProfileAnswer,
    ShownAnswer,
    ShownQuery,
)
from api.members import consent_body, export_body, profile_body, refuse_erased, shown_body, span_of
from api.openapi import Operation, Reply
from api.problems import FORBIDDEN, INVALID_REQUEST, FieldError, ProblemError
from api.services import Call, Services
from recommender.erasing import proof_document
from recommender.errors import NotFoundError
from recommender.storage.audit import record
from recommender.storage.erasure import find_erasure, request_erasure, sweep
from recommender.storage.members import GUARDIAN_PERSONALIZATION, read_member
from recommender.storage.personal import subjects_held
from recommender.storage.shown import LONGEST_ANSWERS, Consent, read_shown
from recommender.storage.types import EPOCH
from recommender.storage.upserts import upsert

TAG = "members"
PURPOSE = re.compile(r"[a-z0-9_]{1,64}")


def get_profile(services: Services, call: Call, member_id: str) -> Reply:
    """Answer with what is known."""
    return Reply(profile_body(services, member_id, call.language, call.now))


def get_shown(services: Services, call: Call, member_id: str, query: ShownQuery) -> Reply:
    """Answer with what was shown."""
    since, until = (EPOCH, call.now) if query.day is None else span_of(query.day, services.settings.zone)
    with services.database.read() as connection:
        refuse_erased(connection, member_id)
        subjects = subjects_held(connection, member_id)
        found = read_shown(connection, member_id, subjects, since, until, query.recommendation_id)
    chosen = [one for one in found if query.item_id in (None, *(item.item_id for item in one.items))]
    complete = len(found) < LONGEST_ANSWERS
    return Reply({"member_id": member_id, "complete": complete, "answers": [shown_body(one) for one in chosen]})


def put_consent(services: Services, call: Call, member_id: str, purpose: str, body: ConsentRequest) -> Reply:
    """Record what a member says of a purpose."""
    if not PURPOSE.fullmatch(purpose):
        error = FieldError("purpose", "This is no purpose.", purpose[:200], "1 to 64 of a-z, 0-9 and _")
        raise ProblemError(INVALID_REQUEST, f"{error.field}: {error.detail}", (error,))
    if purpose == GUARDIAN_PERSONALIZATION and call.caller is not None and call.caller.member_id is not None:
        error = FieldError("purpose", "A guardian's consent is not the member's to give.", purpose, "an API key")
        raise ProblemError(FORBIDDEN, error.detail, (error,))
    consent = Consent(purpose, body.channel, body.granted, call.now, body.wording_version, body.source)
    row = {name: getattr(consent, name) for name in Consent.__slots__} | {"member_id": member_id}
    with services.database.write(durable=True) as connection:
        refuse_erased(connection, member_id)
        upsert(connection, "consents", [row], call.now)
        member = read_member(connection, member_id, call.now)
    personalised = member is None or member.personalised
    call.notes |= {"purpose": purpose, "granted": body.granted}
    return Reply({"consent": consent_body(consent), "personalised": personalised})


def get_export(services: Services, call: Call, member_id: str) -> Reply:
    """Answer with everything held; who asked is on record."""
    caller = call.caller
    with services.exports.passing(None if caller is None else caller.member_id, time.monotonic()):
        found = export_body(services, member_id, call.now)
    by = caller.key_id if caller is not None else ""
    with services.database.write() as connection:
        call.audited = True
        record(connection, by, call.operation, f"member:{member_id}", call.now)
    return Reply(found)


def delete_member(services: Services, call: Call, member_id: str) -> Reply:
    """Erase a member: all use ends in this call; log and bundles follow."""
    by = call.caller.key_id if call.caller is not None else ""
    with services.database.write(durable=True) as connection:
        erasure = request_erasure(connection, member_id, by, services.hash_key, call.now)
    erasure = sweep(services.database, erasure, call.now)
    call.notes |= {"erasure_id": erasure.erasure_id}
    return Reply(proof_document(erasure))


def get_erasure(services: Services, _call: Call, member_id: str) -> Reply:
    """Answer with the proof of an erasure."""
    with services.database.read() as connection:
        erasure = find_erasure(connection, member_id)
    if erasure is None:
        raise NotFoundError("This member was not erased.")
    return Reply(proof_document(erasure))


_SHOWN = """
Every answer given to the member on a day of the retailer's time zone, or one answer by its id: the items with the
reason that was given, the retriever and the bundle behind it, the experiment, what rules refused (`dropped`), and the
consent to personalisation that held at that moment. Answers appear a few seconds after they were given.
"""
_CONSENT = """
`personalization` switches personal recommendations off (`granted` false) or on; it acts on the next answer, in every
scenario: slates are then made of what is popular, trending and new, and flagged `not_personalised`. The consent of a
guardian, without which a known minor gets no personal recommendations, has the purpose `guardian_personalization` and
is recorded with an API key only. Consents are kept one after the other; the latest holds.
"""
_ERASE = """
All use of the member's data ends with this call: requests, exposures still on their way and the next training leave
them out. Rows in the database are deleted; events and exposures stay without the member; books that must be kept
(coupons, sends, redemptions) stay under a pseudonym until their time is over. `memberwise erase --apply` then writes
the event log anew and removes older bundles. Asking again answers with the same erasure. The answer is its proof.
"""

OPERATIONS = (
    Operation(
        id="get_profile",
        method="GET",
        path="/v1/members/{member_id}/profile",
        tag=TAG,
        summary="What is known of a member.",
        description="Kinds of data, how much and since when, consents, links without their values, and how it is used.",
        view=get_profile,
        answers={200: ProfileAnswer},
        scope=Scope.ADMIN,
        member=MemberAccess.PATH,
        problems=(problems.NOT_FOUND,),
        localized=True,
    ),
    Operation(
        id="get_shown",
        method="GET",
        path="/v1/members/{member_id}/shown",
        tag=TAG,
        summary="What a member was shown or refused, when, why, by which bundle, under which consent.",
        description=_SHOWN,
        view=get_shown,
        answers={200: ShownAnswer},
        scope=Scope.ADMIN,
        member=MemberAccess.PATH,
        query=ShownQuery,
        problems=(problems.NOT_FOUND,),
    ),
    Operation(
        id="put_consent",
        method="PUT",
        path="/v1/members/{member_id}/consents/{purpose}",
        tag=TAG,
        summary="Record a consent, such as switching personal recommendations off or on.",
        description=_CONSENT,
        view=put_consent,
        answers={200: ConsentAnswer},
        scope=Scope.CATALOG,
        member=MemberAccess.PATH,
        body=ConsentRequest,
        problems=(problems.NOT_FOUND,),
    ),
    Operation(
        id="get_export",
        method="GET",
        path="/v1/members/{member_id}/export",
        tag=TAG,
        summary="Everything held on a member.",
        description=(
            "Rows of the database, events of the log and the bundle's history. The export is itself on record. Each"
            " reads the whole event log: one is made at a time, and after one a member token waits ten minutes."
        ),
        view=get_export,
        answers={200: ExportAnswer},
        scope=Scope.ADMIN,
        member=MemberAccess.PATH,
        problems=(problems.NOT_FOUND,),
    ),
    Operation(
        id="delete_member",
        method="DELETE",
        path="/v1/members/{member_id}",
        tag=TAG,
        summary="Erase a member.",
        description=_ERASE,
        view=delete_member,
        answers={200: ErasureAnswer},
        scope=Scope.ADMIN,
    ),
    Operation(
        id="get_erasure",
        method="GET",
        path="/v1/members/{member_id}/erasure",
        tag=TAG,
        summary="The proof of an erasure.",
        description="What was removed, how much and when. It names nobody: the member is found by a keyed hash.",
        view=get_erasure,
        answers={200: ErasureAnswer},
        scope=Scope.ADMIN,
        problems=(problems.NOT_FOUND,),
    ),
)
