"""Prepare: what ranks best for each member when training ends, so that serving need not rank it again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from recommender.bundle import Array
from recommender.events import member_subject
from recommender.history import Histories
from recommender.lookup import one_history
from recommender.pipeline import Recommender
from recommender.prepared import SCENARIOS, WIDTH, Prepared, check_of
from recommender.query import Query
from recommender.storage.database import Database
from recommender.storage.members import home_stores
from training.dataset import Dataset
from training.panel import CHUNK
from training.parallel import in_parallel
from training.publish import subject_histories
from training.settings import TrainingSettings

Person = tuple[str, list[int]]
"""A person's id, and the rows of their subjects, rising."""
Block = tuple[npt.NDArray[np.int32], npt.NDArray[np.float32], npt.NDArray[np.uint8]]
"""Rows, scores and sources of some members, as Prepared lays them out."""


def read_home_stores(database: Database) -> dict[str, str]:
    """Return the home store of every person who has one, by the person's id."""
    with database.read() as connection:
        return {member_subject(member_id): store_id for member_id, store_id in home_stores(connection).items()}


def prepare(
    recommender: Recommender,
    dataset: Dataset,
    home: Mapping[str, str],
    settings: TrainingSettings,
    step: Callable[[int], None] = lambda members: None,
) -> dict[str, Array]:
    """Rank for the members who came last, as they would be answered right after training.

    Args:
        recommender: fitted on the whole dataset.
        dataset: whose people are asked for.
        home: store id by person id, of those who have a home store.
        settings: how many members, entries of each and processes.
        step: called with the number of members just ranked for.
    Returns: the arrays of recommender.prepared.Prepared by their names in a bundle.
    """
    people = _latest(dataset, settings.prepared_members)
    histories = subject_histories(dataset, settings.history_entries)
    chunks = [people[start : start + CHUNK] for start in range(0, len(people), CHUNK)]
    stores = {name: at for name, store in home.items() if (at := dataset.stores.row(store)) is not None}
    codes = {part.name: code for code, part in enumerate(recommender.retrievers)}

    def rank(chunk: Sequence[Person]) -> Block:
        return _laid_out(recommender, _queries(chunk, histories, stores, dataset), codes)

    blocks = []
    for chunk, block in zip(chunks, in_parallel(rank, chunks, settings.thread_count), strict=True):
        blocks.append(block)
        step(len(chunk))
    empty = _block(0)
    row = np.concatenate([empty[0], *(block[0] for block in blocks)])
    score = np.concatenate([empty[1], *(block[1] for block in blocks)])
    source = np.concatenate([empty[2], *(block[2] for block in blocks)])
    person = np.array([rows[0] for _, rows in people], np.int32)
    check = np.array([check_of(rows) for _, rows in people], np.uint32)
    return Prepared(person, check, row, score, source, tuple(codes)).arrays()


def _latest(dataset: Dataset, members: int) -> list[Person]:
    """Return those who came last, at most so many, by the lowest of their subject rows."""
    entries = dataset.entries
    last = np.full(len(dataset.people), -1, np.int64)
    np.maximum.at(last, entries.person_row, entries.minute)
    known = np.flatnonzero((last >= 0) & dataset.learned)
    wanted = np.zeros(len(dataset.people), bool)
    wanted[known[np.lexsort((known, -last[known]))[:members]]] = True
    pairs = np.unique(np.stack((entries.person_row, entries.subject_row), axis=1), axis=0)
    rows: dict[int, list[int]] = {}
    for person, subject in pairs[wanted[pairs[:, 0]]].tolist():
        rows.setdefault(person, []).append(subject)
    names = dataset.people.ids(np.array(list(rows), np.int64))
    return sorted(zip(names, rows.values(), strict=True), key=lambda person: person[1][0])


def _queries(chunk: Sequence[Person], histories: Histories, stores: Mapping[str, int], dataset: Dataset) -> list[Query]:
    """Return the queries of some people, those of one person side by side."""
    minute = int(dataset.until.timestamp() // 60)
    found = []
    for name, rows in chunk:
        history = one_history([histories.of(row) for row in rows], dataset.day_offset_minutes)
        found += [Query(scenario, WIDTH, minute + 1, history, stores.get(name)) for scenario in SCENARIOS]
    return found


def _laid_out(recommender: Recommender, queries: Sequence[Query], codes: Mapping[str, int]) -> Block:
    """Rank for some members and lay the result out as Prepared holds it."""
    row, score, source = _block(len(queries) // len(SCENARIOS))
    for number, ready in enumerate(recommender.best(queries, WIDTH)):
        member, scenario = divmod(number, len(SCENARIOS))
        code = np.array([codes[name] for name in ready.names], np.uint8)
        row[member, scenario, : len(ready.row)] = ready.row
        score[member, scenario, : len(ready.row)] = ready.score
        source[member, scenario, : len(ready.row)] = code[ready.source]
    return row, score, source


def _block(members: int) -> Block:
    shape = (members, len(SCENARIOS), WIDTH)
    return np.full(shape, -1, np.int32), np.zeros(shape, np.float32), np.zeros(shape, np.uint8)
