"""Choices: options that the programs of this package share."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import click


class Sizes(click.ParamType):
    """Numbers with commas between them: 300000, 300k or 0.3M."""

    name = "sizes"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """Read the numbers, smallest first."""
        if isinstance(value, tuple):
            return value
        try:
            return tuple(sorted(_number(part) for part in str(value).split(",")))
        except ValueError:
            self.fail(f"{value!r} is no list of sizes such as 0.3M,1M", param, ctx)


class Size(Sizes):
    """One such number."""

    name = "size"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read the number."""
        return value if isinstance(value, int) else super().convert(value, param, ctx)[0]


def retail_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the sizes of a retailer; the command gets them as `retail`: members, items, stores and events."""

    @click.option("--members", type=Size(), default="1M", show_default=True, help="The retailer's members.")
    @click.option("--items", type=Size(), default="50k", show_default=True, help="The retailer's items.")
    @click.option("--stores", type=Size(), default="500", show_default=True, help="The retailer's stores.")
    @click.option("--events", type=Size(), help="The retailer's events; by default ten for every member.")
    @wraps(command)
    def chosen(*, members: int, items: int, stores: int, events: int | None, **others: Any) -> None:
        command(retail=(members, items, stores, events or 10 * members), **others)

    return chosen


@contextmanager
def workspace(folder: Path | None) -> Iterator[Path]:
    """Give a folder for shops: the one named, or one that is removed at the end."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="memberwise-bench-") as made:
        yield Path(made)


def _number(text: str) -> int:
    text = text.strip().upper()
    scale = {"K": 1_000, "M": 1_000_000}.get(text[-1:], 1)
    return int(float(text.rstrip("KM")) * scale)
