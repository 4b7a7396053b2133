"""Schemas of what steers a slate: filters, boosts, what is buried, pins. The core reads filters."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler
from pydantic.config import JsonDict
from pydantic.json_schema import JsonSchemaValue
from pydantic_core.core_schema import CoreSchema

from api.fields import Body, Id, IsoDate, UtcTime
from recommender.catalog import RESTRICTED_CODES
from recommender.filter_parsing import MAX_CENTS, MAX_DAYS
from recommender.json_trees import MAX_CONDITIONS, MAX_DEPTH
from recommender.json_values import MAX_TEXT, MAX_VALUES
from recommender.placement import MAX_BOOSTS, MAX_FACTOR, MAX_PINS, MAX_POSITION, NO_STEERING, Steering, parse_steering

FILTER_EXAMPLES: list[JsonDict] = [
    {"category": "food > dairy"},
    {"and": [{"price_cents": {"max": 2000}}, {"not": {"brand": ["Alm", "Hop"]}}]},
    {"or": [{"attribute": {"name": "organic", "is": True}}, {"new_within_days": 30}]},
    {"attribute": {"name": "weight_g", "min": 250, "max": 1000}},
    {"available": "store"},
]

_Name = Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]
_Names = _Name | Annotated[list[_Name], Field(min_length=1, max_length=MAX_VALUES)]
_Class = Annotated[str, Field(json_schema_extra={"enum": [name for name in RESTRICTED_CODES if name]})]


def _without_defaults(schema: JsonDict) -> None:
    """Describe fields that may be left out, but are not null."""
    properties = schema["properties"]
    assert isinstance(properties, dict)
    for part in properties.values():
        assert isinstance(part, dict)
        part.pop("default", None)


def _one_condition(schema: JsonDict) -> None:
    _without_defaults(schema)
    schema["minProperties"] = schema["maxProperties"] = 1
    schema["examples"] = list(FILTER_EXAMPLES)


class CentsRange(BaseModel):
    """A range of prices in cents; both bounds belong to it."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=_without_defaults)
    min: Annotated[int, Field(ge=0, le=MAX_CENTS)] = 0
    max: Annotated[int, Field(ge=0, le=MAX_CENTS)] = MAX_CENTS


_Scalar = str | float | bool


class AttributeCondition(BaseModel):
    """One question about one attribute: `is`, `in`, `exists`, or `min` and `max`."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=_without_defaults)
    name: Annotated[_Name, Field(description="The key in the item's attributes; of an object inside one: `a.b`.")]
    is_: Annotated[_Scalar, Field(alias="is")] = ""
    in_: Annotated[list[_Scalar], Field(alias="in", min_length=1, max_length=MAX_VALUES)] = []
    min: float = 0.0
    max: float = 0.0
    exists: bool = True


class Filter(BaseModel):
    """A condition on items: an object with exactly one key."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=_one_condition)
    and_: Annotated[list[Filter], Field(alias="and", min_length=1, description="All of these hold.")] = []
    or_: Annotated[list[Filter], Field(alias="or", min_length=1, description="At least one holds.")] = []
    not_: Annotated[Filter | None, Field(alias="not", description="This does not hold.")] = None
    category: Annotated[_Names, Field(description="In a category or anywhere below it, such as `food > dairy`.")] = ""
    brand: Annotated[_Names, Field(description="Of a brand, or of one of several.")] = ""
    price_cents: Annotated[CentsRange | None, Field(description="By the price now, in the store asked about.")] = None
    available: Annotated[
        Literal["store", "reachable"], Field(description="In stock in the store, or where the customer can buy.")
    ] = "store"
    sponsored: Annotated[bool, Field(description="Whether a supplier pays for its being shown.")] = True
    season: Annotated[_Names, Field(description="Of a season.")] = ""
    new_since: Annotated[IsoDate | UtcTime | None, Field(description="On sale since then at the earliest.")] = None
    new_within_days: Annotated[int, Field(ge=1, le=MAX_DAYS, description="On sale since at most so many days.")] = 1
    restricted_class: Annotated[
        _Class | Annotated[list[_Class], Field(min_length=1)], Field(description="Of a restricted class.")
    ] = ""
    item_id: Annotated[_Names, Field(description="One of some items.")] = ""
    attribute: Annotated[AttributeCondition | None, Field(description="By an attribute of the item.")] = None


class _DescribedBy:
    """Describes a JSON value, which the core reads, by a schema."""

    def __init__(self, model: type[BaseModel]) -> None:
        self._model = model

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return handler(self._model.__pydantic_core_schema__)


FilterField = Annotated[dict[str, Any], _DescribedBy(Filter)]
_LIMITS = f"At most {MAX_DEPTH} levels and {MAX_CONDITIONS} conditions; docs/filters.md has every kind."
WhatMayBeShown = Annotated[FilterField | None, Field(description=f"Only items that it holds for are shown. {_LIMITS}")]
Buried = Annotated[FilterField | None, Field(description="Items that are shown only where nothing else is left.")]


class BoostBody(Body):
    """Multiplies the scores of the items that a filter holds for."""

    filters: FilterField
    factor: Annotated[float, Field(gt=0, le=MAX_FACTOR, description="Above 1: earlier; below 1: later.")]


class PinBody(Body):
    """Puts an item at a position, if rules and the scenario allow it to be shown."""

    item_id: Id
    position: Annotated[int, Field(ge=1, le=MAX_POSITION, description="1 = first.")]


class SteeringBody(Body):
    """What steers a slate, in requests and in the settings of scenarios."""

    filters: WhatMayBeShown = None
    boosts: Annotated[list[BoostBody], Field(max_length=MAX_BOOSTS)] = Field(default_factory=list)
    bury: Buried = None
    pins: Annotated[list[PinBody], Field(max_length=MAX_PINS)] = Field(default_factory=list)

    def steering(self) -> Steering:
        """Return it as the core takes it. Raises: InputError that names what is wrong."""
        if self.filters is None and self.bury is None and not self.boosts and not self.pins:
            return NO_STEERING
        return parse_steering(
            {
                "filters": self.filters,
                "boosts": [boost.model_dump() for boost in self.boosts],
                "bury": self.bury,
                "pins": [pin.model_dump() for pin in self.pins],
            }
        )
