"""ExportGate: how often exports may be made; each reads the whole event log."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from api.problems import RATE_LIMITED, ProblemError

EXPORT_PAUSE_SECONDS = 600.0
"""So long a member who exported by token waits for the next export."""
BUSY_SECONDS = 10


class ExportGate:
    """Lets one export through at a time, and one per member in a while; exports read everything there is.

    Counted by worker process, so approximate like every limit.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: dict[str, float] = {}

    @contextmanager
    def passing(self, member_id: str | None, now: float) -> Iterator[None]:
        """Hold the gate during an export.

        Args:
            member_id: of a member token; None for an API key, which only waits for others.
            now: a monotonic clock, in seconds.
        Raises: ProblemError, rate-limited.
        """
        wait = (
            0.0 if member_id is None else self._last.get(member_id, -EXPORT_PAUSE_SECONDS) + EXPORT_PAUSE_SECONDS - now
        )
        if wait > 0:
            raise _later("An export was made only now.", math.ceil(wait))
        if not self._lock.acquire(blocking=False):
            raise _later("Another export or report is being made.", BUSY_SECONDS)
        try:
            yield
            if member_id is not None:
                recent = {name: at for name, at in self._last.items() if now - at < EXPORT_PAUSE_SECONDS}
                self._last = recent | {member_id: now}
        finally:
            self._lock.release()


def _later(detail: str, seconds: int) -> ProblemError:
    return ProblemError(RATE_LIMITED, f"{detail} Try again in {seconds} s.", headers={"Retry-After": str(seconds)})
