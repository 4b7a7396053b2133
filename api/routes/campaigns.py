"""Campaigns: created, planned, approved, launched, paused and followed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from pydantic import BaseModel
from sqlalchemy.engine import Connection

from api.auth import Scope
from api.campaign_schemas import (
    BudgetBody,
    CampaignAnswer,
    CampaignBody,
    CampaignsAnswer,
    ExportQuery,
    ListQuery,
    MessagesAnswer,
    MessagesBody,
    PlanAnswer,
    StepBody,
    TermsBody,
    TimelineAnswer,
)
from api.campaigns import campaign_body, export_lines, plan_body, step_body, terms_of
from api.idempotency import once
from api.openapi import Operation, Reply
from api.plan_page import PAGE_HEADERS, plan_page
from api.problems import CONFLICT, NOT_FOUND
from api.services import Call, Services
from api.wallet import caller_of
from recommender.campaigns.campaign import By, Campaign
from recommender.campaigns.lifecycle import Action, Status
from recommender.campaigns.plans import PlanJob, latest_plan, request_plan
from recommender.campaigns.preview import preview
from recommender.campaigns.running import call_off
from recommender.campaigns.store import (
    change_budget,
    change_terms,
    create_campaign,
    get_campaign,
    list_campaigns,
    move,
    read_timeline,
)
from recommender.errors import NotFoundError

TAG = "campaigns"
HTML, NDJSON, CSV = "text/html", "application/x-ndjson", "text/csv"
Write = Callable[[Connection, By], Campaign]


def post_campaign(services: Services, call: Call, body: CampaignBody) -> Reply:
    """Create a draft."""
    return _once(services, call, body, None, lambda c, by: create_campaign(c, body.campaign_id, terms_of(body), by))


def get_campaigns(services: Services, _call: Call, query: ListQuery) -> Reply:
    """List campaigns by id."""
    chosen = [] if query.status is None else [Status(query.status)]
    with services.database.read() as connection:
        found = list_campaigns(connection, chosen, query.limit, query.after or "")
        rows = [campaign_body(connection, one) for one in found]
    return Reply({"campaigns": rows, "next": found[-1].campaign_id if len(found) == query.limit else None})


def get_one_campaign(services: Services, _call: Call, campaign_id: str) -> Reply:
    """Return one campaign."""
    with services.database.read() as connection:
        return Reply(campaign_body(connection, get_campaign(connection, campaign_id)))


def put_campaign(services: Services, call: Call, campaign_id: str, body: TermsBody) -> Reply:
    """Change what a campaign is about."""
    call.audited = True
    with services.database.write(durable=True) as connection:
        by = By(caller_of(call), call.now, body.version)
        return Reply(campaign_body(connection, change_terms(connection, campaign_id, terms_of(body), by)))


def put_campaign_budget(services: Services, call: Call, campaign_id: str, body: BudgetBody) -> Reply:
    """Change a budget by compare-and-set."""
    call.audited = True
    with services.database.write(durable=True) as connection:
        by = By(caller_of(call), call.now, body.version)
        return Reply(campaign_body(connection, change_budget(connection, campaign_id, body.budget_cents, by)))


def plan_one(services: Services, call: Call, campaign_id: str, body: StepBody) -> Reply:
    """Ask for a plan."""
    call.audited = True

    def write(connection: Connection) -> dict[str, object]:
        return plan_body(request_plan(connection, campaign_id, By(caller_of(call), call.now, body.version)))

    return once(services, call, body, write, durable=True)


def cancel_one(services: Services, call: Call, campaign_id: str, body: StepBody) -> Reply:
    """Cancel a campaign; what was not sent is skipped."""
    return _once(services, call, body, body.version, lambda c, by: call_off(c, campaign_id, by, _told(body)))


def _stepping(action: Action) -> Callable[..., Reply]:
    """Return the view of a step that only moves the campaign."""

    def view(services: Services, call: Call, campaign_id: str, body: StepBody) -> Reply:
        """Take a step."""
        return _once(services, call, body, body.version, lambda c, by: move(c, campaign_id, action, by, _told(body)))

    return view


def preview_one(services: Services, call: Call, campaign_id: str, body: MessagesBody) -> Reply:
    """Show what members would read."""
    with services.database.read(snapshot=True) as connection:
        campaign = get_campaign(connection, campaign_id)
        found = preview(connection, campaign, body.member_ids, services.settings.zone, call.now)
    return Reply({"messages": [asdict(one) for one in found]})


def get_plan_of(services: Services, _call: Call, campaign_id: str) -> Reply:
    """Return the latest plan of a campaign."""
    with services.database.read() as connection:
        return Reply(plan_body(_plan(connection, campaign_id)))


def get_plan_page(services: Services, call: Call, campaign_id: str) -> Reply:
    """Return the latest plan as a page."""
    with services.database.read() as connection:
        campaign, job = get_campaign(connection, campaign_id), _plan(connection, campaign_id)
    return Reply(plan_page(campaign, job, call.language), 200, f"{HTML}; charset=utf-8", PAGE_HEADERS)


def get_allocations(services: Services, _call: Call, campaign_id: str, query: ExportQuery) -> Reply:
    """Write every member of a plan."""
    with services.database.read() as connection:
        get_campaign(connection, campaign_id)
    media_type = f"{CSV}; charset=utf-8" if query.format == "csv" else NDJSON
    return Reply(export_lines(services.database, campaign_id, query.format), 200, media_type)


def get_timeline(services: Services, _call: Call, campaign_id: str) -> Reply:
    """Return everything that happened to a campaign."""
    with services.database.read() as connection:
        get_campaign(connection, campaign_id)
        steps = read_timeline(connection, campaign_id)
    return Reply({"campaign_id": campaign_id, "steps": [step_body(step) for step in steps]})


def _plan(connection: Connection, campaign_id: str) -> PlanJob:
    get_campaign(connection, campaign_id)
    found = latest_plan(connection, campaign_id)
    if found is None:
        raise NotFoundError("The campaign has no plan yet.", field="campaign_id", value=campaign_id)
    return found


def _told(body: StepBody) -> dict[str, Any]:
    return {} if body.reason is None else {"reason": body.reason}


def _once(services: Services, call: Call, body: BaseModel, version: int | None, write: Write) -> Reply:
    """Take a step once per Idempotency-Key, and answer with the campaign."""
    call.audited = True

    def answer(connection: Connection) -> dict[str, object]:
        return campaign_body(connection, write(connection, By(caller_of(call), call.now, version)))

    return once(services, call, body, answer, durable=True)


def _step(action: Action, summary: str, description: str, view: Callable[..., Reply] | None = None) -> Operation:
    return Operation(
        id=f"{action}_campaign",
        method="POST",
        path=f"/v1/campaigns/{{campaign_id}}:{action}",
        tag=TAG,
        summary=summary,
        description=description + _REFUSED,
        view=view or _stepping(action),
        answers={200: PlanAnswer if action is Action.PLAN else CampaignAnswer},
        scope=Scope.CAMPAIGNS,
        body=StepBody,
        problems=(NOT_FOUND, CONFLICT),
        idempotent=True,
    )


def _read(name: str, path: str, summary: str, description: str, view: Callable[..., Reply], **more: Any) -> Operation:
    return Operation(
        id=name,
        method="GET",
        path=f"/v1/campaigns/{{campaign_id}}{path}",
        tag=TAG,
        summary=summary,
        description=description,
        view=view,
        scope=Scope.CAMPAIGNS,
        problems=(NOT_FOUND,),
        **more,
    )


_REFUSED = (
    " A step that the campaign's state does not allow is a 409 that says why. `version`, if it is given, must be the"
    " campaign's. Every step is on the timeline and in the audit trail."
)
OPERATIONS = (
    Operation(
        id="create_campaign",
        method="POST",
        path="/v1/campaigns",
        tag=TAG,
        summary="Create a campaign.",
        description=(
            "A draft: dates, budget, offers, and `settings`, which say whom it may reach, who is kept back to measure"
            " it, how messages leave, and what they say."
        ),
        view=post_campaign,
        answers={200: CampaignAnswer},
        scope=Scope.CAMPAIGNS,
        body=CampaignBody,
        problems=(NOT_FOUND, CONFLICT),
        idempotent=True,
    ),
    Operation(
        id="get_campaigns",
        method="GET",
        path="/v1/campaigns",
        tag=TAG,
        summary="All campaigns.",
        description="By id; those that were only loaded from files are not among them.",
        view=get_campaigns,
        answers={200: CampaignsAnswer},
        scope=Scope.CAMPAIGNS,
        query=ListQuery,
    ),
    _read(
        "get_campaign",
        "",
        "One campaign.",
        "What it is about, where it is in its life, and which steps are possible.",
        get_one_campaign,
        answers={200: CampaignAnswer},
    ),
    Operation(
        id="put_campaign",
        method="PUT",
        path="/v1/campaigns/{campaign_id}",
        tag=TAG,
        summary="Change a campaign before its launch.",
        description="In whole, from the version that was seen. A plan that was made is void, and so is its approval.",
        view=put_campaign,
        answers={200: CampaignAnswer},
        scope=Scope.CAMPAIGNS,
        body=TermsBody,
        problems=(NOT_FOUND, CONFLICT),
    ),
    Operation(
        id="put_campaign_budget",
        method="PUT",
        path="/v1/campaigns/{campaign_id}/budget",
        tag=TAG,
        summary="Change the budget, also of a campaign that runs.",
        description=(
            "By compare-and-set: `version` is the campaign's as it was seen. Less than what is spent or reserved is a"
            " 409. The plan stays; the budget is held when coupons are locked."
        ),
        view=put_campaign_budget,
        answers={200: CampaignAnswer},
        scope=Scope.CAMPAIGNS,
        body=BudgetBody,
        problems=(NOT_FOUND, CONFLICT),
    ),
    _step(
        Action.PLAN,
        "Ask for a plan.",
        "A job: `GET .../plan` follows it. Planned again, the plan before and its approval are void.",
        plan_one,
    ),
    _step(
        Action.APPROVE,
        "Approve the plan.",
        "By another key than those that made or changed the campaign, where its `approval` says `other_key`.",
    ),
    _step(
        Action.LAUNCH,
        "Launch the campaign.",
        "It starts when the time to undo (`undo_seconds`) is over, and not before `starts_at`.",
    ),
    _step(Action.UNDO, "Take a launch back.", "While the time to undo lasts; the plan stays approved."),
    _step(Action.PAUSE, "Pause the campaign.", "Within a second nothing is sent and no coupon is given any more."),
    _step(Action.RESUME, "Go on with a paused campaign.", "What waited is sent, if it is still in time."),
    _step(
        Action.CANCEL,
        "Cancel the campaign for good.",
        "What was not sent is skipped; coupons that were given stay what they are.",
        cancel_one,
    ),
    Operation(
        id="preview_campaign",
        method="POST",
        path="/v1/campaigns/{campaign_id}:preview",
        tag=TAG,
        summary="What members would read.",
        description=(
            "Of members that are named, or of the first few whom the plan gives an offer; in their language, with"
            " `problem` where they would get nothing as things stand. Nothing is sent."
        ),
        view=preview_one,
        answers={200: MessagesAnswer},
        scope=Scope.CAMPAIGNS,
        body=MessagesBody,
        problems=(NOT_FOUND,),
    ),
    _read(
        "get_campaign_plan",
        "/plan",
        "The latest plan: how far it is, and what it says.",
        "Reach, cost, expected extra profit with its interval, the bound no plan can pass, what one more cent would"
        " earn, the smallest effect that the holdout can tell from chance, who is left out and why.",
        get_plan_of,
        answers={200: PlanAnswer},
    ),
    _read(
        "get_campaign_plan_page",
        "/plan.html",
        "The latest plan as a page, in Chinese or English.",
        "In plain words; the details are folded.",
        get_plan_page,
        answers={200: None},
        media_types=(HTML,),
        localized=True,
    ),
    _read(
        "get_campaign_allocations",
        "/allocations",
        "Every member of the plan.",
        "Their group, what they get or, kept back, would have got, and with which chance; as a stream. The CSV is safe"
        " to open in spreadsheet programs.",
        get_allocations,
        answers={200: None},
        media_types=(NDJSON, CSV),
        query=ExportQuery,
    ),
    _read(
        "get_campaign_timeline",
        "/timeline",
        "Everything that happened to a campaign.",
        "Each step with who took it and when.",
        get_timeline,
        answers={200: TimelineAnswer},
    ),
)
