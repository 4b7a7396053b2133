"""The child of the batch benchmark: home lists of many members on one core, then LightGBM alone on the same rows.

Prints JSON. `python -m tests.benchmarks.batch_lists MEMBERS COUNT`, with MEMBERWISE_MODELS set, works on the promoted
bundle of any installation.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from recommender.bundle import Bundle
from recommender.candidates import Pool
from recommender.query import Batch, Query, Scenario
from recommender.ranking import LearnedRanker, Ranked
from recommender.registry import Registry
from training.panel import CHUNK

SEED = 7


class Recorder:
    """A ranker that keeps the rows which the trees of another one are asked to score."""

    def __init__(self, ranker: LearnedRanker) -> None:
        self._ranker = ranker
        self.rows: list[np.ndarray] = []

    def rank(self, pool: Pool, batch: Batch, scenarios: Sequence[Scenario]) -> Ranked:
        """Score a pool as the other ranker does, and keep its features."""
        blend = self._ranker.blend.rank(pool, batch, scenarios).score
        self.rows.append(np.column_stack((blend, self._ranker.source.build(pool, batch))))
        return self._ranker.rank(pool, batch, scenarios)

    def heeded(self, scenario: Scenario) -> frozenset[str]:
        """Return what the other ranker heeds."""
        return self._ranker.heeded(scenario)


def queries_of(bundle: Bundle, members: int, count: int) -> list[Query]:
    """Return a home query for some subjects of a bundle, drawn at random."""
    drawn = np.random.default_rng(SEED).permutation(len(bundle.subjects))[:members]
    minute = int(bundle.trained_until.timestamp() // 60)
    return [Query(Scenario.HOME, count, minute, bundle.histories.of(int(row))) for row in np.sort(drawn)]


def main() -> None:
    """Measure, and print members, seconds of the lists, rows and seconds of the trees alone."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    members, count = int(sys.argv[1]), int(sys.argv[2])
    bundle = Registry(Path(os.environ["MEMBERWISE_MODELS"])).open()
    recommender = bundle.recommender()
    queries = queries_of(bundle, members, count)
    chunks = [queries[at : at + CHUNK] for at in range(0, len(queries), CHUNK)]
    found = {"members": len(queries), "rows": 0, "trees_seconds": 0.0, "learned": False}
    with threadpool_limits(1):
        recommender.recommend(chunks[0])  # the trees are read at the first call
        began = time.perf_counter()
        for chunk in chunks:
            recommender.recommend(chunk)
        found["seconds"] = time.perf_counter() - began
        ranker = recommender.ranker
        if isinstance(ranker, LearnedRanker) and Scenario.HOME in ranker.trees:
            recorder = Recorder(ranker)
            recorded = replace(recommender, ranker=recorder)
            for chunk in chunks:
                recorded.recommend(chunk)
            booster = ranker.trees[Scenario.HOME].booster
            began = time.perf_counter()
            for rows in recorder.rows:
                booster.predict(rows, raw_score=True, num_threads=1)
            found |= {
                "trees_seconds": time.perf_counter() - began,
                "rows": sum(map(len, recorder.rows)),
                "learned": True,
            }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
