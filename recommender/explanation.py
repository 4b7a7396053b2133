"""Explanation: what became of one item in one slate, step by step: found, ranked, kept or dropped, shown or not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from recommender.candidates import Slate, relative_scores
from recommender.pipeline import Found, Recommender
from recommender.query import Query
from recommender.ranking import Blend, LearnedRanker
from recommender.reasons import Reason, explain
from recommender.rules import all_masks

BoolVector = npt.NDArray[np.bool_]

LOOK_DEPTH = 1000
"""How far down each retriever's list the item is looked for."""
CONTRIBUTIONS = 10
"""Features of the ranker that are told, those that count most."""


class Outcome(StrEnum):
    """What became of an item."""

    SHOWN = "shown"
    BELOW_THE_CUT = "below_the_cut"
    DROPPED = "dropped"
    NOT_OF_SCENARIO = "not_of_scenario"
    NOT_FOUND = "not_found"
    NEWER_THAN_MODELS = "newer_than_models"
    UNKNOWN_ITEM = "unknown_item"


@dataclass(frozen=True, slots=True)
class Sighting:
    """Where one retriever has the item.

    rank: its place among all items that the scenario is about, 1 = first; None beyond LOOK_DEPTH, or not at all.
    score: in the retriever's own unit; None without a rank.
    depth: how many candidates a slate asks of the retriever; heeded: whether this placement asks it at all.
    adds: what it adds to the item's blended score.
    """

    retriever: str
    rank: int | None
    score: float | None
    depth: int
    heeded: bool
    adds: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """What became of an item.

    rule: the first rule that removed it; rules: every rule that would.
    position: its place in the slate, 1 = first.  without_moves: the place that its score alone would give it among
        the items that rules allow, where these are too few also with what is then looked for further down; None if
        it is no candidate or was removed.
    rank, candidates: its place by score among all candidates, before rules, and how many there are.
    contributions: what the ranker's features add to its score, the largest first, in the trees' unit; empty where
        the blend alone counts.
    """

    outcome: Outcome
    rule: str | None
    rules: tuple[str, ...]
    position: int | None
    without_moves: int | None
    rank: int | None
    candidates: int
    score: float | None
    source: str | None
    sightings: tuple[Sighting, ...]
    contributions: Mapping[str, float]
    reasons: tuple[Reason, ...]

    @property
    def moved(self) -> bool:
        """Whether something other than its score decided the item's place in the slate."""
        return self.position is not None and self.without_moves is not None and self.position != self.without_moves


def explain_item(recommender: Recommender, query: Query, row: int | None, longer: Query | None = None) -> Explanation:
    """Say what becomes of an item when a query is answered.

    Args:
        recommender: who answers.
        query: one request; its masks may cover more items than the models know.
        row: of the item, also beyond the models' items; None if nobody knows it.
        longer: the query of whose slate the head is shown, as exploration asks it; None: the query itself.
    """
    subject, found = recommender.look(query)
    wanted = longer or query
    (slate,) = recommender.recommend([wanted])
    slate = slate.head(query.count)
    place = None if row is None else _first(slate.row == row)
    removed = () if row is None else tuple(mask.rule for mask in query.masks if not mask.allowed[row])
    at = None if row is None else _first(found.pool.row == row)
    score = None if at is None else float(found.ranked.score[at])
    known = row is not None and row < len(recommender.items)
    source = slate.source[place] if place is not None else _source(found, at)
    return Explanation(
        outcome=_outcome(row, known, subject, place, removed, at),
        rule=removed[0] if removed else None,
        rules=removed,
        position=None if place is None else place + 1,
        without_moves=None if row is None or removed else _place_without_moves(recommender, wanted, found, row),
        rank=None if at is None else _place_by_score(found, at, None),
        candidates=len(found.pool.row),
        score=score,
        source=source,
        sightings=_sightings(recommender, query, found, row if known else None, at),
        contributions={} if at is None else _contributions(recommender, query, found, at),
        reasons=() if row is None or source is None else _reasons(recommender, query, row, source, slate),
    )


