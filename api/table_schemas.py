"""Rows of the canonical tables that the API takes: the columns of recommender/columns.py, strict and
described.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from api.fields import Answer, Attributes, Body, Cents, Id, IsoDate, Namespace, Text, UtcTime

MAX_ROWS = 1_000
"""Most rows of one call: one short transaction."""


class ItemRow(Body):
    """An item of the catalogue. Columns that are left out keep their value; null clears one."""

    item_id: Id
    title: Text | None = None
    category: Annotated[Text, Field(description='A path, "food > dairy > milk".')] | None = None
    brand: Text | None = None
    price_cents: Cents | None = None
    cost_cents: Cents | None = None
    sale_unit: Text | None = None
    pack_content: Text | None = None
    restricted_class: Literal["tobacco", "alcohol", "infant_formula", "medicine", "sensitive"] | None = None
    season: Text | None = None
    season_until: Annotated[IsoDate, Field(description="The last day of its season.")] | None = None
    available_from: UtcTime | None = None
    available_until: UtcTime | None = None
    sponsored: bool | None = None
    attributes: Annotated[Attributes, Field(description="`titles` holds titles by language.")] | None = None
    hidden: Annotated[bool, Field(description="True takes the item from every slate at once.")] = False


class StoreRow(Body):
    """A shop or an online store."""

    store_id: Id
    name: Text | None = None
    region: Text | None = None
    city: Text | None = None
    channel: Text | None = None
    status: Text | None = None
    closed_on: IsoDate | None = None
    successor_store_id: Id | None = None


class StockRow(Body):
    """What is on hand in one store, as counted at `as_of`; an older count than the known one is ignored."""

    store_id: Id
    item_id: Id
    on_hand: float
    as_of: (
        Annotated[UtcTime, Field(description="When it was counted; now if left out, or if it lies in the future.")]
        | None
    ) = None


class MemberRow(Body):
    """A member; pseudonymous."""

    member_id: Id
    kind: Literal["consumer", "employee", "business", "shared_card", "test", "blocked"] | None = None
    household_id: Id | None = None
    registered_at: UtcTime | None = None
    home_store_id: Id | None = None
    guide_id: Id | None = None
    birth_date: IsoDate | None = None
    adult: Literal["true", "false", "unknown"] | None = None
    tier: Text | None = None
    city: Text | None = None
    points_balance: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    attributes: Attributes | None = None


class LinkRow(Body):
    """A link from a channel's customer to a member; history follows at the next read."""

    namespace: Namespace
    value: Id
    member_id: Id
    linked_at: UtcTime | None = None


class UnlinkRow(Body):
    """A link to take away."""

    namespace: Namespace
    value: Id
    member_id: Annotated[Id, Field(description="Only this member's link; every link if left out.")] | None = None


class ItemsRequest(Body):
    """Items to add or change."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "items": [
                        {
                            "item_id": "milk-1l",
                            "title": "Whole milk, 1 l",
                            "category": "food > dairy > milk",
                            "brand": "Meadow",
                            "price_cents": 129,
                            "attributes": {"titles": {"zh": "全脂牛奶 1 升"}},
                        },
                        {"item_id": "mooncake-box", "hidden": True},
                    ]
                }
            ]
        }
    )
    items: Annotated[list[ItemRow], Field(min_length=1, max_length=MAX_ROWS)]


class StoresRequest(Body):
    """Stores to add or change."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"stores": [{"store_id": "shop-12", "name": "Harbour Street", "city": "Shanghai"}]}]
        }
    )
    stores: Annotated[list[StoreRow], Field(min_length=1, max_length=MAX_ROWS)]


class InventoryRequest(Body):
    """Stock to set."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "inventory": [
                        {
                            "store_id": "shop-12",
                            "item_id": "milk-1l",
                            "on_hand": 14,
                            "as_of": "2026-03-01T08:00:00+08:00",
                        }
                    ]
                }
            ]
        }
    )
    inventory: Annotated[list[StockRow], Field(min_length=1, max_length=MAX_ROWS)]


class MembersRequest(Body):
    """Members to add or change."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"members": [{"member_id": "1008", "home_store_id": "shop-12", "adult": "true"}]}]
        }
    )
    members: Annotated[list[MemberRow], Field(min_length=1, max_length=MAX_ROWS)]


class LinksRequest(Body):
    """Identities to link to members."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"identities": [{"namespace": "wechat_openid", "value": "oAbc123", "member_id": "1008"}]}]
        }
    )
    identities: Annotated[list[LinkRow], Field(min_length=1, max_length=MAX_ROWS)]


class UnlinksRequest(Body):
    """Identities to unlink."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"identities": [{"namespace": "wechat_openid", "value": "oAbc123"}]}]}
    )
    identities: Annotated[list[UnlinkRow], Field(min_length=1, max_length=MAX_ROWS)]


class UpsertAnswer(Answer):
    """What a write changed. Rows of one call are written together or not at all."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"received": 2, "added": 1, "changed": 1, "unchanged": 0}]}
    )
    received: int
    added: int
    changed: int
    unchanged: int


class LinkConflict(Answer):
    """A row of the call, from 0, whose value now leads to several members; it counts for none until one is
    unlinked.
    """

    row: int
    namespace: str


class LinksAnswer(UpsertAnswer):
    """What was linked, and which values now lead to several members."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "received": 1,
                    "added": 1,
                    "changed": 0,
                    "unchanged": 0,
                    "conflicts": [{"row": 0, "namespace": "wechat_openid"}],
                }
            ]
        }
    )
    conflicts: list[LinkConflict]


class UnlinksAnswer(Answer):
    """What was unlinked."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"received": 1, "unlinked": 1}]})
    received: int
    unlinked: int
