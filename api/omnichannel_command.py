"""The command `memberwise reports omnichannel`. It turns settings into objects, and prints or writes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from api.moment import Moment
from recommender.campaigns.kpi_texts import DEFINITIONS, NOTES, GroupBy
from recommender.campaigns.report_texts import LANGUAGES


@click.command("omnichannel")
@click.option("--from", "since", type=Moment(), help="From this time on; by default the last 28 days.")
@click.option("--to", "until", type=Moment(), help="Before this time; by default now.")
@click.option("--group-by", type=click.Choice([one.value for one in GroupBy]), default=GroupBy.ALL.value)
@click.option("--store", "store_id", help="Only purchases in this store.")
@click.option("--region", help="Only purchases in stores of this region, or city without one.")
@click.option("--channel", help="Only purchases in this channel.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="A file: .json or .csv.")
@click.option("--language", type=click.Choice(LANGUAGES), default="en", help="Of names, and of what figures mean.")
def omnichannel(
    since: datetime | None, until: datetime | None, group_by: str, out: Path | None, language: str, **places: str | None
) -> None:
    """How customers move between shops and online, what they do again, what it earned and cost."""
    from api.outcomes import DEFAULT_DAYS
    from api.settings import ServiceSettings
    from recommender.campaigns.kpis import Asked, read_kpis
    from recommender.settings import read_settings
    from recommender.storage.database import open_database

    if out is not None and out.suffix not in (".json", ".csv"):
        raise click.BadParameter(f"{out.name!r} ends in neither .json nor .csv", param_hint="--out")
    settings = read_settings(ServiceSettings, os.environ)
    now = datetime.now(UTC)
    start, end = (time and (time if time.tzinfo else time.replace(tzinfo=settings.zone)) for time in (since, until))
    end = end or now
    asked = Asked(start or end - timedelta(days=DEFAULT_DAYS), end, GroupBy(group_by), **places)
    database = open_database(settings)
    try:
        report: Any = read_kpis(database, settings, asked, now)
    finally:
        database.dispose()
    if out is None:
        _show(report, language)
        return
    out.write_bytes(_file(report, out.suffix, language))
    click.echo(f"Written to {out}.")


def _file(report: Mapping[str, Any], suffix: str, language: str) -> bytes:
    import orjson

    from recommender.campaigns.kpi_table import kpi_csv
    from recommender.campaigns.kpi_texts import kpi_definitions

    if suffix == ".csv":
        # The mark in front tells spreadsheet programs that it is UTF-8.
        return b"\xef\xbb\xbf" + kpi_csv(report, language).encode()
    return orjson.dumps({**report, "definitions": kpi_definitions(language)}, option=orjson.OPT_INDENT_2)


def _show(report: Mapping[str, Any], language: str) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("", *(one["group"] or "-" for one in report["groups"]), box=None)
    for name, figure in DEFINITIONS.items():
        if name != "cohorts":
            table.add_row(figure.name.of(language), *(_cell(one["figures"][name]) for one in report["groups"]))
    Console(width=160).print(table)
    for cohort in report["cohorts"]:
        again = ", ".join(f"{name.replace('_', ' ')} {_cell(share)}" for name, share in cohort["repurchased"].items())
        click.echo(f"{cohort['cohort']}: {cohort['customers']:,}; {again}")
    for code in report["notes"]:
        click.echo(NOTES[code].of(language))


def _cell(found: Mapping[str, Any] | None) -> str:
    if found is None or found["value"] is None:
        return "-"
    if found["low"] is None:
        return f"{found['value']:,.3f}".rstrip("0").rstrip(".")
    return f"{found['value']:,.3f} [{found['low']:,.3f}, {found['high']:,.3f}]"