def _outcome(
    row: int | None,
    known: bool,
    subject: BoolVector | None,
    place: int | None,
    removed: tuple[str, ...],
    at: int | None,
) -> Outcome:
    """Return the first of the steps that an item did not pass."""
    if row is None:
        return Outcome.UNKNOWN_ITEM
    if place is not None:
        return Outcome.SHOWN
    if removed:
        return Outcome.DROPPED
    if not known:
        return Outcome.NEWER_THAN_MODELS
    if subject is not None and not subject[row]:
        return Outcome.NOT_OF_SCENARIO
    return Outcome.NOT_FOUND if at is None else Outcome.BELOW_THE_CUT


def _sightings(
    recommender: Recommender, query: Query, found: Found, row: int | None, at: int | None
) -> tuple[Sighting, ...]:
    """Return where each retriever has the item, in the order of the retrievers."""
    adds = {} if at is None else _blended(recommender, query, found, at)
    sightings = []
    for part in recommender.retrievers:
        listed, scores = part.retrieve(found.batch, LOOK_DEPTH).of_query(0)
        place = None if row is None else _first(listed == row)
        sightings.append(
            Sighting(
                retriever=part.name,
                rank=None if place is None else place + 1,
                score=None if place is None else float(scores[place]),
                depth=recommender.depth[part.name],
                heeded=part.name in found.pool.retrievers,
                adds=adds.get(part.name, 0.0),
            )
        )
    return tuple(sightings)


def _blended(recommender: Recommender, query: Query, found: Found, at: int) -> dict[str, float]:
    """Return what each retriever adds to the blended score of the candidate at a position."""
    ranker = recommender.ranker
    blend = ranker.blend if isinstance(ranker, LearnedRanker) else ranker
    assert isinstance(blend, Blend), "rankers are blends, or learned on top of one"
    weights = blend.of(query.scenario)
    relative = relative_scores(found.pool)[at].tolist()
    return {name: weights.get(name, 0.0) * share for name, share in zip(found.pool.retrievers, relative, strict=True)}


def _contributions(recommender: Recommender, query: Query, found: Found, at: int) -> dict[str, float]:
    """Return what the ranker's features add to the score of the candidate at a position, the largest first."""
    ranker = recommender.ranker
    if not isinstance(ranker, LearnedRanker):
        return {}
    learned = ranker.contributions(found.pool, found.batch, query.scenario)
    if learned is None:
        return {}
    names, table = learned
    order = np.argsort(-np.abs(table[at]), kind="stable")[:CONTRIBUTIONS]
    return {names[column]: float(table[at, column]) for column in order if table[at, column] != 0}


def _reasons(recommender: Recommender, query: Query, row: int, source: str, slate: Slate) -> tuple[Reason, ...]:
    alone = Slate(np.array([row], np.int32), np.ones(1, np.float32), (source,), "", {}, slate.instead_of)
    return tuple(explain(alone, query, recommender)[0])


def _source(found: Found, at: int | None) -> str | None:
    return None if at is None else found.pool.retrievers[int(found.ranked.source[at])]


def _place_without_moves(recommender: Recommender, query: Query, found: Found, row: int) -> int | None:
    """Return an item's place by score among the allowed candidates that the slate was made from, None if not one."""
    allowed = all_masks(query)
    if query.ready is not None:
        listed = query.ready.row if allowed is None else query.ready.row[allowed[query.ready.row]]
        if len(listed) >= query.count:
            place = _first(listed == row)
            return None if place is None else place + 1
    if allowed is not None and np.count_nonzero(allowed[found.pool.row]) < query.count:
        found = recommender.look_deeper(query)
    at = _first(found.pool.row == row)
    return None if at is None else _place_by_score(found, at, allowed)


def _place_by_score(found: Found, at: int, allowed: BoolVector | None) -> int:
    """Return the place, 1 = first, of a candidate by falling score, ties by rising row, among allowed ones."""
    row, score = found.pool.row, found.ranked.score
    before = (score > score[at]) | ((score == score[at]) & (row < row[at]))
    return 1 + int(np.count_nonzero(before if allowed is None else before & allowed[row]))


def _first(which: BoolVector) -> int | None:
    """Return the first position that is True, None if there is none."""
    found = np.flatnonzero(which)
    return int(found[0]) if len(found) else None
