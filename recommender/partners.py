"""Partners: for items that other items led to, the one of the history or of the request that speaks most for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recommender.candidates import Slate
from recommender.interactions import Pairs
from recommender.pipeline import Recommender
from recommender.query import Query, Ready
from recommender.retrievers.base import Retriever
from recommender.retrievers.converted import ConvertedRetriever
from recommender.retrievers.linear import LinearRetriever
from recommender.retrievers.neighbors import ItemNeighborRetriever, entries_of
from recommender.retrievers.sections import SectionRetriever
from recommender.retrievers.similar import SimilarRetriever
from recommender.retrievers.substitutes import SubstituteRetriever
from recommender.retrievers.together import TogetherRetriever

RowVector = npt.NDArray[np.int32]
FloatVector = npt.NDArray[np.float32]

NOBODY = -1
"""In place of a row: no item speaks for it."""


@dataclass(frozen=True, slots=True)
class _Speakers:
    """Items that a retriever asked, and what each says of others.

    row: int32, (n,), distinct.  weight: float32, (n,).  says: float32 CSR, (n_items, n_items).
    """

    row: RowVector
    weight: FloatVector
    says: sp.csr_matrix


def partners_of(slate: Slate, query: Query, recommender: Recommender) -> dict[int, int]:
    """Return for each row of the slate that other items led to, the row of the one that speaks most for it.

    Args:
        slate: what `recommender` answered to `query`.
    """
    shown = list(zip(slate.source, slate.row.tolist(), strict=True))
    known = {} if query.ready is None else _told(query.ready, shown)
    asked: dict[str, list[int]] = {}
    for source, row in shown:
        if (source, row) not in known:
            asked.setdefault(source, []).append(row)
    if asked:
        found = find_partners(asked, query, recommender)
        known |= {(source, row): found.get((source, row), NOBODY) for source, rows in asked.items() for row in rows}
    return {row: known[source, row] for source, row in shown if known[source, row] != NOBODY}


def _told(ready: Ready, shown: Sequence[tuple[str, int]]) -> dict[tuple[str, int], int]:
    """Return what is known of partners by retriever and row; what is added is remembered with the candidates."""
    if ready.partner is not None:
        place = {row: at for at, row in enumerate(ready.row.tolist())}
        for source, row in shown:
            at = place.get(row)
            if at is not None and ready.names[ready.source[at]] == source:
                ready._told[source, row] = int(ready.partner[at])
    return ready._told


def find_partners(
    led: Mapping[str, Sequence[int]], query: Query, recommender: Recommender
) -> dict[tuple[str, int], int]:
    """Return for items and the retrievers that found them, the row of the item that speaks most for each.

    Args:
        led: rows by the name of a retriever.
        query: whose history or context was asked.
        recommender: with the retrievers.
    """
    found: dict[tuple[str, int], int] = {}
    for name, some in led.items():
        part = next((part for part in recommender.retrievers if part.name == name), None)
        rows, partners = np.array(some, np.int32), {}
        if isinstance(part, SectionRetriever):
            partners = _of_one_section(part, rows, query)
        elif part is not None and (speakers := _speakers(part, query)) is not None:
            partners = _loudest(speakers, rows)
        found |= {(name, row): partner for row, partner in partners.items()}
    return found


def _speakers(part: Retriever, query: Query) -> _Speakers | None:
    """Return whom a retriever asked; None for retrievers that ask no items."""
    context = query.context
    if isinstance(part, SimilarRetriever | SubstituteRetriever):
        return _Speakers(context.row, context.weight, part.likeness)
    if isinstance(part, TogetherRetriever | ConvertedRetriever):
        says = part.affinity if isinstance(part, TogetherRetriever) else part.purchases
        if len(context):
            return _Speakers(context.row, context.weight, says)
        pairs = query.pairs(part.weights)
        weight = pairs.purchased if isinstance(part, TogetherRetriever) else pairs.browsed
        return _Speakers(pairs.item_row, np.sqrt(weight), says)
    if isinstance(part, ItemNeighborRetriever | LinearRetriever):
        pairs = query.pairs(part.weights)
        says = part.similarity if isinstance(part, ItemNeighborRetriever) else part.coefficients
        return _Speakers(pairs.item_row, np.sqrt(_both(pairs, part.browse_weight)), says)
    return None


def _loudest(speakers: _Speakers, rows: RowVector) -> dict[int, int]:
    """Return for each row the speaker with the largest vote; rows for which nobody votes are left out."""
    entries, sizes = entries_of(speakers.says, speakers.row)
    column = speakers.says.indices[entries]
    is_wanted = np.zeros(speakers.says.shape[1], bool)
    is_wanted[rows[rows < len(is_wanted)]] = True
    at = np.flatnonzero(is_wanted[column])
    votes = np.repeat(speakers.weight, sizes)[at] * speakers.says.data[entries[at]]
    return _first(votes, column[at], np.repeat(speakers.row, sizes)[at])


def _of_one_section(part: SectionRetriever, rows: RowVector, query: Query) -> dict[int, int]:
    """Return for each row the item of the history that weighs most among those of a section with it."""
    pairs = query.pairs(part.weights)
    weight, none = _both(pairs, part.browse_weight), part.sales.shape[0] - 1
    rows = rows[rows < len(part.section_row)]
    if not len(rows) or not len(pairs.item_row):
        return {}
    own, theirs = part.section_row[rows][:, None], part.section_row[pairs.item_row]
    shared = ((theirs == own) & (own != none)).any(axis=2) & (pairs.item_row != rows[:, None])
    votes = np.where(shared, weight, np.float32(0))
    best = votes.argmax(axis=1)  # the lower row of equal ones, since the rows rise
    found = np.flatnonzero(votes.max(axis=1) > 0)
    return dict(zip(rows[found].tolist(), pairs.item_row[best[found]].tolist(), strict=True))


def _first(votes: FloatVector, row: npt.NDArray[np.integer], speaker: npt.NDArray[np.integer]) -> dict[int, int]:
    """Return for each row the speaker of its largest vote above 0, the lower row of equal ones."""
    cast = np.flatnonzero(votes > 0)
    votes, row, speaker = votes[cast], row[cast], speaker[cast]
    order = np.lexsort((speaker, -votes, row))
    firsts = order[np.flatnonzero(np.diff(row[order], prepend=-1))]
    return dict(zip(row[firsts].tolist(), speaker[firsts].tolist(), strict=True))


def _both(pairs: Pairs, browse_weight: float) -> FloatVector:
    return np.asarray(pairs.purchased + np.float32(browse_weight) * pairs.browsed, np.float32)
