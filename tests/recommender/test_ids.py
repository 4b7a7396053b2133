"""External ids and rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.errors import InputError
from recommender.ids import MAX_ID_BYTES, IdIndex, check_id
from tests.learning import CHEAP

IDS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=20)


def test_rows_follow_the_order_of_ids() -> None:
    index = IdIndex.of(["b", "a", "c10", "c9", "a"])
    assert len(index) == 4
    assert index.ids(np.arange(4)) == ["a", "b", "c10", "c9"]
    assert [index.row(name) for name in ("a", "b", "c10", "c9")] == [0, 1, 2, 3]
    assert index.id(2) == "c10"


def test_unknown_ids_have_no_row() -> None:
    index = IdIndex.of(["a", "bb"])
    for unknown in ("", "b", "bbb", "z", "A", "a\0", "\ud800", "商品"):
        assert index.row(unknown) is None
        assert unknown not in index
        rows, known = index.rows([unknown, "a"])
        assert (rows.tolist(), known.tolist()) == ([0], [False, True])


def test_rows_come_in_the_order_asked() -> None:
    rows, known = IdIndex.of(["a", "b", "c"]).rows(["c", "x", "a", "c"])
    assert rows.tolist() == [2, 0, 2]
    assert rows.dtype == np.int32
    assert known.tolist() == [True, False, True, True]


def test_empty_index_and_empty_question() -> None:
    empty = IdIndex.of([])
    assert len(empty) == 0
    assert empty.row("a") is None
    rows, known = empty.rows(["a"])
    assert (rows.tolist(), known.tolist()) == ([], [False])
    rows, known = IdIndex.of(["a"]).rows([])
    assert (rows.tolist(), known.tolist()) == ([], [])


@pytest.mark.parametrize("value", ["", "a\0b", "\0", "a" * (MAX_ID_BYTES + 1), "商" * 43, "\ud800"])
def test_what_cannot_be_an_id_is_refused(value: str) -> None:
    with pytest.raises(InputError, match="field: id"):
        check_id(value)
    with pytest.raises(InputError):
        IdIndex.of(["fine", value])


def test_the_longest_id_is_accepted() -> None:
    longest = "商" * 42 + "ab"
    assert check_id(longest) == longest
    assert IdIndex.of([longest, "b"]).row(longest) == 1


def test_an_index_can_be_a_memory_map(tmp_path: Path) -> None:
    np.save(tmp_path / "keys.npy", IdIndex.of(["商品", "a", "b"]).keys)
    index = IdIndex(np.asarray(np.load(tmp_path / "keys.npy", mmap_mode="r")))
    assert index.row("商品") == 2
    assert index.ids(np.array([2, 0])) == ["商品", "a"]


@CHEAP
@given(st.sets(IDS, max_size=12), st.lists(IDS, max_size=12))
def test_ids_and_rows_are_inverse(ids: set[str], others: list[str]) -> None:
    index = IdIndex.of(ids)
    ordered = sorted(ids, key=str.encode)
    assert index.ids(np.arange(len(index))) == ordered
    asked = [*ordered, *others]
    rows, known = index.rows(asked)
    assert known.tolist() == [value in ids for value in asked]
    assert index.ids(rows) == [value for value in asked if value in ids]
    assert [index.row(value) for value in asked if value in ids] == rows.tolist()
