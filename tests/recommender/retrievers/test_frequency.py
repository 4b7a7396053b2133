"""Plain frequency: the decayed weight of a member's own purchases."""

from __future__ import annotations

import pytest

from recommender.retrievers.frequency import FrequencyRetriever
from tests.contracts import RetrieverContract
from tests.learning import VIEW, answer, ask, plain_weights


class TestContract(RetrieverContract):
    def retriever(self) -> FrequencyRetriever:
        return FrequencyRetriever(plain_weights())


def test_purchases_decay_and_views_do_not_count() -> None:
    # Half-life 10 days. Item 0: bought 10 and 20 days ago, 1/2 + 1/4. Item 2: bought 10 days ago, viewed since.
    found = answer(FrequencyRetriever(plain_weights(10)), ask((2, 10), (2, 1, VIEW), (0, 20), (0, 10), (4, 1, VIEW)))
    assert found == pytest.approx({0: 0.75, 2: 0.5})
    assert list(found) == [0, 2]
