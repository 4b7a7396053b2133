"""The contract of every retriever: subclass RetrieverContract and say which retriever to hold to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import FrozenInstanceError, fields, replace
from pathlib import Path

import numpy as np
import pytest

from recommender.candidates import Candidates
from recommender.query import Batch, Query, batch_of
from recommender.retrievers import RETRIEVERS
from recommender.retrievers.base import Retriever
from tests.learning import BoolVector, ask, batch, random_queries, through_disk

N_ITEMS = 60
N_STORES = 3
ALL = 10_000
"""More candidates than there are items."""


def same(left: Candidates, right: Candidates) -> bool:
    """Tell whether two answers agree to the last bit."""
    return all(np.array_equal(getattr(left, name), getattr(right, name)) for name in ("indptr", "row", "score"))


class RetrieverContract:
    """What holds for every retriever over N_ITEMS items and N_STORES stores."""

    def retriever(self) -> Retriever:
        """Make the retriever, fitted on N_ITEMS items."""
        raise NotImplementedError

    @pytest.fixture
    def part(self) -> Retriever:
        return self.retriever()

    @pytest.fixture
    def queries(self) -> list[Query]:
        return random_queries(np.random.default_rng(11), 40, N_ITEMS, N_STORES)

    @pytest.fixture
    def allowed(self) -> list[BoolVector | None]:
        """Masks of all sorts: none, all, none at all, one item, a random half."""
        rng = np.random.default_rng(12)
        masks: list[BoolVector | None] = [None, np.ones(N_ITEMS, bool), np.zeros(N_ITEMS, bool)]
        masks.append(np.arange(N_ITEMS) == 7)
        return [*masks, *(rng.random(N_ITEMS) < 0.5 for _ in range(36))]

    def test_it_finds_something(self, part: Retriever, queries: Sequence[Query]) -> None:
        assert len(part.retrieve(batch(*queries), ALL).row) >= 20

    def test_bundles_know_it_by_its_name(self, part: Retriever) -> None:
        assert RETRIEVERS[part.name] is type(part)

    def test_it_is_frozen(self, part: Retriever) -> None:
        name = next(iter(type(part).__slots__))  # type: ignore[attr-defined]
        with pytest.raises(FrozenInstanceError):
            setattr(part, name, None)

    def test_it_is_pure(self, part: Retriever, queries: Sequence[Query]) -> None:
        asked = batch(*queries)
        before = {name: array.tobytes() for name, array in part.state().arrays.items()}
        for array in (*part.state().arrays.values(), *arrays_of(asked)):
            array.setflags(write=False)
        first, pairs = part.retrieve(asked, 10), pairs_of(asked, part)
        assert same(part.retrieve(asked, 10), first)
        assert {name: array.tobytes() for name, array in part.state().arrays.items()} == before
        assert pairs_of(asked, part) == pairs == pairs_of(batch(*queries), part)

    @pytest.mark.parametrize("count", [1, 7, ALL])
    def test_candidates_keep_their_form(
        self, part: Retriever, queries: Sequence[Query], allowed: Sequence[BoolVector | None], count: int
    ) -> None:
        found = part.retrieve(batch(*queries, allowed=allowed), count)
        assert found.indptr.dtype == np.int64
        assert found.row.dtype == np.int32
        assert found.score.dtype == np.float32
        assert len(found.indptr) == len(queries) + 1
        assert (found.indptr[0], found.indptr[-1]) == (0, len(found.row))
        assert len(found.row) == len(found.score)
        assert np.isfinite(found.score).all()
        for i, mask in enumerate(allowed):
            row, score = found.of_query(i)
            assert len(row) <= count
            assert len(np.unique(row)) == len(row)
            assert ((row >= 0) & (row < N_ITEMS)).all()
            assert mask is None or mask[row].all()
            assert sorted(zip(-score, row, strict=True)) == list(zip(-score, row, strict=True))

    def test_a_shorter_answer_is_the_head_of_a_longer_one(self, part: Retriever, queries: Sequence[Query]) -> None:
        whole = part.retrieve(batch(*queries), ALL)
        for count in (1, 5, 20):
            found = part.retrieve(batch(*queries), count)
            for i in range(len(queries)):
                row, score = whole.of_query(i)
                assert np.array_equal(found.of_query(i)[0], row[:count])
                assert np.array_equal(found.of_query(i)[1], score[:count])

    def test_items_are_left_out_before_the_cut(
        self, part: Retriever, queries: Sequence[Query], allowed: Sequence[BoolVector | None]
    ) -> None:
        whole = part.retrieve(batch(*queries), ALL)
        found = part.retrieve(batch(*queries, allowed=allowed), 5)
        for i, mask in enumerate(allowed):
            row = whole.of_query(i)[0]
            assert found.of_query(i)[0].tolist() == row[mask[row] if mask is not None else slice(None)][:5].tolist()

    def test_an_empty_history_is_answered(self, part: Retriever) -> None:
        found = part.retrieve(batch(ask(), ask(store_row=1)), 5)
        assert len(found.indptr) == 3
        assert len(part.retrieve(batch(ask()), 5).indptr) == 2

    def test_nothing_allowed_is_answered_by_nothing(self, part: Retriever, queries: Sequence[Query]) -> None:
        found = part.retrieve(batch(*queries, allowed=[np.zeros(N_ITEMS, bool)] * len(queries)), 5)
        assert found.indptr.tolist() == [0] * (len(queries) + 1)

    def test_an_answer_does_not_depend_on_the_rest_of_the_batch(
        self, part: Retriever, queries: Sequence[Query], allowed: Sequence[BoolVector | None]
    ) -> None:
        found = part.retrieve(batch(*queries, allowed=allowed), 7)
        turned = part.retrieve(batch(*reversed(queries), allowed=list(reversed(allowed))), 7)
        for i, query in enumerate(queries):
            alone = part.retrieve(batch_of([query], [allowed[i]]), 7)
            for other, place in ((alone, 0), (turned, len(queries) - 1 - i)):
                for left, right in zip(found.of_query(i), other.of_query(place), strict=True):
                    assert np.array_equal(left, right)

    def test_queries_about_one_history_are_answered_one_by_one(
        self, part: Retriever, queries: Sequence[Query], allowed: Sequence[BoolVector | None]
    ) -> None:
        asked = [replace(queries[i % 4], store_row=(None, 0, 1)[i % 3]) for i in range(len(queries))]
        found = part.retrieve(batch(*asked, allowed=allowed), 7)
        for i, query in enumerate(asked):
            alone = part.retrieve(batch_of([query], [allowed[i]]), 7)
            for left, right in zip(found.of_query(i), alone.of_query(0), strict=True):
                assert np.array_equal(left, right)

    def test_state_makes_the_same_retriever(self, part: Retriever, queries: Sequence[Query]) -> None:
        again = type(part).from_state(part.state())
        assert same(again.retrieve(batch(*queries), 20), part.retrieve(batch(*queries), 20))

    def test_state_survives_the_disk(self, part: Retriever, queries: Sequence[Query], tmp_path: Path) -> None:
        again = through_disk(part, tmp_path)
        assert same(again.retrieve(batch(*queries), 20), part.retrieve(batch(*queries), 20))
        assert again.state().settings == part.state().settings
        assert again.state().arrays.keys() == part.state().arrays.keys()
        for name, array in again.state().arrays.items():
            assert array.dtype == part.state().arrays[name].dtype
            assert np.array_equal(array, part.state().arrays[name])


def arrays_of(asked: Batch) -> list[np.ndarray]:
    """Return all arrays of a batch."""
    whole = asked.histories
    return [whole.indptr, whole.item_row, whole.minute, whole.kind, whole.channel, asked.as_of, asked.store_row]


def pairs_of(asked: Batch, part: Retriever) -> list[bytes]:
    """Return the content of the pairs that a retriever shares with the others of its batch."""
    weights = getattr(part, "weights", None)
    pairs = None if weights is None else asked.pairs(weights)
    return [] if pairs is None else [getattr(pairs, entry.name).tobytes() for entry in fields(pairs)]
