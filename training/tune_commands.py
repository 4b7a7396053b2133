"""The command that tunes: it turns settings into objects, prints what was found, and writes a settings file."""

from __future__ import annotations

import os
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from recommender.settings import CoreSettings, read_settings
from training.model_commands import Moment
from training.place import Place, open_place
from training.printing import as_json, print_json, wide_console
from training.progress import Bars, Silent
from training.settings import TrainingSettings, read_training_settings, settings_text

if TYPE_CHECKING:
    from training.metrics import Interval
    from training.tune import Tuned

FOLDER = "tuning"
"""Folder in HOME of the trials and, by default, of the settings found."""


@click.command()
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), help="Stop after this time.  [default: 15]")
@click.option("--trials", type=click.IntRange(1), help="Stop after so many trials of each retriever; repeatable.")
@click.option("--settings", "file", type=click.Path(path_type=Path), help="TOML file of settings to begin with.")
@click.option("--until", type=Moment(), help="Use events before this time only.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the settings found to this file.")
@as_json
def tune(
    minutes: float | None,
    trials: int | None,
    file: Path | None,
    until: datetime | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Find settings on the validation window and write them to a file for `memberwise train --settings`.

    The test window is never looked at. Trials are kept: an interrupted or repeated run goes on where it was.
    """
    settings = read_training_settings(file)
    seconds = None if minutes is None and trials is not None else 60 * (minutes or 15)
    with open_place(read_settings(CoreSettings, os.environ)) as place:
        tuned = _tune(place, settings, until, seconds, trials, as_json)
        path = out or place.settings.home / FOLDER / "settings.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(settings_text(tuned.settings), "utf-8")
    print_json(_document(tuned, path)) if as_json else _show(tuned, path)


def _tune(
    place: Place,
    settings: TrainingSettings,
    until: datetime | None,
    seconds: float | None,
    trials: int | None,
    quiet: bool,
) -> Tuned:
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    from training.train import split_of
    from training.tune import Budget, tune_settings
    from training.unify import read_dataset

    if until is not None and until.tzinfo is None:
        until = until.replace(tzinfo=place.settings.zone)
    progress = Silent() if quiet else Bars()
    with threadpool_limits(1, "blas"):
        with progress.stage("read"):
            dataset = read_dataset(place.database, place.settings, until, datetime.now(UTC))
        window = split_of(dataset, settings).validation
        folder = place.settings.home / FOLDER
        return tune_settings(dataset, window, settings, folder, Budget(seconds, trials), progress)


def _show(tuned: Tuned, path: Path) -> None:
    console = wide_console()
    table = Table("retriever", "items", "trials", "as given", "best", "difference [95 %]", "", box=None)
    for part in tuned.parts:
        figures = f"{part.before.mean:.4f}", f"{part.after.mean:.4f}", _signed(part.difference)
        table.add_row(part.name, part.subset, str(part.trials), *figures, "kept" if part.kept else "")
        if part.kept:
            console.print(f"{part.name}: " + ", ".join(f"{name} = {value:g}" for name, value in part.values.items()))
    console.print(table)
    if tuned.whole:
        table = Table("all together", "as given [95 %]", "tuned [95 %]", "difference [95 %]", box=None)
        for row in tuned.whole:
            table.add_row(row.subset, row.before.text, row.after.text, _signed(row.difference))
        console.print(table)
    verdict = f"Better with new values of {', '.join(tuned.accepted)}:" if tuned.better else "Nothing better was found:"
    click.echo(
        f"NDCG@10 on the validation window. {verdict} {'these' if tuned.better else 'the given'} settings are in {path}"
    )
    click.echo(f"  memberwise train --settings {path}")


def _signed(interval: Interval) -> str:
    return f"{interval.mean:+.4f} [{interval.low:+.4f}, {interval.high:+.4f}]"


def _document(tuned: Tuned, path: Path) -> dict[str, Any]:
    return {
        "file": str(path),
        "accepted": tuned.accepted,
        "parts": [asdict(part) for part in tuned.parts],
        "whole": [asdict(row) for row in tuned.whole],
    }
