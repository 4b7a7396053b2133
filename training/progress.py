"""Progress: what a long run shows of itself, as bars on a terminal or not at all."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

import rich.progress
from rich.console import Console

Step = Callable[[int], None]
"""Called with the number of units just done."""


class Progress(Protocol):
    """Shows stages; `seconds` keeps how long each took."""

    seconds: dict[str, float]

    def stage(self, name: str, total: int | None = None) -> AbstractContextManager[Step]:
        """Begin a stage of `total` units (None: unknown), which ends with the context."""
        ...


class Silent:
    """Shows nothing, but keeps the times."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str, total: int | None = None) -> Iterator[Step]:
        """Time a stage."""
        began = time.monotonic()
        yield lambda units: None
        self.seconds[name] = round(time.monotonic() - began, 3)


class Bars:
    """One bar per stage on standard error; where that is not a terminal, one line per finished stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._console = Console(stderr=True)

    @contextmanager
    def stage(self, name: str, total: int | None = None) -> Iterator[Step]:
        """Show a stage."""
        began = time.monotonic()
        if self._console.is_terminal:
            with self._bar() as bar:
                task = bar.add_task(name, total=total)
                yield lambda units: bar.advance(task, units)
                bar.update(task, total=total or 1, completed=total or 1)
        else:
            yield lambda units: None
        self.seconds[name] = round(time.monotonic() - began, 3)
        if not self._console.is_terminal:
            self._console.print(f"{name}: {self.seconds[name]:.1f} s", highlight=False)

    def _bar(self) -> rich.progress.Progress:
        return rich.progress.Progress(
            rich.progress.TextColumn("{task.description:<28}"),
            rich.progress.BarColumn(bar_width=32),
            rich.progress.MofNCompleteColumn(),
            rich.progress.TimeElapsedColumn(),
            console=self._console,
        )
