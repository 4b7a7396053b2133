"""The benchmarks as a program: `python -m tests.benchmarks [ingest|train|batch|serve ...]`, or `make bench`."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from tests.benchmarks.batch import measure_batch
from tests.benchmarks.ingest import measure_ingest, measure_large_ingest
from tests.benchmarks.results import Result
from tests.benchmarks.serve import measure_serve
from tests.benchmarks.shops import Shop
from tests.benchmarks.train import measure_train

BENCHMARKS = {"ingest": measure_ingest, "train": measure_train, "batch": measure_batch, "serve": measure_serve}
SIZES = "0.3M,1M,3M"
LARGE = 10_000_000
ROUNDS = {"ingest": 5, "train": 3, "batch": 3, "serve": 3}


class Sizes(click.ParamType):
    """Numbers of events with commas between them: 300000 or 0.3M."""

    name = "sizes"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """Read the numbers, smallest first."""
        try:
            return tuple(sorted(_number(part) for part in str(value).split(",")))
        except ValueError:
            self.fail(f"{value!r} is no list of sizes such as {SIZES}", param, ctx)


def _number(text: str) -> int:
    text = text.strip().upper()
    return int(float(text[:-1]) * 1_000_000) if text.endswith("M") else int(text)


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(BENCHMARKS)))
@click.option("--sizes", type=Sizes(), default=SIZES, show_default=True, help="Numbers of events.")
@click.option("--rounds", type=click.IntRange(1), help="Repetitions of each measurement; by default a few.")
@click.option("--large", is_flag=True, help="With ingest: also load 10 M events once.")
@click.option("--folder", type=click.Path(path_type=Path), help="Keep the synthetic shops here for the next time.")
@click.option("--out", type=click.Path(path_type=Path), default="var/benchmarks.json", show_default=True)
def main(
    names: tuple[str, ...], sizes: tuple[int, ...], rounds: int | None, large: bool, folder: Path | None, out: Path
) -> None:
    """Measure Memberwise beside what it is compared with, and print tables; all measurements by default."""
    results: list[Result] = []
    with _workspace(folder) as place:
        shops = [Shop(place / str(size), size) for size in sizes]
        for name in dict.fromkeys(names or BENCHMARKS):
            results.append(BENCHMARKS[name](shops, rounds or ROUNDS[name]))
            click.echo(results[-1].as_text())
        if large:
            results.append(measure_large_ingest(Shop(place / str(LARGE), LARGE)))
            click.echo(results[-1].as_text())
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps([result.as_json() for result in results], indent=1), "utf-8")
    click.echo(f"Written to {out}.")


@contextmanager
def _workspace(folder: Path | None) -> Iterator[Path]:
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="memberwise-bench-") as made:
        yield Path(made)


if __name__ == "__main__":
    main()
