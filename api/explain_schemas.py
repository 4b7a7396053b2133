"""Request and answer of explanations."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from api.fields import Answer, Id
from api.slate_schemas import ReasonAnswer, SlateBody
from recommender.explanation import LOOK_DEPTH, Outcome
from recommender.query import Scenario

_REQUEST: JsonDict = {"scenario": "home", "member_id": "1008", "store_id": "shop-12", "item_id": "milk-1l"}
_ANSWER: JsonDict = {
    "item_id": "milk-1l",
    "title": "Whole milk, 1 l",
    "scenario": "home",
    "bundle_id": "2026-03-01-4f1c9a7be2d0",
    "flags": [],
    "outcome": "dropped",
    "text": "Not shown: it is out of stock.",
    "rule": "out_of_stock",
    "rules": ["out_of_stock"],
    "position": None,
    "position_by_score": None,
    "rank": 1,
    "candidates": 287,
    "score": 0.91,
    "source": "repeat",
    "retrievers": [{"name": "repeat", "rank": 1, "score": 3.2, "depth": 150, "asked": True, "adds": 1.0}],
    "contributions": [{"feature": "days_since", "adds": 0.42}],
    "reasons": [
        {
            "code": "bought_regularly",
            "text": "Bought 7 times, about every 12 days, last on 2 November 2025",
            "evidence": {"times": 7, "every_days": 12, "last_on": "2025-11-02"},
        }
    ],
}


class ExplanationRequest(SlateBody):
    """Which item of which slate to explain: a request for the slate, and the item."""

    model_config = ConfigDict(json_schema_extra={"examples": [_REQUEST, {"scenario": "trending", "item_id": "bread"}]})
    item_id: Annotated[Id, Field(description="The item to explain.")]


class RetrieverAnswer(Answer):
    """Where one retriever has the item, among all that the placement is about."""

    name: str
    rank: Annotated[int | None, Field(ge=1, description=f"Null if not among its first {LOOK_DEPTH}.")]
    score: Annotated[float | None, Field(description="In the retriever's own unit.")]
    depth: Annotated[int, Field(description="How many candidates a slate takes from it.")]
    asked: Annotated[bool, Field(description="Whether this placement asks it at all.")]
    adds: Annotated[float, Field(description="What it adds to the blended score of the item.")]


class ContributionAnswer(Answer):
    """What one feature of the learned ranker adds to the item's score, in log-odds."""

    feature: str
    adds: float


class ExplanationAnswer(Answer):
    """What became of the item: the outcome for programs, `text` for people, and each step behind it."""

    model_config = ConfigDict(json_schema_extra={"examples": [_ANSWER]})
    item_id: str
    title: str | None
    scenario: Scenario
    bundle_id: str
    flags: list[str]
    outcome: Outcome
    text: str
    rule: Annotated[str | None, Field(description="The first rule that removes it.")]
    rules: Annotated[list[str], Field(description="All rules that would remove it.")]
    position: Annotated[int | None, Field(ge=1, description="Its place in the slate.")]
    position_by_score: Annotated[
        int | None, Field(ge=1, description="The place that its score alone gives it among what the rules allow.")
    ]
    rank: Annotated[int | None, Field(ge=1, description="Its place by score among all candidates, before rules.")]
    candidates: int
    score: float | None
    source: Annotated[str | None, Field(description="The retriever that did most for it.")]
    retrievers: list[RetrieverAnswer]
    contributions: Annotated[
        list[ContributionAnswer], Field(description="Empty where the blend of retrievers alone orders the items.")
    ]
    reasons: list[ReasonAnswer]
