"""The data contract: column names, kinds and keys of every canonical table, in one place.

`training/sources` checks exports against it, `recommender/storage/tables.py` builds the SQL tables from it, and
`api/schemas.py` takes its choices from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from recommender.errors import InputError
from recommender.events import EventKind


class ColumnKind(StrEnum):
    """How the text of a column is read and stored."""

    ID = "id"
    TEXT = "text"
    CHOICE = "choice"
    INTEGER = "integer"
    NUMBER = "number"
    CENTS = "cents"
    TIME = "time"
    DATE = "date"
    BOOLEAN = "boolean"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Column:
    """One column: `required` must be present and filled; `choices` limits CHOICE columns."""

    name: str
    kind: ColumnKind
    required: bool = False
    choices: tuple[str, ...] = ()
    minimum: float | None = None


@dataclass(frozen=True, slots=True)
class TableSpec:
    """One canonical table: its columns in order and the columns that make a row unique."""

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]

    def column(self, name: str) -> Column:
        """Return one column by name. Raises: InputError if the table has no such column."""
        for column in self.columns:
            if column.name == name:
                return column
        raise InputError(
            f"Table {self.name} has no such column.",
            field=name,
            value=name,
            accepted=", ".join(column.name for column in self.columns),
        )

    @property
    def required(self) -> tuple[str, ...]:
        """Names of the columns that every row must fill."""
        return tuple(column.name for column in self.columns if column.required)


MEMBER_KINDS = ("consumer", "employee", "business", "shared_card", "test", "blocked")
LEARNED_KINDS = ("consumer",)
"""Member kinds whose histories shape the models, and who are recommended to and given coupons."""
RESTRICTED_CLASSES = ("tobacco", "alcohol", "infant_formula", "medicine", "sensitive")
RELATIONS = ("replaces", "same_product", "substitute", "complement")
FULFILMENTS = ("in_store", "pick_up", "delivery")
OFFER_KINDS = ("amount_off", "percent_off", "fixed_price", "free_delivery", "gift")

_ID, _TEXT, _JSON = ColumnKind.ID, ColumnKind.TEXT, ColumnKind.JSON
_INT, _NUM, _CENTS = ColumnKind.INTEGER, ColumnKind.NUMBER, ColumnKind.CENTS
_TIME, _DATE, _BOOL = ColumnKind.TIME, ColumnKind.DATE, ColumnKind.BOOLEAN


def _need(name: str, kind: ColumnKind, *, minimum: float | None = None) -> Column:
    return Column(name, kind, required=True, minimum=minimum)


def _may(name: str, kind: ColumnKind, *, minimum: float | None = None) -> Column:
    return Column(name, kind, minimum=minimum)


def _one_of(name: str, choices: tuple[str, ...], *, required: bool = False) -> Column:
    return Column(name, ColumnKind.CHOICE, required=required, choices=choices)


MEMBERS = TableSpec(
    "members",
    (
        _need("member_id", _ID),
        _one_of("kind", MEMBER_KINDS),
        _may("household_id", _ID),
        _may("registered_at", _TIME),
        _may("home_store_id", _ID),
        _may("guide_id", _ID),
        _may("birth_date", _DATE),
        _one_of("adult", ("true", "false", "unknown")),
        _may("tier", _TEXT),
        _may("city", _TEXT),
        _may("points_balance", _INT),
        _may("attributes", _JSON),
    ),
    ("member_id",),
)
CONSENTS = TableSpec(
    "consents",
    (
        _need("member_id", _ID),
        _need("purpose", _TEXT),
        _may("channel", _TEXT),
        _need("granted", _BOOL),
        _need("at", _TIME),
        _may("wording_version", _TEXT),
        _may("source", _TEXT),
    ),
    ("member_id", "purpose", "channel", "at"),
)
IDENTITIES = TableSpec(
    "identities",
    (_need("namespace", _TEXT), _need("value", _ID), _need("member_id", _ID), _may("linked_at", _TIME)),
    ("namespace", "value", "member_id"),
)
ITEMS = TableSpec(
    "items",
    (
        _need("item_id", _ID),
        _may("title", _TEXT),
        _may("category", _TEXT),
        _may("brand", _TEXT),
        _may("price_cents", _CENTS, minimum=0),
        _may("cost_cents", _CENTS, minimum=0),
        _may("sale_unit", _TEXT),
        _may("pack_content", _TEXT),
        _one_of("restricted_class", RESTRICTED_CLASSES),
        _may("season", _TEXT),
        _may("season_until", _DATE),
        _may("available_from", _TIME),
        _may("available_until", _TIME),
        _may("sponsored", _BOOL),
        _may("attributes", _JSON),
    ),
    ("item_id",),
)
ITEM_RELATIONS = TableSpec(
    "item_relations",
    (_need("item_id", _ID), _need("related_item_id", _ID), _one_of("relation", RELATIONS, required=True)),
    ("item_id", "related_item_id", "relation"),
)
STORES = TableSpec(
    "stores",
    (
        _need("store_id", _ID),
        _may("name", _TEXT),
        _may("region", _TEXT),
        _may("city", _TEXT),
        _may("channel", _TEXT),
        _may("status", _TEXT),
        _may("closed_on", _DATE),
        _may("successor_store_id", _ID),
    ),
    ("store_id",),
)
PRICES = TableSpec(
    "prices",
    (
        _need("store_id", _ID),
        _need("item_id", _ID),
        _need("price_cents", _CENTS, minimum=0),
        _may("member_price_cents", _CENTS, minimum=0),
        _may("valid_from", _TIME),
        _may("valid_until", _TIME),
    ),
    ("store_id", "item_id", "valid_from"),
)
ASSORTMENT = TableSpec(
    "assortment",
    (_need("store_id", _ID), _need("item_id", _ID), _may("listed_from", _TIME), _may("listed_until", _TIME)),
    ("store_id", "item_id"),
)
INVENTORY = TableSpec(
    "inventory",
    (_need("store_id", _ID), _need("item_id", _ID), _need("on_hand", _NUM), _may("as_of", _TIME)),
    ("store_id", "item_id"),
)
# An event names its customer by member_id, or by namespace and identity_value, or not at all. Where a
# namespace is given without identity_value, the column `value` is the identity's value and not a number.
EVENTS = TableSpec(
    "events",
    (
        _need("event_id", _ID),
        _need("occurred_at", _TIME),
        _one_of("kind", tuple(EventKind), required=True),
        _need("channel", _TEXT),
        _may("member_id", _ID),
        _may("namespace", _TEXT),
        _may("identity_value", _ID),
        _may("item_id", _ID),
        _may("store_id", _ID),
        _may("order_id", _ID),
        _may("order_line", _ID),
        _may("revision", _INT, minimum=0),
        _may("status", _TEXT),
        _one_of("fulfilment", FULFILMENTS),
        _may("quantity", _NUM, minimum=0),
        _may("unit_price_cents", _CENTS, minimum=0),
        _may("discount_cents", _CENTS, minimum=0),
        _may("coupon_id", _ID),
        _may("recommendation_id", _ID),
        _may("position", _INT, minimum=1),
        _may("value", _NUM),
        _may("attributes", _JSON),
    ),
    ("event_id",),
)
OFFERS = TableSpec(
    "offers",
    (
        _need("offer_id", _ID),
        _may("title", _TEXT),
        _one_of("kind", OFFER_KINDS, required=True),
        _may("value", _INT, minimum=0),
        _may("assumed_value_cents", _CENTS, minimum=0),
        _may("minimum_spend_cents", _CENTS, minimum=0),
        _may("maximum_discount_cents", _CENTS, minimum=0),
        _may("scope", _JSON),
        _may("stores", _JSON),
        _may("channels", _JSON),
        _may("fulfilment", _JSON),
        _may("segments", _JSON),
        _may("points_cost", _INT, minimum=0),
        _may("valid_from", _TIME),
        _may("valid_until", _TIME),
        _may("stock", _INT, minimum=0),
        _may("per_member_limit", _INT, minimum=0),
        _may("funded_share", _NUM, minimum=0),
        _one_of("wallet", ("memberwise", "external")),
        _may("exclusive_group", _TEXT),
    ),
    ("offer_id",),
)
OFFER_ITEMS = TableSpec("offer_items", (_need("offer_id", _ID), _need("item_id", _ID)), ("offer_id", "item_id"))
COUPONS = TableSpec(
    "coupons",
    (
        _need("coupon_id", _ID),
        _need("offer_id", _ID),
        _need("member_id", _ID),
        _one_of("status", ("issued", "locked", "redeemed", "expired", "voided"), required=True),
        _may("issued_at", _TIME),
        _may("expires_at", _TIME),
        _may("source", _TEXT),
    ),
    ("coupon_id",),
)
CAMPAIGNS = TableSpec(
    "campaigns",
    (
        _need("campaign_id", _ID),
        _may("name", _TEXT),
        _need("starts_at", _TIME),
        _need("ends_at", _TIME),
        _may("budget_cents", _CENTS, minimum=0),
        _may("offers", _JSON),
        _may("message", _JSON),
    ),
    ("campaign_id",),
)
SENDS = TableSpec(
    "sends",
    (
        _need("campaign_id", _ID),
        _need("member_id", _ID),
        _may("offer_id", _ID),
        _need("sent_at", _TIME),
        _one_of("arm", ("treated", "holdout")),
        _may("propensity", _NUM, minimum=0),
    ),
    ("campaign_id", "member_id", "offer_id", "sent_at"),
)
REDEMPTIONS = TableSpec(
    "redemptions",
    (
        _need("redemption_id", _ID),
        _need("member_id", _ID),
        _need("offer_id", _ID),
        _may("coupon_id", _ID),
        _may("campaign_id", _ID),
        _may("order_id", _ID),
        _need("redeemed_at", _TIME),
        _may("channel", _TEXT),
        _may("store_id", _ID),
        _may("discount_cents", _CENTS, minimum=0),
    ),
    ("redemption_id",),
)
CALENDAR = TableSpec(
    "calendar",
    (_need("date", _DATE), _need("festival", _TEXT), _may("region", _TEXT)),
    ("date", "festival", "region"),
)
PROMOTIONS = TableSpec(
    "promotions",
    (
        _need("store_id", _ID),
        _need("item_id", _ID),
        _need("starts_at", _TIME),
        _may("ends_at", _TIME),
        _may("placement", _TEXT),
    ),
    ("store_id", "item_id", "starts_at", "placement"),
)

TABLES: dict[str, TableSpec] = {
    spec.name: spec
    for spec in (
        MEMBERS,
        CONSENTS,
        IDENTITIES,
        ITEMS,
        ITEM_RELATIONS,
        STORES,
        PRICES,
        ASSORTMENT,
        INVENTORY,
        EVENTS,
        OFFERS,
        OFFER_ITEMS,
        COUPONS,
        CAMPAIGNS,
        SENDS,
        REDEMPTIONS,
        CALENDAR,
        PROMOTIONS,
    )
}


def check_columns(spec: TableSpec, names: list[str]) -> list[str]:
    """Check the header of an export against the contract.

    Args:
        spec: the canonical table.
        names: column names found, in order.
    Returns: the names that the contract does not know, which the reader ignores and reports.
    Raises: InputError if a required column is missing or a name appears twice.
    """
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise InputError(f"Table {spec.name} names a column twice.", field=repeated[0], value=", ".join(names))
    missing = [name for name in spec.required if name not in names]
    if missing:
        raise InputError(
            f"Table {spec.name} lacks required columns: {', '.join(missing)}.",
            field=missing[0],
            value=", ".join(names),
            accepted=", ".join(column.name for column in spec.columns),
        )
    known = {column.name for column in spec.columns}
    return [name for name in names if name not in known]
