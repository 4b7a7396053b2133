"""From bodies and parameters to the request that the core takes; what their schemas cannot tell is checked here."""

from __future__ import annotations

from dataclasses import replace

import orjson

from api.continuation import read_token
from api.customers import NamesCustomer, subject_of
from api.problems import INVALID_REQUEST, FieldError, ProblemError
from api.rank_schemas import RankRequest
from api.request_context import ContextBody
from api.services import Services
from api.slate_schemas import RecommendationRequest, SimilarQuery, SlateBody, SlateQuery
from api.strict_json import LaxJsonError, check_json
from recommender.context import CONTEXT_FIELDS
from recommender.errors import InputError
from recommender.placement import NO_PLACEMENT, NO_STEERING, Steering, parse_steering
from recommender.query import Scenario
from recommender.request import SlateRequest

NOTHING_SAID = ContextBody()


def request_of(services: Services, body: SlateBody) -> SlateRequest:
    """Return what a body asks for. Raises: ProblemError or InputError for what its schema cannot tell."""
    subject = _subject(services, body)
    request = slate_request(services, body.scenario, body, subject, body.context, body.steering())
    return replace(request, coupons=isinstance(body, RecommendationRequest) and body.include_coupons)


def ranking_of(services: Services, body: RankRequest) -> SlateRequest:
    """Return the request behind a ranking: a slate of `home` among the items listed, without its settings.

    Raises: ProblemError for what its schema cannot tell.
    """
    check_channel(services, body.channel)
    item_ids = list(dict.fromkeys(body.item_ids))
    return SlateRequest(
        scenario=Scenario.HOME,
        count=len(item_ids),
        subject=_subject(services, body),
        store_id=body.store_id,
        channel=body.channel,
        reachable_store_ids=body.reachable_store_ids,
        among=item_ids,
        placement=NO_PLACEMENT,
    )


def _subject(services: Services, body: NamesCustomer) -> str | None:
    try:
        return subject_of(body, services.hash_key)
    except InputError as error:
        raise _refusal(FieldError("identity.value", error.message, None, error.accepted)) from None


def slate_request(
    services: Services,
    scenario: Scenario,
    asked: SlateQuery,
    subject: str | None,
    context: ContextBody,
    steering: Steering,
) -> SlateRequest:
    """Return what is asked for.

    Args:
        services: channels and keys.
        scenario: the placement.
        asked: what any slate is asked for.
        subject: for whom.
        context: what the request is about.
        steering: what the request adds to the settings of the scenario.
    Raises: ProblemError or InputError, each naming the field.
    """
    check_channel(services, asked.channel)
    needed = CONTEXT_FIELDS.get(scenario)
    if needed is not None and needed not in context.model_fields_set:
        accepted = f"`context.{needed}` in the body of POST /v1/recommendations"
        raise _refusal(FieldError(f"context.{needed}", f"The scenario {scenario} is about it.", None, accepted))
    request = SlateRequest(
        scenario=scenario,
        count=asked.count,
        subject=subject,
        store_id=asked.store_id,
        channel=asked.channel,
        exclude=asked.exclude,
        context=context.value(),
        steering=steering,
        reachable_store_ids=asked.reachable_store_ids,
    )
    if asked.next is None:
        return request
    return replace(request, shown=read_token(services.hash_key.secret, asked.next, request))


def check_channel(services: Services, channel: str | None) -> None:
    """Check that a channel is known, if one is named. Raises: ProblemError, invalid-request."""
    if channel is not None and channel not in services.channels:
        known = "one of " + ", ".join(sorted(services.channels))
        raise _refusal(FieldError("channel", "The channel is not known.", channel, known))


def steering_of(query: SimilarQuery) -> Steering:
    """Return the steering of query parameters. Raises: InputError if the filter is none."""
    if query.filters is None:
        return NO_STEERING
    try:
        text = query.filters.encode()
        value = orjson.loads(text)
        check_json(text)
    except (LaxJsonError, ValueError) as error:
        reason = f"The filter is not valid JSON: {error}."
        raise InputError(
            reason, field="filters", value=query.filters, accepted='JSON such as {"brand":"Alm"}'
        ) from None
    return parse_steering({"filters": value})


def _refusal(error: FieldError) -> ProblemError:
    return ProblemError(INVALID_REQUEST, f"{error.field}: {error.detail}", (error,))
