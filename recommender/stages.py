"""Stages: how long each step of one answer took; cheap enough to be asked on every request."""

from __future__ import annotations

import time
from enum import StrEnum


class Stage(StrEnum):
    """The steps of an answer, in the order they are taken.

    lookup: who asks, live state, masks.  wait: for another thread's slate.  retrieve, rank, rules: as in the
    pipeline.  describe: reasons, titles, prices, stock on hand.  record: the exposure.
    """

    LOOKUP = "lookup"
    WAIT = "wait"
    RETRIEVE = "retrieve"
    RANK = "rank"
    RULES = "rules"
    DESCRIBE = "describe"
    RECORD = "record"


class Stages:
    """Adds up seconds by stage; `end` gives a stage the time since the last `end`."""

    __slots__ = ("_last", "seconds")

    def __init__(self) -> None:
        self.seconds: dict[Stage, float] = {}
        self._last = time.perf_counter()

    def end(self, stage: Stage) -> None:
        """End a stage, which may be taken more than once."""
        now = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._last
        self._last = now


class NoStages(Stages):
    """Measures nothing: for batches and training."""

    __slots__ = ()

    def end(self, stage: Stage) -> None:
        """Do nothing."""


NO_STAGES = NoStages()
