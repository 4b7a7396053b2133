"""Ablation: what each retriever, and the learned ranker, does for the lists: the same candidates ranked without it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from recommender.candidates import Candidates, Pool, keep_best
from recommender.pipeline import Recommender
from recommender.query import Query
from recommender.ranking import Ranker
from training.evaluate import GROUP_MEASURE, HOME_DEPTH, SCENARIOS
from training.metrics import FloatVector, Interval, Ragged, bootstrap, measure
from training.panel import Panel
from training.parallel import in_parallel
from training.settings import TrainingSettings
from training.windows import Subset

WHOLE = ""
RANKER = "learned ranker"
ALONE = "alone: "
"""Stands before the name of a retriever whose candidates are ranked by its own scores."""
ABLATED = (Subset.ALL, Subset.REPEAT, Subset.NOVEL)
PEOPLE_AT_ONCE = 32
"""Few, so that all processes have work on a small panel."""
Made = Mapping[str, Candidates]
"""The best candidates of each query of a chunk, by the name of the part left out, or ALONE and a retriever's name."""


@dataclass(frozen=True, slots=True)
class AblationRow:
    """NDCG@10 on a subset without one part, and the change against the whole, paired by member.

    part: a retriever's name, or RANKER: the blend in its place.
    alone: NDCG@10 of the part without all others; None for RANKER.
    """

    part: str
    subset: str
    value: Interval
    change: Interval
    alone: Interval | None


def ablate(
    recommender: Recommender,
    fallback: Ranker | None,
    panel: Panel,
    settings: TrainingSettings,
    step: Callable[[int], None] = lambda people: None,
) -> tuple[AblationRow, ...]:
    """Rank everyone's candidates again without each part.

    Args:
        recommender: whose parts are left out, one at a time.
        fallback: what ranks instead of the learned ranker; None if there is no learned ranker.
        panel: who is asked.
        settings: resamples, processes, seed.
        step: called with the number of people just done.
    """
    counts = {SCENARIOS[subset]: HOME_DEPTH for subset in ABLATED}
    chunks = list(panel.queries(counts, PEOPLE_AT_ONCE))
    made = []
    work = in_parallel(lambda queries: _without_each(recommender, fallback, queries), chunks, settings.thread_count)
    for queries, found in zip(chunks, work, strict=True):
        made.append(found)
        step(len(queries) // len(counts))
    scores = {
        (part, subset): measure(_lists(panel, made, part, number, subset), panel.truth.of(subset), (10,))[GROUP_MEASURE]
        for part in (made[0] if made else ())
        for number, subset in enumerate(ABLATED)
    }
    return _rows(scores, settings)


def _without_each(recommender: Recommender, fallback: Ranker | None, queries: Sequence[Query]) -> Made:
    """Return the best candidates of each query: of the whole, and without each part."""
    found = recommender.find(queries)
    scenarios = [query.scenario for query in queries]
    names = found.pool.retrievers

    def best(pool: Pool, ranker: Ranker) -> Candidates:
        score = ranker.rank(pool, found.batch, scenarios).score
        return keep_best(pool.query, pool.row, score, len(queries), HOME_DEPTH)

    made = {WHOLE: best(found.pool, recommender.ranker)}
    for column, name in enumerate(names):
        others = np.tile(np.arange(len(names)) != column, (len(queries), 1))
        made[name] = best(found.pool.heard(others), recommender.ranker)
        score = found.pool.scores[:, column]
        at = np.flatnonzero(~np.isnan(score))
        made[ALONE + name] = keep_best(found.pool.query[at], found.pool.row[at], score[at], len(queries), HOME_DEPTH)
    if fallback is not None:
        made[RANKER] = best(found.pool, fallback)
    return made


def _lists(panel: Panel, made: Sequence[Made], part: str, number: int, subset: Subset) -> Ragged:
    """Put the lists of one scenario, the number-th of each chunk, together in the order of the panel."""
    rows = []
    for found in made:
        people = (len(found[part].indptr) - 1) // len(ABLATED)
        rows += [found[part].of_query(i)[0] for i in range(number * people, (number + 1) * people)]
    return panel.past.filter(Ragged.of(rows), subset)


def _rows(scores: Mapping[tuple[str, Subset], FloatVector], settings: TrainingSettings) -> tuple[AblationRow, ...]:
    keys = [key for key in scores if key[0] != WHOLE and not key[0].startswith(ALONE)]
    if not keys:
        return ()
    nothing = np.full(len(scores[keys[0]]), np.nan)
    columns = [scores[key] for key in keys] + [scores[key] - scores[WHOLE, key[1]] for key in keys]
    columns += [scores.get((ALONE + part, subset), nothing) for part, subset in keys]
    rng = np.random.default_rng(settings.seed)
    intervals = bootstrap(np.stack(columns, axis=1), rng, settings.evaluation.bootstrap_rounds)
    size = len(keys)
    parts = zip(keys, intervals[:size], intervals[size : 2 * size], intervals[2 * size :], strict=True)
    return tuple(
        AblationRow(part, subset.value, value, change, None if part == RANKER else alone)
        for (part, subset), value, change, alone in parts
    )
