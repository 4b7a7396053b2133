"""`memberwise deliveries`: list, replay."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

import click

from api.commands import operator_settings
from api.key_commands import COMMAND_LINE


@click.group()
def deliveries() -> None:
    """Messages of campaigns, and what became of them."""


@deliveries.command("list")
@click.option("--campaign", "campaign_id", help="Of this campaign.")
@click.option("--member", "member_id", help="To this member.")
@click.option("--state", help="In this state, such as failed.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=100, show_default=True)
def list_command(campaign_id: str | None, member_id: str | None, state: str | None, limit: int) -> None:
    """List messages in order of their ids."""
    from recommender.campaigns.messages import Choice, list_deliveries
    from recommender.campaigns.outbox import State
    from recommender.errors import InputError
    from recommender.storage.database import open_database

    if state is not None and state not in tuple(State):
        raise InputError("There is no such state.", field="state", value=state, accepted=", ".join(State))
    choice = Choice(campaign_id, member_id, None if state is None else State(state))
    with open_database(operator_settings()).read() as connection:
        for row in list_deliveries(connection, choice, limit):
            reason = row["reason"] or ""
            click.echo(
                f"{row['delivery_id']}  {row['campaign_id']}  {row['member_id']}  {row['transport']}"
                f"  {row['state']} {reason}  attempts {row['attempts']}  due {row['due_at']:%Y-%m-%d %H:%M:%S}"
            )


@deliveries.command()
@click.argument("delivery_ids", nargs=-1)
@click.option("--campaign", "campaign_id", help="All dead letters of this campaign.")
def replay(delivery_ids: tuple[str, ...], campaign_id: str | None) -> None:
    """Send dead letters again, under the same ids; exit code 1 if none of those named is one."""
    from recommender.campaigns.messages import failed_ids
    from recommender.campaigns.messages import replay as replay_messages
    from recommender.storage.audit import record
    from recommender.storage.database import open_database

    if bool(delivery_ids) == (campaign_id is not None):
        raise click.UsageError("Name messages, or a campaign.")
    now = datetime.now(UTC)
    with open_database(operator_settings()).write(durable=True) as connection:
        wanted = list(delivery_ids) if campaign_id is None else failed_ids(connection, campaign_id)
        done = replay_messages(connection, wanted, now)
        record(connection, COMMAND_LINE, "deliveries.replay", campaign_id or "", now, f'{{"messages": {done}}}')
    click.echo(f"{done} messages will be sent again.")
    if not done:
        sys.exit(1)
