"""Sections: best sellers of the member's categories and brands."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from recommender.retrievers.sections import SectionRetriever
from tests.contracts import N_ITEMS, RetrieverContract
from tests.learning import VIEW, answer, ask, plain_weights


def sections(section_row: list[list[int]], sales: list[list[float]], history_sections: int = 100) -> SectionRetriever:
    lists = sp.csr_matrix(np.array(sales, np.float32))
    return SectionRetriever(plain_weights(), 0.5, history_sections, np.array(section_row, np.int32), lists)


class TestContract(RetrieverContract):
    def retriever(self) -> SectionRetriever:
        rng = np.random.default_rng(7)
        sales = np.where(rng.random((9, N_ITEMS)) < 0.4, rng.choice([0.25, 0.5, 1.0], (9, N_ITEMS)), 0)
        sales[8] = 0
        return sections(rng.integers(0, 9, (N_ITEMS, 2)).tolist(), sales.tolist(), history_sections=3)


ROWS = [[0, 2], [0, 3], [1, 2], [1, 3]]
SALES = [[1, 0.5, 0, 0], [0, 0, 1, 0.5], [0.25, 0, 0.25, 0], [0, 0, 0, 0]]


def test_best_sellers_of_the_members_sections() -> None:
    # Item 0 weighs 1/2 (10 days), item 1 weighs 0.5 * 1/4 = 1/8 (viewed 10 days ago): section 0 has 5/8, section 2
    # has 1/2, section 3, which sells nothing, 1/8.
    found = answer(sections(ROWS, SALES), ask((0, 10), (1, 10, VIEW)))
    large, small = (5 / 8) ** 0.5, 0.5**0.5
    assert found == pytest.approx({0: large + 0.25 * small, 1: 0.5 * large, 2: 0.25 * small})
    assert list(found) == [0, 1, 2]


def test_the_heaviest_sections_count() -> None:
    # Section 0 has 1/2 + 1/4 of the weight, sections 2 and 3 have 1/2 and 1/4.
    found = answer(sections(ROWS, SALES, history_sections=1), ask((0, 10), (1, 20)))
    assert found == pytest.approx({0: 0.75**0.5, 1: 0.5 * 0.75**0.5})
