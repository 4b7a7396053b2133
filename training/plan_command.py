"""The command `memberwise offers plan`: makes the plans of campaigns that were asked for, one after the other."""

from __future__ import annotations

import logging
import os
from datetime import UTC, datetime

import click

from recommender.errors import MemberwiseError
from recommender.settings import CoreSettings, read_settings
from training.place import Place, open_place

logger = logging.getLogger(__name__)


@click.command()
@click.option("--requested", is_flag=True, help="All plans that wait, oldest first; the background worker calls this.")
@click.option("--bundle", "bundle_id", help="The bundle to use; by default the promoted one.")
def plan(requested: bool, bundle_id: str | None) -> None:
    """Make the plans of campaigns that were asked for with `memberwise campaigns plan` or over the API."""
    if not requested:
        raise click.UsageError("Say --requested.")
    with open_place(read_settings(CoreSettings, os.environ)) as place:
        while make_next(place, bundle_id):
            pass


def make_next(place: Place, bundle_id: str | None = None) -> bool:
    """Make the plan that has waited longest; tell whether there was one. What goes wrong is kept with the plan."""
    from recommender.campaigns.plans import fail_plan, take_plan
    from training.campaign_plan import plan_campaign

    with place.database.write() as connection:
        job = take_plan(connection, datetime.now(UTC))
    if job is None:
        return False
    try:
        plan_campaign(place, place.registry.open(bundle_id), job, lambda: datetime.now(UTC))
    except Exception as error:  # the process edge of one job: whoever asked must learn of it
        told = error if isinstance(error, MemberwiseError) else "The planner failed; its log says why."
        with place.database.write() as connection:
            fail_plan(connection, job.plan_id, told, datetime.now(UTC))
        logger.warning("plan_failed plan=%s reason=%s", job.plan_id, error)
        if not isinstance(error, MemberwiseError):
            raise
    else:
        logger.info("plan_made plan=%s campaign=%s", job.plan_id, job.campaign_id)
    return True
