"""Commands that take exports in: ingest, profile, members. They turn settings into objects, and print."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console

from recommender.columns import MEMBER_KINDS
from recommender.errors import InputError
from recommender.settings import read_settings
from recommender.storage.database import Database, open_database
from training.ingest import IngestOptions, IngestReport, open_stores
from training.ingest import ingest as ingest_files
from training.ingest_settings import IngestSettings
from training.loading.report import print_report
from training.printing import as_json, print_json
from training.progress import Bars, Silent
from training.sources.mapping_file import parse_mapping, read_mapping

PATH = click.Path(path_type=Path)
zone_option = click.option("--time-zone", help="Zone of times without an offset; by default the mapping's.")


@click.command()
@click.argument("paths", nargs=-1, required=True, type=PATH)
@click.option("--mapping", "mapping_file", type=PATH, help="TOML file that maps a raw export.")
@click.option("--source", help="Name of where the rows come from; by default the mapping's.")
@zone_option
@click.option("--dry-run", is_flag=True, help="Check and report only.")
@click.option("--strict", is_flag=True, help="Exit with 1 if any row is rejected.")
@as_json
def ingest(
    paths: tuple[Path, ...],
    mapping_file: Path | None,
    source: str | None,
    time_zone: str | None,
    dry_run: bool,
    strict: bool,
    as_json: bool,
) -> None:
    """Load exports: canonical tables from files or folders, or raw exports with --mapping.

    Bad rows go to a reject file in HOME/rejects and stop nothing. Loading a file again adds nothing.
    """
    mapping = None if mapping_file is None else read_mapping(mapping_file)
    options = IngestOptions(mapping, source, _checked_zone(time_zone), dry_run)
    report = _run(paths, options, as_json)
    _show(report, as_json)
    if report.failed or (strict and report.rejected):
        sys.exit(1)


@click.command()
@click.argument("file", type=PATH)
@click.option("--mapping", "mapping_file", type=PATH, help="Report on the file as this mapping reads it.")
@click.option("--out", type=PATH, help="Write the drafted mapping to this file instead of printing it.")
@zone_option
@as_json
def profile(file: Path, mapping_file: Path | None, out: Path | None, time_zone: str | None, as_json: bool) -> None:
    """Look at a raw export: draft its mapping, and report what loading it would give. Loads nothing."""
    from training.profile import draft_mapping

    zone = _checked_zone(time_zone)
    draft = None if mapping_file is not None else draft_mapping(file, zone)
    if draft is not None and out is not None:
        if out.exists():
            raise InputError("The file exists already.", field="out", value=out, accepted="a new file")
        out.write_text(draft.text, encoding="utf-8")
    if mapping_file is not None:
        mapping = read_mapping(mapping_file)
    elif draft is not None and draft.usable:
        mapping = parse_mapping(draft.text, "the draft")
    else:
        mapping = None
    report = None if mapping is None else _run((file,), IngestOptions(mapping, None, zone, True), as_json)
    if as_json:
        drafted = None if draft is None else draft.text
        print_json({"mapping": drafted, "report": None if report is None else report.as_json()})
        return
    if draft is not None and out is None:
        click.echo(draft.text)
    if report is not None:
        _show(report, as_json=False)
    elif draft is not None:
        click.echo("The draft is not complete; fill in what it marks with ??? before loading.", err=True)


@click.group()
def members() -> None:
    """Find members who are not ordinary customers, and say what they are."""


@members.command()
@as_json
def audit(as_json: bool) -> None:
    """List member ids that may be shared till cards, resellers or tests, with evidence; change nothing."""
    from training.audit import audit_members, print_suspects

    settings = read_settings(IngestSettings, os.environ)
    with _opened(settings) as database:
        suspects = audit_members(database, settings)
    if as_json:
        print_json({"suspects": [suspect.as_json() for suspect in suspects]})
    else:
        print_suspects(suspects, Console())


@members.command(name="set-kind")
@click.argument("member_id")
@click.argument("kind", type=click.Choice(MEMBER_KINDS))
def set_member_kind(member_id: str, kind: str) -> None:
    """Say what a member is; only consumers shape the models and are recommended to."""
    from training.audit import set_kind

    settings = read_settings(IngestSettings, os.environ)
    with _opened(settings) as database:
        before = set_kind(database, member_id, kind, datetime.now(UTC))
    click.echo(f"{member_id}: {before} -> {kind}. The next training takes note of it.")


def _run(paths: tuple[Path, ...], options: IngestOptions, quiet: bool) -> IngestReport:
    settings = read_settings(IngestSettings, os.environ)
    progress = Silent() if quiet else Bars()
    with _opened(settings) as database:
        stores = open_stores(settings, database)
        return ingest_files(paths, settings, stores, options, progress, datetime.now(UTC))


def _show(report: IngestReport, as_json: bool) -> None:
    if as_json:
        print_json(report.as_json())
    else:
        print_report(report, Console())


@contextmanager
def _opened(settings: IngestSettings) -> Iterator[Database]:
    database = open_database(settings)
    try:
        yield database
    finally:
        database.dispose()


def _checked_zone(name: str | None) -> str | None:
    from zoneinfo import ZoneInfo

    if name is not None:
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError):
            raise InputError(
                "There is no such time zone.", field="time-zone", value=name, accepted="UTC, Asia/Shanghai, ..."
            ) from None
    return name
