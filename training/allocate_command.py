"""The command `memberwise offers allocate`: who gets which offer within the budget."""

from __future__ import annotations

import os
import secrets
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import click

from recommender.coupons.exploring import MOST_SHARE
from recommender.coupons.fairness import FairnessRules
from recommender.coupons.kept_plans import Reasons, keep_plan
from recommender.coupons.limits import MOST
from recommender.coupons.plan_files import write_multipliers
from recommender.coupons.plan_log import log_plan
from recommender.coupons.planning import multipliers_of
from recommender.settings import CoreSettings, read_settings
from training.model_commands import Moment
from training.place import open_place
from training.printing import as_json, print_json

EXPLORE = 0.01
"""Share of the members for whom lots are drawn, where nothing else is asked."""


@click.command()
@click.option("--campaign", "campaign_id", help="Plan with this campaign's offers and budget; else all valid offers.")
@click.option("--budget", type=click.IntRange(0, MOST), help="Discount that may be granted, in cents.")
@click.option("--liability", type=click.IntRange(0, MOST), help="Discount if every coupon is redeemed, in cents.")
@click.option("--per-member", type=click.IntRange(1, 20), default=1, show_default=True, help="Most coupons each.")
@click.option("--at", type=Moment(), help="Plan as of this time; by default now.")
@click.option("--explore", type=click.FloatRange(0, MOST_SHARE), default=EXPLORE, show_default=True,
              help="Share of the members for whom lots are drawn; 0: nobody.")  # fmt: skip
@click.option("--pessimism", type=click.FloatRange(0), default=0.0, show_default=True,
              help="Standard errors by which every profit is lowered.")  # fmt: skip
@click.option("--stock/--no-stock", default=None,
              help="Leave out what is sold out in reach, or for other channels; unless --at is past.")  # fmt: skip
@click.option("--bundle", "bundle_id", help="The bundle to use; by default the promoted one.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help=".csv or .parquet")
@as_json
def allocate(
    campaign_id: str | None,
    budget: int | None,
    liability: int | None,
    per_member: int,
    at: datetime | None,
    explore: float,
    pessimism: float,
    stock: bool | None,
    bundle_id: str | None,
    out: Path,
    as_json: bool,
) -> None:
    """Plan who gets which offer, for the most expected profit within budget, stock and limits.

    Writes the plan, and beside it a page with the profit curve over budgets.
    """
    from training.offer_plan import PlanAsk, plan_offers, reach_of
    from training.offer_plan_output import check_plan_file, plan_document, show_plan, write_curve, write_plan
    from training.offer_scores import OfferScorer

    check_plan_file(out)
    with open_place(read_settings(CoreSettings, os.environ)) as place:
        moment = at or datetime.now(UTC)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=place.settings.zone)
        bundle = place.registry.open(bundle_id)
        ask = PlanAsk(campaign_id, moment, budget, liability, per_member, explore, pessimism)
        scorer = cache(lambda: OfferScorer(place, bundle, moment))
        fairness = FairnessRules.of(place.settings)
        looked_at = stock if stock is not None else at is None or moment >= datetime.now(UTC)
        planned = plan_offers(
            place.database,
            ask,
            lambda offers: scorer().scores(offers),
            fairness,
            (lambda: reach_of(place, scorer().spending.items)) if looked_at else None,
            place.settings.coupon_household_limits,
        )
        rows = write_plan(planned, out)
        page = write_curve(planned, out)
        multipliers = multipliers_of(planned.plan, planned.scores, campaign_id, bundle.bundle_id)
        write_multipliers(place.settings.home, multipliers)
        facts = scorer().facts(planned.scores.offer_id)
        reasons = Reasons(secrets.token_hex(16), planned.why)
        with place.database.write(durable=True) as connection:
            log_plan(connection, reasons.plan_id, planned.plan, planned.why, multipliers, fairness, datetime.now(UTC))
        keep_plan(place.settings.home, planned.plan, planned.scores, multipliers, facts, reasons=reasons)
    if as_json:
        print_json(plan_document(planned) | {"bundle_id": bundle.bundle_id, "rows": rows})
        return
    show_plan(planned)
    click.echo(f"{rows:,} rows, bundle {bundle.bundle_id}: {out}" + (f"; profit curve: {page}" if page else ""))
