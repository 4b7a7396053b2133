"""The command `memberwise uplift`: effects on the rows of a plain randomised table, and how far they can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.table import Table

from training.printing import as_json, print_json, wide_console

SHARES = (0.1, 0.2, 0.3)
"""Parts of the rows, those of the largest effects, that are looked at."""


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--treatment", required=True, help="Column that names each row's arm.")
@click.option("--outcome", required=True, help="Column of numbers: what came of it.")
@click.option("--propensity", help="Column with the chance of the arm that was drawn; by default the arms' shares.")
@click.option("--control", help="The value of the treatment that stands for none; needed where it is not obvious.")
@click.option("--features", default="", help="Columns known before the treatment, with commas; by default all such.")
@click.option("--folds", type=click.IntRange(2, 20), default=5, show_default=True, help="Parts for cross-fitting.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of folds and intervals.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help=".csv or .parquet")
@as_json
def uplift(
    file: Path,
    treatment: str,
    outcome: str,
    propensity: str | None,
    control: str | None,
    features: str,
    folds: int,
    seed: int,
    out: Path,
    as_json: bool,
) -> None:
    """Estimate what a treatment changes on every row of a randomised table, and for whom.

    Every estimate comes from models that have not seen the row. Rows without an outcome are estimated too.
    """
    from training.uplift_table import TableColumns, estimate_rows, read_table, write_effects

    named = tuple(name.strip() for name in features.split(",") if name.strip())
    table = read_table(file, TableColumns(treatment, outcome, propensity, control, named))
    found, model = estimate_rows(table, seed, folds)
    write_effects(table, found, out)
    document = _document(table, found, model, seed)
    print_json(document) if as_json else _show(document, out)


def _document(table: Any, found: Any, model: Any, seed: int) -> dict[str, Any]:
    """Return what was found out, as a JSON document."""
    from training.uplift_metrics import policy_value, qini, uplift_area, uplift_at, with_interval

    rng = np.random.default_rng(seed)
    trial, effect, expected = table.trial, found.effect[table.known], found.expected[table.known]
    arms = []
    for number, name in enumerate(table.arms[1:], 1):
        both = (trial.arm == 0) | (trial.arm == number)
        rows = trial.outcome[both], effect[both, number - 1], trial.arm[both] == number
        average = model.effects[number - 1]
        arms.append(
            {
                "arm": name,
                "rows": int((trial.arm == number).sum()),
                "average_effect": average.mean,
                "standard_error": average.mean_error,
                "qini": asdict(with_interval(qini, *rows, rng)),
                "auuc": asdict(with_interval(uplift_area, *rows, rng)),
                "uplift_at": {
                    f"{share:.0%}": asdict(with_interval(_at(uplift_at, share), *rows, rng)) for share in SHARES
                },
            }
        )
    policies = {
        name: asdict(policy_value(choice, trial.arm, trial.outcome, trial.propensity, expected, rng))
        for name, choice in _policies(effect, table.arms[1:]).items()
    }
    return {
        "rows": len(table.frame),
        "learned_from": int(table.known.sum()),
        "control": table.arms[0],
        "features": list(table.used),
        "left_out": table.left_out,
        "arms": arms,
        "policies": policies,
    }


def _at(figure: Any, share: float) -> Any:
    return lambda outcome, effect, treated: figure(outcome, effect, treated, share)


def _policies(effect: Any, names: Sequence[str]) -> dict[str, Any]:
    """Return the arm that each policy chooses for each row."""
    best = effect.argmax(axis=1) + 1
    largest = effect.max(axis=1)
    order = np.argsort(-largest, kind="stable")
    policies = {"nobody": np.zeros(len(effect), np.int64)}
    policies |= {f"everybody: {name}": np.full(len(effect), arm) for arm, name in enumerate(names, 1)}
    policies["where the effect is positive"] = np.where(largest > 0, best, 0)
    for share in SHARES[-1:]:
        chosen = np.zeros(len(effect), np.int64)
        top = order[: int(len(effect) * share)]
        chosen[top] = best[top]
        policies[f"the best {share:.0%}"] = chosen
    return policies


def _show(document: dict[str, Any], out: Path) -> None:
    console = wide_console()
    console.print(
        f"{document['learned_from']:,} of {document['rows']:,} rows learned from; control: {document['control']}; "
        f"features: {', '.join(document['features'])}."
    )
    for name, reason in document["left_out"].items():
        console.print(f"Left out: {name} ({reason}). Name the columns with --features to decide yourself.")
    for arm in document["arms"]:
        table = Table(f"{arm['arm']}, {arm['rows']:,} rows", "value [95 %]", box=None)
        mean, wide = arm["average_effect"], 1.96 * arm["standard_error"]
        table.add_row("average effect", f"{mean:.4f} [{mean - wide:.4f}, {mean + wide:.4f}]")
        table.add_row("Qini", _interval(arm["qini"]))
        table.add_row("AUUC", _interval(arm["auuc"]))
        for share, value in arm["uplift_at"].items():
            table.add_row(f"uplift of the best {share}", _interval(value))
        console.print(table)
    policies = Table("policy", "treated", "IPS [95 %]", "SNIPS [95 %]", "DR [95 %]", box=None)
    for name, value in document["policies"].items():
        figures = (_interval(value[kind]) for kind in ("ips", "snips", "dr"))
        policies.add_row(name, f"{value['treated']:.1%}", *figures)
    console.print(policies)
    unsure = [arm["arm"] for arm in document["arms"] if not arm["qini"]["low"] > 0]
    if unsure:
        console.print(f"No reliable ranking was found for: {', '.join(unsure)} (the interval of Qini holds 0).")
    click.echo(f"Effects by row: {out}")


def _interval(found: dict[str, float]) -> str:
    return f"{found['value']:.4f} [{found['low']:.4f}, {found['high']:.4f}]"
