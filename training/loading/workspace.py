"""Workspaces: private folders for what a load writes beside its results, removed also after a killed process."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LOCK = "lock"


@contextmanager
def open_workspace(folder: Path, name: str) -> Iterator[Path]:
    """Make a folder that only this user can read, and remove it in the end.

    Args:
        folder: where workspaces are kept; those of processes that are gone are removed from it.
        name: of the new one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    remove_abandoned(folder)
    path = folder / name
    path.mkdir(mode=0o700)
    new = path / f"{_LOCK}.new"
    with new.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        new.rename(path / _LOCK)  # from here on others see the folder, and that it is in use
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)


def remove_abandoned(folder: Path) -> None:
    """Remove workspaces whose process is gone."""
    for path in folder.iterdir():
        lock = path / _LOCK
        if not lock.is_file():
            continue
        with lock.open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue
            shutil.rmtree(path, ignore_errors=True)
