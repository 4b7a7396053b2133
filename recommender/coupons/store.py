"""Offers from SQL: rows of `offers` and `offer_items` made into Offer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson
from sqlalchemy.engine import Connection

from recommender.coupons.offers import Offer, OfferKind, Scope, Wallet
from recommender.errors import InputError
from recommender.storage.statements import fetch, marks
from recommender.storage.tables import CANONICAL
from recommender.storage.types import from_micros

_Choice = TypeVar("_Choice", OfferKind, Wallet)

CHUNK_IDS = 400
"""Offers looked up in one statement."""

_COLUMNS = tuple(column.name for column in CANONICAL["offers"].c)
_READ = f"SELECT {', '.join(_COLUMNS)} FROM offers"
_READ_ITEMS = "SELECT offer_id, item_id FROM offer_items"
_GOODS = "SELECT item_id, category, brand FROM items WHERE restricted_class IS NULL"
_SCOPES = ("items", "categories", "brands")


@dataclass(frozen=True, slots=True)
class OfferBook:
    """Offers by id, and of those that cannot be used what is wrong with them."""

    offers: Mapping[str, Offer]
    unusable: Mapping[str, InputError]


def read_offers(connection: Connection, offer_ids: Iterable[str] | None = None) -> OfferBook:
    """Read offers with all the goods they are for.

    Args:
        offer_ids: which; None: all. Unknown ones are in neither part of the result.
    Returns: both parts in order of offer id.
    """
    rows: list[dict[str, Any]] = []
    items: dict[str, list[str]] = {}
    for wanted in _chunks(offer_ids):
        where = "" if wanted is None else f" WHERE offer_id IN ({marks(len(wanted))})"
        rows += [_named(row) for row in fetch(connection, _READ + where, wanted or ())]
        for offer_id, item_id in fetch(connection, _READ_ITEMS + where, wanted or ()):
            items.setdefault(offer_id, []).append(item_id)
    offers: dict[str, Offer] = {}
    unusable: dict[str, InputError] = {}
    for row in sorted(rows, key=lambda one: str(one["offer_id"]).encode()):
        try:
            offers[row["offer_id"]] = offer_of(row, items.get(row["offer_id"], ()))
        except InputError as error:
            unusable[row["offer_id"]] = error
    return OfferBook(offers, unusable)


def without_goods(connection: Connection, offers: Sequence[Offer]) -> set[str]:
    """Return the ids of offers that can never apply: all goods they are for are restricted, or not in the catalogue."""
    scoped = [offer for offer in offers if not offer.scope.everything]
    if not scoped:
        return set()
    wanted = {item_id for offer in scoped for item_id in offer.scope.items}
    found: set[str] = set()
    paths: set[str] = set()
    brands: set[str] = set()
    for item_id, category, brand in fetch(connection, _GOODS):
        if item_id in wanted:
            found.add(item_id)
        paths.add(category)
        brands.add(brand)
    return {
        offer.offer_id
        for offer in scoped
        if offer.scope.items.isdisjoint(found)
        and offer.scope.brands.isdisjoint(brands)
        and not any(offer.scope.covers("", path, None) for path in paths)
    }


def offer_of(row: Mapping[str, Any], item_ids: Sequence[str] = ()) -> Offer:
    """Make an Offer of a row of the table `offers`.

    Args:
        row: values by column; JSON as text or as a value; a column that is left out is empty.
        item_ids: what `offer_items` adds to its scope.
    Raises: InputError naming the column, if the row is no offer or one that can never apply.
    """
    return Offer(
        offer_id=row["offer_id"],
        kind=_choice(OfferKind, "kind", row["kind"]),
        title=row.get("title"),
        value=row.get("value"),
        assumed_value_cents=row.get("assumed_value_cents"),
        minimum_spend_cents=row.get("minimum_spend_cents") or 0,
        maximum_discount_cents=row.get("maximum_discount_cents"),
        scope=_scope(row.get("scope"), item_ids),
        stores=_texts("stores", row.get("stores")),
        channels=_texts("channels", row.get("channels")),
        fulfilment=_texts("fulfilment", row.get("fulfilment")),
        segments=_texts("segments", row.get("segments")),
        points_cost=row.get("points_cost") or 0,
        valid_from=row.get("valid_from"),
        valid_until=row.get("valid_until"),
        stock=row.get("stock"),
        per_member_limit=row.get("per_member_limit"),
        funded_share=row.get("funded_share") or 0.0,
        wallet=_choice(Wallet, "wallet", row.get("wallet") or Wallet.MEMBERWISE),
        exclusive_group=row.get("exclusive_group") or None,
    )


def _chunks(offer_ids: Iterable[str] | None) -> Iterable[list[str] | None]:
    if offer_ids is None:
        return [None]
    distinct = sorted(set(offer_ids))
    return [distinct[start : start + CHUNK_IDS] for start in range(0, len(distinct), CHUNK_IDS)]


def _named(values: Sequence[Any]) -> dict[str, Any]:
    """Return a stored row with its columns' names, times as times."""
    row = dict(zip(_COLUMNS, values, strict=True))
    for name in ("valid_from", "valid_until"):
        row[name] = None if row[name] is None else from_micros(row[name])
    return row


def _choice(choices: type[_Choice], name: str, value: str) -> _Choice:
    try:
        return choices(value)
    except ValueError:
        raise InputError("There is no such choice.", field=name, value=value, accepted=", ".join(choices)) from None


def _scope(value: object, item_ids: Sequence[str]) -> Scope:
    """Read a scope; one that names nothing where it says it does would cover everything, so it is an error."""
    parts = _json("scope", value)
    if parts is None:
        return Scope.of(items=item_ids)
    if not isinstance(parts, dict) or not parts.keys() <= set(_SCOPES):
        raise InputError(
            "A scope cannot be read.", field="scope", value=value, accepted=f"lists of {', '.join(_SCOPES)}"
        )
    named = {name: _texts(f"scope.{name}", found) for name, found in parts.items()}
    if named and not any(named.values()) and not item_ids:
        raise InputError(
            "A scope names no goods.", field="scope", value=value, accepted="goods, or no scope at all for everything"
        )
    scope = Scope.of(**named)
    return Scope(scope.items.union(item_ids), scope.categories, scope.brands)


def _texts(name: str, value: object) -> frozenset[str]:
    found = _json(name, value)
    if found is None:
        return frozenset()
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise InputError("A list cannot be read.", field=name, value=value, accepted="a JSON list of texts")
    return frozenset(found)


def _json(name: str, value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return orjson.loads(value) if value else None
    except orjson.JSONDecodeError:
        raise InputError("This is not JSON.", field=name, value=value, accepted="JSON") from None
