"""Commands that tell what came of recommendations. They turn settings into objects, and print."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any

import click
import orjson

from api.moment import Moment
from api.omnichannel_command import omnichannel
from recommender.storage.outcome_report import GROUPS

HEADINGS = ("slates", "items", "viewed", "basket", "purchased", "revenue", "assisted")


@click.group()
def reports() -> None:
    """What came of what was shown, and how customers move between channels."""


reports.add_command(omnichannel)


@reports.command("recommendations")
@click.option("--from", "since", type=Moment(), help="Slates from this time on; by default the last 28 days.")
@click.option("--to", "until", type=Moment(), help="Slates before this time; by default now.")
@click.option("--group-by", "group_by", multiple=True, type=click.Choice(list(GROUPS)), default=("scenario",))
@click.option("--scenario", help="Only this placement.")
@click.option("--shadow", is_flag=True, help="Slates made in shadow mode, which nobody saw.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def recommendations(
    since: datetime | None,
    until: datetime | None,
    group_by: tuple[str, ...],
    scenario: str | None,
    shadow: bool,
    as_json: bool,
) -> None:
    """Views, baskets, purchases and revenue of items shown, with 95 % intervals."""
    from api.outcomes import outcome_report
    from api.settings import ServiceSettings
    from recommender.settings import read_settings
    from recommender.storage.database import open_database

    settings = read_settings(ServiceSettings, os.environ)
    start, end = (time and (time if time.tzinfo else time.replace(tzinfo=settings.zone)) for time in (since, until))
    database = open_database(settings)
    with database.read() as connection:
        report: Any = outcome_report(connection, settings, datetime.now(UTC), start, end, group_by, scenario, shadow)
    database.dispose()
    if as_json:
        click.echo(orjson.dumps(report, option=orjson.OPT_INDENT_2).decode())
        return
    _show(report, group_by)


def _show(report: dict[str, Any], group_by: tuple[str, ...]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(*group_by, *HEADINGS, box=None)
    for found in report["groups"]:
        attributed, assisted = found["attributed"], found["assisted"]
        shares = [_share(attributed[name]["rate"]) for name in ("viewed", "added_to_basket", "purchased")]
        table.add_row(
            *("-" if value is None else str(value) for value in found["group"].values()),
            f"{found['slates']:,}",
            f"{found['items']:,}",
            *shares,
            f"{attributed['revenue']['cents'] / 100:,.2f}",
            _share(assisted["purchased"]["rate"]),
        )
    Console(width=160).print(table)
    click.echo(
        f"From {report['from']} to {report['to']}; acts may still come for slates after {report['complete_until']}."
    )
    click.echo(report["method"])


def _share(rate: dict[str, float | None]) -> str:
    if rate["value"] is None:
        return "-"
    bounds = "" if rate["low"] is None or rate["high"] is None else f" [{rate['low']:.2%}, {rate['high']:.2%}]"
    return f"{rate['value']:.2%}{bounds}"
