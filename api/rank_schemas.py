"""Request and answer of rankings: a caller's own list, put in order for a customer."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field, model_validator

from api.fields import Answer, Body, Id
from api.schemas import Channel, Identity, one_customer
from api.slate_schemas import Reachable, StoreField

MAX_RANKED = 500


class RankRequest(Body):
    """Items to put in order, and for whom."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"member_id": "1008", "store_id": "shop-12", "item_ids": ["milk-1l", "bread", "tea"]}]
        }
    )
    item_ids: Annotated[list[Id], Field(min_length=1, max_length=MAX_RANKED, description="Repeats count once.")]
    member_id: Id | None = None
    identity: Identity | None = None
    store_id: StoreField = None
    reachable_store_ids: Reachable = Field(default_factory=list)
    channel: Channel | None = None

    @model_validator(mode="after")
    def _customer(self) -> RankRequest:
        one_customer(self.member_id, self.identity)
        return self


class RankedItem(Answer):
    """One item of the list: its position and score, or the rule by which it may not be shown."""

    item_id: str
    position: Annotated[int | None, Field(ge=1)]
    score: float | None
    rule: Annotated[str | None, Field(description="Such as `unknown_item` or `out_of_stock`; null where ranked.")]


class RankAnswer(Answer):
    """The list in order, then what may not be shown."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "recommendation_id": "019c5a2f1b3d8e6a4c0f7b9d2e1a5c3",
                    "scenario": "rank",
                    "bundle_id": "2026-03-01-4f1c9a7be2d0",
                    "strategy": "personal",
                    "flags": [],
                    "items": [
                        {"item_id": "milk-1l", "position": 1, "score": 0.91, "rule": None},
                        {"item_id": "bread", "position": 2, "score": 0.4, "rule": None},
                        {"item_id": "tea", "position": None, "score": None, "rule": "out_of_stock"},
                    ],
                }
            ]
        }
    )
    recommendation_id: str
    scenario: str
    bundle_id: str
    strategy: str
    flags: list[str]
    items: list[RankedItem]
