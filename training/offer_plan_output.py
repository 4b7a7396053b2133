"""What a plan of offers leaves behind: a file with one row per coupon, a page with the profit curve, and a summary."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import pyarrow as pa

from recommender.coupons.curve import CurvePoint
from recommender.coupons.decisions import tally
from recommender.coupons.plan_log import fairness_document
from recommender.coupons.planning import PlanFigures
from recommender.errors import InputError
from training.charts import Line, Point, line_chart
from training.offer_plan import PlannedOffers
from training.recommend import SUFFIXES, table_writer

ROWS_AT_ONCE = 100_000
CENTS = 100
LARGE = 1000
"""Money from which on cents are not shown on the page."""
SCHEMA = pa.schema(
    [
        ("member_id", pa.string()),
        ("offer_id", pa.string()),
        ("expected_profit_cents", pa.float64()),
        ("expected_cost_cents", pa.float64()),
        ("redemption_probability", pa.float64()),
        ("propensity", pa.float64()),
    ]
)


def write_plan(planned: PlannedOffers, out: Path) -> int:
    """Write who gets what to a CSV or Parquet file, which appears when it is complete.

    Returns: the number of rows: one per coupon, and one with an empty offer_id per member without any.
    Raises: InputError if the file's name has another ending.
    """
    check_plan_file(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(f".{out.name}.part")
    rows = 0
    with table_writer(part, out.suffix, SCHEMA) as writer:
        for table in _tables(planned):
            writer.write_table(table)
            rows += table.num_rows
    part.replace(out)
    return rows


def check_plan_file(out: Path) -> None:
    """Check that a plan can be written to a file of this name."""
    if out.suffix not in SUFFIXES:
        raise InputError("The plan cannot be written.", field="out", value=out, accepted=" or ".join(SUFFIXES))


def _tables(planned: PlannedOffers) -> Iterator[pa.Table]:
    """Yield the rows of a plan, by member."""
    scores, explored = planned.scores, planned.plan.explored
    plan, k = explored.plan, len(scores.offer_id)
    without = np.setdiff1d(np.arange(len(scores.members)), plan.member_row)
    member = np.concatenate((plan.member_row, without)).astype(np.int64)
    offer = np.concatenate((plan.offer_row, np.full(len(without), k))).astype(np.int64)
    chance = np.concatenate((explored.propensity, explored.none_propensity[without]))
    order = np.argsort(member, kind="stable")
    names = np.array([*scores.offer_id, ""], dtype=object)
    for start in range(0, len(order), ROWS_AT_ONCE):
        at = order[start : start + ROWS_AT_ONCE]
        given = offer[at] < k
        cells = member[at], np.where(given, offer[at], 0)
        figures = {
            name: np.where(given, getattr(scores, name)[cells].astype(np.float64), 0.0)
            for name in ("expected_profit_cents", "expected_cost_cents", "redemption_probability")
        }
        columns = {"member_id": scores.members.ids(member[at]), "offer_id": names[offer[at]], **figures}
        yield pa.table(columns | {"propensity": np.clip(chance[at], 0.0, 1.0)}, schema=SCHEMA)


def write_curve(planned: PlannedOffers, out: Path) -> Path | None:
    """Write the page with the profit curve beside the plan; without a budget there is none."""
    if not planned.plan.curve:
        return None
    page = out.with_name(f"{out.stem}.curve.html")
    page.write_text(curve_page(planned.plan.curve, planned.plan.figures, planned.budget_cents or 0), "utf-8")
    return page


def curve_page(curve: tuple[CurvePoint, ...], figures: PlanFigures, budget_cents: int) -> str:
    """Write the profit curve as a self-contained HTML page."""
    from training.page import templates

    unit = _unit(max(max(point.budget_cents, point.profit_cents) for point in curve) / CENTS)
    points = [_point(point.budget_cents / CENTS / unit, point.profit_cents / CENTS / unit) for point in curve]
    return (
        templates()
        .get_template("plan.html")
        .render(
            chart=line_chart([Line("profit", points)]),
            unit=unit,
            points=[_row(point) for point in curve],
            figures=figures,
            budget=budget_cents / CENTS,
            cents=CENTS,
            digits=0 if budget_cents >= LARGE * CENTS else 2,
            percent=100 * figures.gap,
        )
    )


def _point(budget: float, profit: float) -> Point:
    return budget, profit, profit, profit, f"{budget:g}" if budget < CENTS else f"{budget:.0f}"


def _unit(largest: float) -> int:
    """Return 1, a thousand or a million: in it amounts have few digits."""
    return next((unit for unit in (1, 1000) if largest < 10_000 * unit), 1_000_000)


def _row(point: CurvePoint) -> dict[str, float]:
    return {
        "budget": point.budget_cents / CENTS,
        "profit": point.profit_cents / CENTS,
        "price": point.price,
    }


def plan_document(planned: PlannedOffers) -> dict[str, Any]:
    """Return the figures of a plan as JSON values."""
    figures = planned.plan.figures
    return {
        "members": figures.members,
        "reach": figures.reach,
        "coupons": figures.coupons,
        "explorers": figures.explorers,
        "budget_cents": planned.budget_cents,
        "planned_cost_cents": figures.planned_cost,
        "expected_cost_cents": figures.expected_cost,
        "expected_profit_cents": {"mean": figures.profit, "low": figures.low, "high": figures.high},
        "bound_cents": figures.bound,
        "gap": figures.gap,
        "shadow_price": figures.price,
        "assumed_coupons": figures.assumed,
        "left_out": {reason.value: count for reason, count in planned.left_out.items()},
        "unusable_offers": dict(planned.unusable),
        "reasons": {reason.value: count for reason, count in tally(planned.why).items()},
        "fairness": fairness_document(planned.plan.balance, planned.fairness),
        "curve": [
            {"budget_cents": point.budget_cents, "profit_cents": point.profit_cents, "shadow_price": point.price}
            for point in planned.plan.curve
        ],
    }


def show_plan(planned: PlannedOffers) -> None:
    """Print what a plan reaches, costs and is expected to earn."""
    figures = planned.plan.figures
    assumed = " (assumed: no past sends of these offers were randomised)" if figures.assumed else ""
    click.echo(f"Reach: {figures.reach:,} of {figures.members:,} members, {figures.coupons:,} coupons.")
    budget = "no budget" if planned.budget_cents is None else f"of a budget of {_money(planned.budget_cents)}"
    click.echo(
        f"Cost: {_money(figures.planned_cost)} discount at its upper confidence bound, {budget};"
        f" {_money(figures.expected_cost)} expected for the retailer."
    )
    click.echo(
        f"Expected incremental profit: {_money(figures.profit)}, 95 % interval {_money(figures.low)} to"
        f" {_money(figures.high)}{assumed}."
    )
    click.echo(f"Upper bound: {_money(figures.bound)}; no plan is more than {figures.gap:.2g} of it better.")
    if figures.price is not None:
        click.echo(f"Shadow price: 1 more of budget would earn {figures.price:,.2f} more.")
    if figures.explorers:
        click.echo(f"Lots were drawn for {figures.explorers:,} members.")
    for reason, count in sorted(planned.left_out.items()):
        click.echo(f"Left out of some or all offers ({reason}): {count:,} members.")
    for one in planned.plan.balance:
        if one.loyal and one.new:
            bound = f" who may have {', '.join(sorted(one.open_to))}" if one.open_to else ""
            verdict = "" if one.kept else "; loyal members are behind, new ones are given nothing now"
            click.echo(
                f"Loyal members{bound}: {_money(one.loyal_cents)} per head in the quarter and this plan; new ones:"
                f" {_money(one.new_cents)}{verdict}."
            )
    for offer_id, why in sorted(planned.unusable.items()):
        click.echo(f"Offer {offer_id} is not part of the plan: {why}")


def _money(cents: float) -> str:
    return f"{cents / CENTS:,.2f}"
