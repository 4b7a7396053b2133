"""The command `memberwise campaigns report`. It turns settings into objects, and prints or writes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from recommender.campaigns.report_texts import LANGUAGES, Segmentation

SHOWN = ("sales", "margin", "profit", "orders", "visits")


@click.command("report")
@click.argument("campaign_id")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="A file: .json, .csv or .html.")
@click.option(
    "--segment-by", type=click.Choice([one.value for one in Segmentation]), default=Segmentation.HISTORY.value
)
@click.option("--language", type=click.Choice(LANGUAGES), default="en", help="Of the page and of what figures mean.")
def campaign_report(campaign_id: str, out: Path | None, segment_by: str, language: str) -> None:
    """What a campaign changed, cost and earned, with 95 % intervals."""
    from api.settings import ServiceSettings
    from recommender.campaigns.report import read_report
    from recommender.settings import read_settings
    from recommender.storage.database import open_database

    _check(out)
    settings = read_settings(ServiceSettings, os.environ)
    database = open_database(settings)
    try:
        report: Any = read_report(database, settings, campaign_id, datetime.now(UTC), Segmentation(segment_by))
    finally:
        database.dispose()
    if out is None:
        _show(report)
        return
    out.write_bytes(_file(report, out.suffix, language, settings.currency))
    click.echo(f"Written to {out}.")


def _check(out: Path | None) -> None:
    if out is not None and out.suffix not in (".json", ".csv", ".html"):
        raise click.BadParameter(f"{out.name!r} ends in none of .json, .csv and .html", param_hint="--out")


def _file(report: Mapping[str, Any], suffix: str, language: str, currency: str) -> bytes:
    import orjson

    from api.campaign_report_page import report_page
    from recommender.campaigns.report_table import report_csv
    from recommender.campaigns.report_texts import definitions

    if suffix == ".html":
        return report_page(report, language, currency)
    if suffix == ".csv":
        # The mark in front tells spreadsheet programs that it is UTF-8.
        return b"\xef\xbb\xbf" + report_csv(report, language).encode()
    return orjson.dumps({**report, "definitions": definitions(language)}, option=orjson.OPT_INDENT_2)


def _show(report: Mapping[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    from api.campaign_report_page import count, money, percent
    from recommender.campaigns.report_texts import MONEY, REASONS

    table = Table("", "treated", "control", "per member", "95 % interval", "in total", "verdict", box=None)
    for name in SHOWN:
        found, write = report["effects"][name]["adjusted"], money if name in MONEY else count
        one = found["per_member"]
        bounds = f"{write(one['low'])} to {write(one['high'])}"
        figures = (write(found["treated_mean"]), write(found["control_mean"]), write(one["value"]), bounds)
        table.add_row(name, *figures, write(found["total"]["value"]), found["verdict"])
    Console(width=120).print(table)
    earned, costs = report["return_on_cost"]["adjusted"], report["costs"]
    click.echo(
        f"Cost {money(costs['total_cents'])}; return on cost {percent(earned['value'])}"
        f" ({percent(earned['low'])} to {percent(earned['high'])}, {earned['method']})."
    )
    click.echo(f"{report['verdict']['figure']}: {report['verdict']['says']}.")
    for code in report["verdict"]["because"]:
        click.echo(REASONS[code].en)
