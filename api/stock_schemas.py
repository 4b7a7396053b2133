"""Rows and answers of prices, assortments, relations, stock adjustments, trust in stock, and recalls."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from api.fields import Answer, Body, Cents, Id, Text, UtcTime, wrong
from api.table_schemas import MAX_ROWS

MAX_POLICIES = 1_000
_ONE_YEAR = 366 * 24 * 60


class PriceRow(Body):
    """What an item costs in one store for a time; outside of it the item's own price holds."""

    store_id: Id
    item_id: Id
    price_cents: Cents
    member_price_cents: Cents | None = None
    valid_from: Annotated[UtcTime, Field(description="From the beginning if left out.")] | None = None
    valid_until: Annotated[UtcTime, Field(description="Without end if left out.")] | None = None


class AssortmentRow(Body):
    """That a store carries an item, for a time."""

    store_id: Id
    item_id: Id
    listed_from: UtcTime | None = None
    listed_until: Annotated[UtcTime, Field(description="A time that is past takes the item out.")] | None = None


class RelationRow(Body):
    """What one item is to another: with `replaces`, `item_id` is the code in use now."""

    item_id: Id
    related_item_id: Id
    relation: Literal["replaces", "same_product", "substitute", "complement"]


class PricesRequest(Body):
    """Prices to add or change."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"prices": [{"store_id": "shop-12", "item_id": "milk-1l", "price_cents": 119}]}]
        }
    )
    prices: Annotated[list[PriceRow], Field(min_length=1, max_length=MAX_ROWS)]


class AssortmentRequest(Body):
    """Listings to add or change."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"assortment": [{"store_id": "shop-12", "item_id": "milk-1l"}]}]}
    )
    assortment: Annotated[list[AssortmentRow], Field(min_length=1, max_length=MAX_ROWS)]


class RelationsRequest(Body):
    """Relations to add."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"relations": [{"item_id": "milk-1l-new", "related_item_id": "milk-1l", "relation": "replaces"}]}
            ]
        }
    )
    relations: Annotated[list[RelationRow], Field(min_length=1, max_length=MAX_ROWS)]


class AdjustmentRow(Body):
    """What came (above 0) or went (below 0) of an item in one store."""

    store_id: Id
    item_id: Id
    delta: Annotated[float, Field(ge=-1e12, le=1e12)]
    as_of: Annotated[UtcTime, Field(description="When it happened; now if left out.")] | None = None


class AdjustRequest(Body):
    """Stock to adjust."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"adjustments": [{"store_id": "shop-12", "item_id": "milk-1l", "delta": -2}]}]}
    )
    adjustments: Annotated[list[AdjustmentRow], Field(min_length=1, max_length=MAX_ROWS)]


class OnHandAnswer(Answer):
    """The stock after an adjustment; below 0 when more went than was counted."""

    store_id: str
    item_id: str
    on_hand: float


class AdjustAnswer(Answer):
    """The stock after each adjustment, in the order sent."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"received": 1, "stock": [{"store_id": "shop-12", "item_id": "milk-1l", "on_hand": 12.0}]}]
        }
    )
    received: int
    stock: list[OnHandAnswer]


class PolicyRow(Body):
    """How far the stock of a category is trusted."""

    category: Annotated[Text, Field(description='A path, for all below it too; "" for whatever no other policy names.')]
    trust: Annotated[
        Literal["exact", "safety", "untracked"],
        Field(description="`safety`: in stock only above `safety_level`; `untracked`: always in stock."),
    ]
    safety_level: Annotated[float, Field(ge=0, le=1e9)] = 0.0
    max_age_minutes: Annotated[
        int | None,
        Field(ge=1, le=_ONE_YEAR, description="An older count says nothing: the item counts as in stock."),
    ] = None


class PoliciesRequest(Body):
    """All policies: they take the place of those before."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "policies": [
                        {"category": "", "trust": "exact", "max_age_minutes": 2880},
                        {"category": "food > fresh", "trust": "safety", "safety_level": 3},
                        {"category": "services", "trust": "untracked"},
                    ]
                }
            ]
        }
    )
    policies: Annotated[list[PolicyRow], Field(max_length=MAX_POLICIES)]

    @model_validator(mode="after")
    def _distinct(self) -> PoliciesRequest:
        names = [row.category.strip() for row in self.policies]
        if len(names) != len(set(names)):
            raise wrong("policies", "A category has two policies.", "one policy per category")
        return self


class PolicyAnswer(Answer):
    """How far the stock of a category is trusted."""

    category: str
    trust: Literal["exact", "safety", "untracked"]
    safety_level: float
    max_age_minutes: int | None


class PoliciesAnswer(Answer):
    """The policies that hold now."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "policies": [
                        {"category": "services", "trust": "untracked", "safety_level": 0.0, "max_age_minutes": None}
                    ]
                }
            ]
        }
    )
    policies: list[PolicyAnswer]


class RecallRequest(Body):
    """Why an item is pulled."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "Batch 7 may hold glass."}]})
    reason: Annotated[Text, Field(min_length=1)]


class RecallAnswer(Answer):
    """Whether the item is recalled now, and since when."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"item_id": "milk-1l", "recalled": True}]})
    item_id: str
    recalled: bool
