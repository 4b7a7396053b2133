"""Child: a command that the worker runs beside itself, so that what takes long and much memory holds up nothing."""

from __future__ import annotations

import logging
import os
import subprocess
from collections.abc import Sequence

from api.supervisor import start_child, stop_children

logger = logging.getLogger(__name__)


class Child:
    """One command, at most once at a time; it ends with the worker.

    Args:
        words: behind `memberwise`.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self._words = tuple(words)
        self._process: subprocess.Popen[bytes] | None = None

    def is_running(self) -> bool:
        """Tell whether it runs; that it failed is logged once."""
        process = self._process
        if process is None:
            return False
        if process.poll() is None:
            return True
        if process.returncode != 0:
            logger.warning("child_failed command=%s code=%d", " ".join(self._words), process.returncode)
        self._process = None
        return False

    def start(self) -> None:
        """Start it, unless it runs."""
        if not self.is_running():
            self._process = start_child(self._words, os.environ)

    def stop(self, seconds: float = 5.0) -> None:
        """Tell it to stop, and kill it if it does not."""
        if self._process is not None:
            stop_children((self._process,), seconds)
            self._process = None
