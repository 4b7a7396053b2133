"""Commands about bundles: list, show, compare, verify, promote, roll back, remove."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime

import click
from rich.table import Table

from recommender.errors import ConflictError
from recommender.registry import BundleEntry, Registry
from recommender.settings import CoreSettings, read_settings
from recommender.storage.experiments import running_experiments
from training.place import open_place
from training.printing import as_json, figure, print_json, show_report, wide_console
from training.report import Document, compare_reports
from training.tables import results_markdown


@click.group()
def bundles() -> None:
    """List, compare, promote and remove bundles."""


@bundles.command("list")
@as_json
def list_bundles(as_json: bool) -> None:
    """List all bundles, newest data first; * marks the promoted one."""
    entries = _registry().list()
    if as_json:
        print_json([_entry_document(entry) for entry in entries])
        return
    table = Table("", "bundle", "data until (UTC)", "made (UTC)", "last event", "MiB", "problem", box=None)
    for entry in entries:
        facts = entry.manifest.facts if entry.manifest else None
        size = sum(size for size, _ in entry.manifest.files.values()) if entry.manifest else 0
        table.add_row(
            "*" if entry.current else "",
            entry.bundle_id,
            f"{facts.trained_until:%Y-%m-%d %H:%M}" if facts else "",
            f"{facts.created_at:%Y-%m-%d %H:%M}" if facts else "",
            str(facts.last_sequence) if facts else "",
            f"{size / 2**20:.1f}",
            entry.problem or "",
        )
    wide_console().print(table if entries else "No bundles yet: `memberwise train` makes one.")


@bundles.command("show")
@click.argument("bundle_id", required=False)
@click.option("--markdown", is_flag=True, help="Print every table with intervals, in Markdown.")
@as_json
def show_bundle(bundle_id: str | None, markdown: bool, as_json: bool) -> None:
    """Show a bundle's report (by default the promoted one's)."""
    bundle = _registry().open(bundle_id, verify=False)
    report: Document = json.loads(bundle.text("report.json"))
    if as_json:
        print_json(report)
    elif markdown:
        click.echo(results_markdown(report), nl=False)
    else:
        show_report(report)
        click.echo(f"The page with plots: {bundle.path / 'report.html'}")


@bundles.command("compare")
@click.argument("first")
@click.argument("second")
@as_json
def compare_bundles(first: str, second: str, as_json: bool) -> None:
    """Set the test figures of two bundles side by side."""
    registry = _registry()
    reports = [json.loads(registry.open(name, verify=False).text("report.json")) for name in (first, second)]
    same, lines = compare_reports(*reports)
    if as_json:
        rows = [{"subset": x.subset, "measure": x.measure, "first": x.first, "second": x.second} for x in lines]
        print_json({"first": first, "second": second, "same_window": same, "rows": rows})
        return
    table = Table("items", "measure", first, second, "difference", box=None)
    for line in lines:
        both = line.first is not None and line.second is not None
        difference = f"{(line.second or 0) - (line.first or 0):+.4f}" if both else "–"
        table.add_row(line.subset, line.measure, figure(line.first), figure(line.second), difference)
    wide_console().print(table)
    if not same:
        click.echo("The two were tested on different windows or members: the differences are not comparable.")


@bundles.command("verify")
@click.argument("bundle_id", required=False)
def verify_bundle(bundle_id: str | None) -> None:
    """Compare every file of a bundle with its checksum."""
    bundle = _registry().open(bundle_id)
    click.echo(f"{bundle.bundle_id}: {len(bundle.manifest.files)} files are as they were written.")


@bundles.command("promote")
@click.argument("bundle_id")
def promote_bundle(bundle_id: str) -> None:
    """Serve a bundle from now on; running workers notice by themselves."""
    _registry().promote(bundle_id, datetime.now(UTC))
    click.echo(f"{bundle_id} is promoted.")


@bundles.command("rollback")
def rollback_bundle() -> None:
    """Serve the bundle that was promoted before the current one."""
    click.echo(f"{_registry().rollback(datetime.now(UTC))} is promoted again.")


@bundles.command("remove")
@click.argument("bundle_id")
def remove_bundle(bundle_id: str) -> None:
    """Delete a bundle that is neither promoted nor part of a running experiment."""
    settings = read_settings(CoreSettings, os.environ)
    with open_place(settings) as place:
        with place.database.read() as connection:
            for experiment in running_experiments(connection):
                if bundle_id in (experiment.control.bundle_id, experiment.treatment.bundle_id):
                    raise ConflictError(f"The experiment {experiment.name} needs this bundle.", value=bundle_id)
        place.registry.remove(bundle_id)
    click.echo(f"{bundle_id} is removed.")


def _entry_document(entry: BundleEntry) -> dict[str, object]:
    facts = entry.manifest.facts if entry.manifest else None
    return {
        "bundle_id": entry.bundle_id,
        "current": entry.current,
        "trained_until": facts.trained_until.isoformat() if facts else None,
        "created_at": facts.created_at.isoformat() if facts else None,
        "last_sequence": facts.last_sequence if facts else None,
        "problem": entry.problem,
    }


def _registry() -> Registry:
    return Registry(read_settings(CoreSettings, os.environ).models)
