"""Several requests in one call: read apart, answered together, each with a slate or a problem of its own."""

from __future__ import annotations

from collections.abc import Sequence

from api.asking import request_of
from api.problems import INVALID_REQUEST, ProblemError, problem_of
from api.reading import field_errors
from api.services import Call, Services
from api.slate_schemas import RecommendationRequest, UnreadableRequest
from api.slates import Body, serve_slates
from api.validation import serve_validation
from recommender.errors import MemberwiseError
from recommender.request import SlateRequest


def serve_batch(
    services: Services, call: Call, entries: Sequence[RecommendationRequest | UnreadableRequest]
) -> list[Body]:
    """Return for each entry a result or a problem, in their order.

    Raises: ProblemError, no-bundle, before the first bundle; StoreBusyError.
    """
    asked = [_read(services, entry) for entry in entries]
    wanted = [request for request, validate_only in _requests(asked) if not validate_only]
    served = iter(serve_slates(services, call, wanted))
    answers: list[Body] = []
    for one in asked:
        found: Body | MemberwiseError
        if isinstance(one, MemberwiseError):
            found = one
        elif one[1]:
            found = _validated(services, call, one[0])
        else:
            found = next(served)
        answers.append(_entry(call, found))
    return answers


Asked = tuple[SlateRequest, bool] | MemberwiseError
"""A request and whether it is only to be checked; or what is wrong with it."""


def _read(services: Services, entry: RecommendationRequest | UnreadableRequest) -> Asked:
    if isinstance(entry, UnreadableRequest):
        errors = field_errors(entry.error, RecommendationRequest)
        return ProblemError(INVALID_REQUEST, f"{errors[0].field}: {errors[0].detail}", errors)
    try:
        return request_of(services, entry), entry.validate_only
    except MemberwiseError as error:
        return error


def _requests(asked: Sequence[Asked]) -> list[tuple[SlateRequest, bool]]:
    return [one for one in asked if not isinstance(one, MemberwiseError)]


def _validated(services: Services, call: Call, request: SlateRequest) -> Body | MemberwiseError:
    try:
        return serve_validation(services, call, request)
    except MemberwiseError as error:
        return error


def _entry(call: Call, found: Body | MemberwiseError) -> Body:
    if isinstance(found, MemberwiseError):
        return {"result": None, "problem": problem_of(found).body(call.request_id)}
    return {"result": found, "problem": None}
