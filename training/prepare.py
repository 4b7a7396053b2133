"""Prepare: what ranks best for each member when training ends, so that serving need not rank it again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from recommender.bundle import Array
from recommender.events import member_subject
from recommender.history import Histories
from recommender.lookup import one_history
from recommender.partners import find_partners
from recommender.pipeline import Recommender
from recommender.prepared import SCENARIOS, WIDTH, Prepared, check_of
from recommender.query import Query, batch_of
from recommender.retrievers.peers import PeerRetriever
from recommender.storage.database import Database
from recommender.storage.members import home_stores
from training.dataset import Dataset
from training.panel import CHUNK
from training.parallel import in_parallel
from training.publish import subject_histories
from training.settings import TrainingSettings

Person = tuple[str, list[int]]
"""A person's id, and the rows of their subjects, rising."""


@dataclass(frozen=True, slots=True)
class Block:
    """The arrays of Prepared, for some members."""

    peers: npt.NDArray[np.uint16]
    row: npt.NDArray[np.int32]
    score: npt.NDArray[np.float32]
    source: npt.NDArray[np.uint8]
    company: npt.NDArray[np.uint16]
    partner: npt.NDArray[np.int32]

    @classmethod
    def of(cls, members: int) -> Block:
        """Return a block without any candidate."""
        shape = (members, len(SCENARIOS), WIDTH)
        return cls(
            np.zeros(members, np.uint16),
            np.full(shape, -1, np.int32),
            np.zeros(shape, np.float32),
            np.zeros(shape, np.uint8),
            np.zeros(shape, np.uint16),
            np.full(shape, -1, np.int32),
        )


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
    blocks.append(Block.of(0))
    person = np.array([rows[0] for _, rows in people], np.int32)
    check = np.array([check_of(rows) for _, rows in people], np.uint32)
    whole = {field.name: np.concatenate([getattr(block, field.name) for block in blocks]) for field in fields(Block)}
    return Prepared(person, check, names=tuple(codes), **whole).arrays()


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
    block = Block.of(len(queries) // len(SCENARIOS))
    for number, ready in enumerate(recommender.best(queries, WIDTH)):
        at = (*divmod(number, len(SCENARIOS)), slice(0, len(ready.row)))
        block.row[at] = ready.row
        block.score[at] = ready.score
        block.source[at] = np.array([codes[name] for name in ready.names], np.uint8)[ready.source]
    _count_company(recommender, queries, block)
    for member in range(len(block.row)):
        _find_partners(recommender, queries[member * len(SCENARIOS)], block, member, tuple(codes))
    return block


def _find_partners(recommender: Recommender, query: Query, block: Block, member: int, names: Sequence[str]) -> None:
    """Fill in which item of one member's history speaks most for each candidate; it is the same in all placements."""
    row, source = block.row[member].ravel(), block.source[member].ravel()
    led: dict[str, list[int]] = {}
    for code in np.unique(source).tolist():
        led[names[code]] = np.unique(row[(source == code) & (row >= 0)]).tolist()
    found = find_partners(led, query, recommender)
    partner = [found.get((names[code], item), -1) for code, item in zip(source.tolist(), row.tolist(), strict=True)]
    block.partner[member] = np.array(partner, np.int32).reshape(block.partner[member].shape)


def _count_company(recommender: Recommender, queries: Sequence[Query], block: Block) -> None:
    """Fill in how many similar members have each candidate."""
    part = recommender.part(PeerRetriever)
    if part is None:
        return
    counted, block.peers[:] = part.company(batch_of(queries[:: len(SCENARIOS)], [None] * len(block.peers)))
    member = np.repeat(np.arange(len(block.row)), len(SCENARIOS) * WIDTH)
    row = block.row.ravel()
    block.company.reshape(-1)[:] = np.asarray(counted[member, np.maximum(row, 0)]).ravel() * (row >= 0)
