"""What `memberwise evaluate --off-policy` takes and prints."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from recommender.bundle import Bundle
from recommender.errors import InputError
from recommender.placement import Placement, parse_placement
from recommender.query import Scenario
from training.place import Place
from training.printing import print_json, wide_console
from training.progress import Progress

NAMES = {
    "logged": "what was shown",
    "ips": "IPS",
    "snips": "SNIPS",
    "dr": "doubly robust",
    "gain": "DR less logged",
    "mean_weight": "mean weight (1 is right)",
}


def show_off_policy(
    place: Place,
    bundle: Bundle,
    now: datetime,
    progress: Progress,
    as_json: bool,
    scenario: str,
    since: datetime | None,
    until: datetime | None,
    reward: str,
    clip: float,
    scenario_settings: Path | None,
) -> None:
    """Evaluate a bundle on logged slates and print what came of it."""
    from training.replay_log import Question, evaluate_off_policy

    zone = place.settings.zone
    start, end = (time and (time if time.tzinfo else time.replace(tzinfo=zone)) for time in (since, until))
    placement = None if scenario_settings is None else read_scenario_settings(scenario_settings)
    question = Question(Scenario(scenario), start or bundle.trained_until, end or now, reward, clip, placement)
    document = evaluate_off_policy(place, bundle, question, now, progress)
    print_json(document) if as_json else _show(document)


def read_scenario_settings(file: Path) -> Placement:
    """Read the settings of a scenario from a JSON file. Raises: InputError."""
    try:
        return parse_placement(json.loads(file.read_text("utf-8")))
    except (ValueError, UnicodeDecodeError) as error:
        raise InputError(
            f"The scenario settings are not JSON: {error}.", field="scenario_settings", value=file
        ) from error


def _show(document: dict[str, Any]) -> None:
    console = wide_console()
    console.print(
        f"Bundle {document['bundle_id']}, scenario {document['scenario']}: {document['reward']} per item shown."
    )
    found = document["estimates"]
    if found is not None:
        table = Table("", "per item shown", "95 %", box=None)
        for name, title in NAMES.items():
            part = found[name]
            table.add_row(title, _figure(part["value"]), f"[{_figure(part['low'])}, {_figure(part['high'])}]")
        console.print(table)
        console.print(
            f"{found['items']:,} items shown to {found['customers']:,} customers; agreement {found['matched']:.1%};"
            f" effective {found['effective_items']:,.0f}; largest weight {found['largest_weight']:.0f},"
            f" {found['clipped']:,} cut down."
        )
    console.print(document["statement"])
    click.echo(f"Status: {document['status']}")


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.5f}"
