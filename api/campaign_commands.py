"""`memberwise campaigns`: create, plan, approve, launch, pause, resume, cancel, show, list, export; and reports."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from api.campaign_report_command import campaign_report
from api.commands import operator_settings
from api.key_commands import COMMAND_LINE

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from recommender.campaigns.campaign import By, Campaign
    from recommender.campaigns.lifecycle import Action
    from recommender.campaigns.plans import PlanJob
    from recommender.storage.database import Database

Write = Callable[["Connection", "By"], "Campaign"]

_version = click.option("--version", type=click.IntRange(1), help="Only if the campaign is still at this version.")
_reason = click.option("--reason", help="Kept on the timeline.")
_by = click.option("--by", default=COMMAND_LINE, show_default=True, help="Who does it, for the timeline and the audit.")
_zone_help = "A day or a time; without an offset in the installation's time zone."


@click.group()
def campaigns() -> None:
    """Look after campaigns: from an audience and a budget to messages and what they changed."""


campaigns.add_command(campaign_report)


@campaigns.command()
@click.argument("campaign_id")
@click.option("--offer", "offers", multiple=True, required=True, help="An offer it may give; say it once for each.")
@click.option("--from", "starts", type=click.DateTime(), required=True, help=_zone_help)
@click.option("--until", "ends", type=click.DateTime(), required=True, help=_zone_help)
@click.option("--budget", type=click.IntRange(0), help="Discount that may be granted, in cents; left out: no limit.")
@click.option("--name", help="What people call it.")
@click.option("--settings", "file", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="JSON file: audience, holdout, transport, message and more; see docs/campaigns.md.")  # fmt: skip
@_by
def create(
    campaign_id: str,
    offers: tuple[str, ...],
    starts: datetime,
    ends: datetime,
    budget: int | None,
    name: str | None,
    file: Path | None,
    by: str,
) -> None:
    """Create the draft CAMPAIGN_ID."""
    from recommender.campaigns.campaign import CampaignTerms
    from recommender.campaigns.store import create_campaign

    zone = operator_settings().zone
    starts, ends = (time if time.tzinfo else time.replace(tzinfo=zone) for time in (starts, ends))
    terms = CampaignTerms(name, starts, ends, budget, offers, _json(file))
    _write(by, None, lambda connection, who: create_campaign(connection, campaign_id, terms, who))


@campaigns.command()
@click.argument("campaign_id")
@click.argument("cents")
@click.option("--version", type=click.IntRange(1), required=True, help="The version it was decided on.")
@_by
def budget(campaign_id: str, cents: str, version: int, by: str) -> None:
    """Set the budget of CAMPAIGN_ID to CENTS, or to `none` for no limit."""
    from recommender.campaigns.store import change_budget

    if cents != "none" and not cents.isdecimal():
        raise click.BadParameter("cents, or none", param_hint="CENTS")
    wanted = None if cents == "none" else int(cents)
    _write(by, version, lambda connection, who: change_budget(connection, campaign_id, wanted, who))


@campaigns.command()
@click.argument("campaign_id")
@click.option("--wait", is_flag=True, help="Make the plan now, in a process of its own, and show it.")
@_version
@_by
def plan(campaign_id: str, wait: bool, version: int | None, by: str) -> None:
    """Ask for a plan of CAMPAIGN_ID; the background worker makes it. Exit code 1 if --wait and it fails."""
    from recommender.campaigns.campaign import By
    from recommender.campaigns.plans import get_plan, request_plan

    database = _database()
    with database.write(durable=True) as connection:
        job = request_plan(connection, campaign_id, By(by, datetime.now(UTC), version))
    if wait:
        from api.supervisor import start_child
        from api.worker import PLAN

        start_child(PLAN, os.environ).wait()
        with database.read() as connection:
            job = get_plan(connection, job.plan_id)
    _show_plan(job)
    if job.error is not None:
        sys.exit(1)


def _step(action: str, text: str) -> None:
    """Add a command that takes one step."""

    @campaigns.command(action, help=text)
    @click.argument("campaign_id")
    @_reason
    @_version
    @_by
    def command(campaign_id: str, reason: str | None, version: int | None, by: str) -> None:
        from recommender.campaigns.lifecycle import Action
        from recommender.campaigns.running import call_off
        from recommender.campaigns.store import move

        wanted: Action = Action(action)
        details = {} if reason is None else {"reason": reason}
        if wanted is Action.CANCEL:
            _write(by, version, lambda connection, who: call_off(connection, campaign_id, who, details))
        else:
            _write(by, version, lambda connection, who: move(connection, campaign_id, wanted, who, details))


for _action, _text in {
    "approve": "Approve the plan of CAMPAIGN_ID.",
    "launch": "Launch CAMPAIGN_ID: it starts when the time to undo is over.",
    "undo": "Take the launch of CAMPAIGN_ID back while there is time.",
    "pause": "Pause CAMPAIGN_ID: within a second nothing is sent any more.",
    "resume": "Go on with the paused CAMPAIGN_ID.",
    "cancel": "Cancel CAMPAIGN_ID for good; what was not sent is skipped.",
}.items():
    _step(_action, _text)


@campaigns.command()
@click.argument("campaign_id")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(campaign_id: str, as_json: bool) -> None:
    """Show CAMPAIGN_ID: where it is in its life, its plan, and everything that happened to it."""
    from api.campaigns import campaign_body, plan_body, step_body
    from recommender.campaigns.plans import latest_plan
    from recommender.campaigns.store import get_campaign, read_timeline

    with _database().read() as connection:
        campaign = get_campaign(connection, campaign_id)
        body, job = campaign_body(connection, campaign), latest_plan(connection, campaign_id)
        steps = read_timeline(connection, campaign_id)
    if as_json:
        told = {
            "campaign": body,
            "plan": None if job is None else plan_body(job),
            "timeline": list(map(step_body, steps)),
        }
        _print_json(told)
        return
    for name in ("campaign_id", "name", "status", "version", "starts_at", "ends_at", "budget_cents", "spent_cents"):
        click.echo(f"{name:<14} {body[name]}")
    if job is not None:
        _show_plan(job)
    for step in steps:
        details = " ".join(f"{name}={value}" for name, value in step.details.items())
        click.echo(
            f"{step.at:%Y-%m-%d %H:%M:%S}  {step.action:<10} {step.status:<10} {step.caller}  {details}".rstrip()
        )


@campaigns.command("list")
@click.option("--status", help="Only in this state.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=100, show_default=True)
def list_command(status: str | None, limit: int) -> None:
    """List campaigns by id."""
    from recommender.campaigns.lifecycle import Status
    from recommender.campaigns.store import list_campaigns

    if status is not None and status not in set(Status):
        raise click.BadParameter(", ".join(Status), param_hint="--status")
    with _database().read() as connection:
        for one in list_campaigns(connection, [] if status is None else [Status(status)], limit):
            span = f"{one.starts_at:%Y-%m-%d} to {one.ends_at:%Y-%m-%d}"
            click.echo(f"{one.campaign_id}  {one.status:<9}  {one.kind:<9}  {span}  {one.name or ''}".rstrip())


@campaigns.command()
@click.argument("campaign_id")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help=".csv or .ndjson")
def export(campaign_id: str, out: Path) -> None:
    """Write every member of the plan of CAMPAIGN_ID to a file; the CSV is safe to open in spreadsheet programs."""
    from api.campaigns import export_lines
    from recommender.campaigns.store import get_campaign
    from recommender.errors import InputError

    form = out.suffix.removeprefix(".")
    if form not in ("csv", "ndjson"):
        raise InputError(
            "Members cannot be written to such a file.", field="out", value=out, accepted=".csv or .ndjson"
        )
    database = _database()
    with database.read() as connection:
        get_campaign(connection, campaign_id)
    part = out.with_name(f".{out.name}.part")
    with part.open("wb") as file:
        for lines in export_lines(database, campaign_id, form):
            file.write(lines)
    part.replace(out)
    click.echo(f"Written: {out}")


def _database() -> Database:
    from recommender.storage.database import open_database

    return open_database(operator_settings())


def _write(by: str, version: int | None, write: Write) -> None:
    """Take a step, and say where the campaign is now."""
    from recommender.campaigns.campaign import By

    with _database().write(durable=True) as connection:
        done = write(connection, By(by, datetime.now(UTC), version))
    starts = (
        "" if done.launch_at is None else f", starts at {max(done.launch_at, done.starts_at):%Y-%m-%d %H:%M:%S} UTC"
    )
    click.echo(f"{done.campaign_id}  {done.status}  version {done.version}{starts}")


def _json(file: Path | None) -> Mapping[str, Any]:
    """Read an object of JSON. Raises: InputError."""
    import orjson

    from recommender.errors import InputError

    if file is None:
        return {}
    try:
        found = orjson.loads(file.read_bytes())
    except orjson.JSONDecodeError as error:
        raise InputError(f"The settings are not JSON: {error}.", field="settings", value=file) from error
    if not isinstance(found, dict):
        raise InputError("Settings are an object.", field="settings", value=file, accepted="an object of JSON")
    return found


def _print_json(value: object) -> None:
    import orjson

    click.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2))


def _show_plan(job: PlanJob) -> None:
    """Say how far a plan is, or what it says."""
    if job.error is not None:
        click.echo(f"plan {job.plan_id} failed: {job.error}")
        return
    if not job.figures:
        click.echo(f"plan {job.plan_id}  {job.status}  {job.step}  {100 * job.progress:.0f} %")
        return
    figures, cents = job.figures, 100
    profit = {name: f"{value / cents:,.2f}" for name, value in figures["expected_profit_cents"].items()}
    click.echo(f"plan {job.plan_id}  bundle {job.bundle_id}")
    click.echo(
        f"  reach          {figures['reach']:,} of {figures['members']:,} members; kept back {figures['control']:,}"
    )
    click.echo(f"  discount       at most {figures['planned_cost_cents'] / cents:,.2f}")
    click.echo(f"  extra profit   {profit['mean']}, 95 % interval {profit['low']} to {profit['high']}")
    if figures["shadow_price"] is not None:
        click.echo(f"  one more 1,000 would earn {1000 * figures['shadow_price']:,.2f} more")
    power = figures["power"]
    if power and power["smallest_effect_total_cents"] is not None:
        click.echo(f"  can be told from chance: an extra {power['smallest_effect_total_cents'] / cents:,.2f} and more")
    for offer_id, why in sorted(figures["unusable_offers"].items()):
        click.echo(f"  not given      {offer_id}: {why}")
    for code in figures["warnings"]:
        click.echo(f"  note           {code.replace('_', ' ')}")
    for reason, number in sorted(figures["left_out"].items()):
        click.echo(f"  left out       {number:,} {reason}")
