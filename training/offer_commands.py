"""Commands about offers: what they are worth to whom."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

import click

from recommender.settings import CoreSettings, read_settings
from training.allocate_command import allocate
from training.model_commands import Moment
from training.place import open_place
from training.plan_command import plan

OUTCOMES = ("profit", "redemption")


@click.group()
def offers() -> None:
    """Say what offers are worth, and who gets which."""


@offers.command()
@click.option("--pairs", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="CSV or Parquet with member_id and offer_id, or member_id and campaign_id.")  # fmt: skip
@click.option("--at", type=Moment(), required=True, help="Only what happened before this time counts.")
@click.option("--outcome", type=click.Choice(OUTCOMES), default=OUTCOMES[0], show_default=True)
@click.option("--bundle", "bundle_id", help="The bundle to use; by default the promoted one.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help=".csv or .parquet")
def score(pairs: Path, at: datetime, outcome: str, bundle_id: str | None, out: Path) -> None:
    """Write what each pair of a member and an offer is worth: incremental profit in cents, or chance to redeem.

    With campaign_id in place of offer_id: the chance that the member redeems any offer of the campaign.
    """
    from training.score_pairs import score_pairs

    with open_place(read_settings(CoreSettings, os.environ)) as place:
        moment = at if at.tzinfo else at.replace(tzinfo=place.settings.zone)
        bundle = place.registry.open(bundle_id)
        written = score_pairs(place, bundle, pairs, moment, outcome, out)
    click.echo(f"{written.rows:,} pairs, bundle {bundle.bundle_id}: {out}")
    if written.strangers:
        click.echo(f"{written.strangers:,} pairs are of members of whom nothing is known.")
    if written.unscored:
        click.echo(f"{written.unscored:,} pairs have no score: {written.problem}")
    if written.assumed:
        click.echo("Profits are assumed, not learned: no past sends were randomised.")
    if moment < bundle.trained_until:
        click.echo(f"The bundle has learned from data until {bundle.trained_until}, later than `at`.")


offers.add_command(allocate)
offers.add_command(plan)
