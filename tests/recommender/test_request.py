"""Requests: which of them can be asked again later with nothing but who, where and how many."""

from __future__ import annotations

import pytest

from recommender.context import RequestContext
from recommender.query import Scenario
from recommender.request import SlateRequest, is_narrowed

PLAIN = {"scenario": Scenario.HOME, "count": 10, "subject": "member:1", "store_id": "s1", "channel": "app"}


@pytest.mark.parametrize(
    ("said", "narrowed"),
    [
        ({}, False),
        ({"exclude": [], "context": RequestContext(None, [], [])}, False),
        ({"exclude": ["i1"]}, True),
        ({"context": RequestContext("i1")}, True),
        ({"context": RequestContext(None, ["i1"], [])}, True),
        ({"stock": False}, True),
    ],
)
def test_what_narrows_a_request(said: dict[str, object], narrowed: bool) -> None:
    assert is_narrowed(SlateRequest(**{**PLAIN, **said})) is narrowed  # type: ignore[arg-type]
