"""What stores carry, have and charge: prices, assortments, stock that changes, trust in it; relations and recalls."""

from __future__ import annotations

import orjson
from sqlalchemy.engine import Connection

from api.auth import Scope
from api.idempotency import once
from api.openapi import Operation, Reply
from api.problems import CONFLICT
from api.routes.catalog import TAG, WHOLE, put_rows
from api.services import Call, Services
from api.stock_schemas import (
    AdjustAnswer,
    AdjustRequest,
    AssortmentRequest,
    PoliciesAnswer,
    PoliciesRequest,
    PricesRequest,
    RecallAnswer,
    RecallRequest,
    RelationsRequest,
)
from api.table_schemas import UpsertAnswer
from recommender.storage.adjustments import Adjustment, adjust_stock
from recommender.storage.audit import record
from recommender.storage.recalls import lift_recall, recall
from recommender.storage.stock_policies import StockPolicy, Trust, read_policies, replace_policies


def put_prices(services: Services, call: Call, body: PricesRequest) -> Reply:
    """Add or change prices."""
    return put_rows(services, call, "prices", body.prices)


def put_assortment(services: Services, call: Call, body: AssortmentRequest) -> Reply:
    """Add or change listings."""
    return put_rows(services, call, "assortment", body.assortment)


def put_item_relations(services: Services, call: Call, body: RelationsRequest) -> Reply:
    """Add relations between items."""
    return put_rows(services, call, "item_relations", body.relations)


def adjust_inventory(services: Services, call: Call, body: AdjustRequest) -> Reply:
    """Add to or take from stock, once per Idempotency-Key."""
    adjustments = [Adjustment(row.store_id, row.item_id, row.delta, row.as_of) for row in body.adjustments]

    def write(connection: Connection) -> dict[str, object]:
        stock = adjust_stock(connection, adjustments, call.now)
        found = [{"store_id": one.store_id, "item_id": one.item_id, "on_hand": one.on_hand} for one in stock]
        return {"received": len(found), "stock": found}

    call.notes["received"] = len(adjustments)
    return once(services, call, body, write)


def put_stock_policies(services: Services, call: Call, body: PoliciesRequest) -> Reply:
    """Put all policies in place of those before."""
    policies = [
        StockPolicy(row.category.strip(), Trust(row.trust), row.safety_level, row.max_age_minutes)
        for row in body.policies
    ]
    with services.database.write() as connection:
        replace_policies(connection, policies)
    return get_stock_policies(services, call)


def get_stock_policies(services: Services, call: Call) -> Reply:
    """Return the policies that hold."""
    with services.database.read() as connection:
        found = read_policies(connection)
    return Reply(
        {
            "policies": [
                {
                    "category": one.category,
                    "trust": one.trust,
                    "safety_level": one.safety_level,
                    "max_age_minutes": one.max_age_minutes,
                }
                for one in found
            ]
        }
    )


def recall_item(services: Services, call: Call, item_id: str, body: RecallRequest) -> Reply:
    """Pull an item from every slate."""
    call.audited = True  # by an entry that holds the reason
    with services.database.write(durable=True) as connection:
        recall(connection, item_id, body.reason, _caller(call), call.now)
        _record(connection, call, "items.recall", item_id, orjson.dumps({"reason": body.reason}).decode())
    return Reply({"item_id": item_id, "recalled": True})


def lift_item_recall(services: Services, call: Call, item_id: str) -> Reply:
    """Let a recalled item be shown again."""
    with services.database.write(durable=True) as connection:
        if lift_recall(connection, item_id):
            _record(connection, call, "items.lift_recall", item_id)
    return Reply({"item_id": item_id, "recalled": False})


def _record(connection: Connection, call: Call, action: str, target: str, details: str | None = None) -> None:
    """Add an entry with the reason, in place of the plain one that every write leaves."""
    record(connection, _caller(call), action, target, call.now, details)


def _caller(call: Call) -> str:
    return "" if call.caller is None else call.caller.key_id


OPERATIONS = (
    Operation(
        id="put_prices",
        method="PUT",
        path="/v1/prices",
        tag=TAG,
        summary="Set what items cost in a store.",
        description=(
            "Answers show the price of the store asked about, as it is now. Of several that hold, the one that began"
            " last counts; without any, the item's own." + WHOLE
        ),
        view=put_prices,
        answers={200: UpsertAnswer},
        streamed=True,
        scope=Scope.CATALOG,
        body=PricesRequest,
    ),
    Operation(
        id="put_assortment",
        method="PUT",
        path="/v1/assortment",
        tag=TAG,
        summary="Set which items a store carries.",
        description=(
            "A store without any row carries everything. With rows, nothing else is recommended there. Honoured by"
            " every answer within a second." + WHOLE
        ),
        view=put_assortment,
        answers={200: UpsertAnswer},
        streamed=True,
        scope=Scope.CATALOG,
        body=AssortmentRequest,
    ),
    Operation(
        id="put_item_relations",
        method="PUT",
        path="/v1/item-relations",
        tag=TAG,
        summary="Say what items are to one another.",
        description=(
            "An item that another one `replaces` is shown no more, and what was bought or viewed under its code counts"
            " for its successor at once. `same_product` and `substitute` tell what can stand in for an item that is"
            " sold out, `complement` what goes with it; these are learned at the next training, and used at once for"
            " items that are newer than the models." + WHOLE
        ),
        view=put_item_relations,
        answers={200: UpsertAnswer},
        scope=Scope.CATALOG,
        body=RelationsRequest,
    ),
    Operation(
        id="adjust_inventory",
        method="POST",
        path="/v1/inventory:adjust",
        tag=TAG,
        summary="Add to stock, or take from it.",
        description=(
            "For what was sold, delivered or moved since the last count; counts go to `PUT /v1/inventory`. Send an"
            " `Idempotency-Key` of your own with every call: the same call sent again within 24 hours changes nothing"
            " and gets the first answer, with the header `Idempotent-Replayed`; the same key with another body is"
            " refused. Of what no count is known, there was none. All adjustments of a call are made or none."
        ),
        view=adjust_inventory,
        answers={200: AdjustAnswer},
        streamed=True,
        scope=Scope.CATALOG,
        body=AdjustRequest,
        problems=(CONFLICT,),
        idempotent=True,
    ),
    Operation(
        id="put_stock_policies",
        method="PUT",
        path="/v1/stock-policies",
        tag=TAG,
        summary="Set how far stock is trusted, by category.",
        description=(
            "`exact`: an item with any stock is in stock. `safety`: only above `safety_level`. `untracked`: always,"
            " whatever the count says. A count older than `max_age_minutes` says nothing. The policy of the longest"
            " category path holds; without policies every count is exact and of any age. The list replaces the one"
            " before."
        ),
        view=put_stock_policies,
        answers={200: PoliciesAnswer},
        scope=Scope.CATALOG,
        body=PoliciesRequest,
    ),
    Operation(
        id="get_stock_policies",
        method="GET",
        path="/v1/stock-policies",
        tag=TAG,
        summary="How far stock is trusted, by category.",
        description="The policies that hold now.",
        view=get_stock_policies,
        answers={200: PoliciesAnswer},
        scope=Scope.CATALOG,
    ),
    Operation(
        id="recall_item",
        method="POST",
        path="/v1/items/{item_id}:recall",
        tag=TAG,
        summary="Pull an item from every slate at once.",
        description=(
            "No answer holds it any more, within a second and whatever its stock; the reason is kept in the audit. It"
            " stays out, also under `PUT /v1/items`, until the recall is lifted."
        ),
        view=recall_item,
        answers={200: RecallAnswer},
        scope=Scope.CATALOG,
        body=RecallRequest,
    ),
    Operation(
        id="lift_item_recall",
        method="POST",
        path="/v1/items/{item_id}:lift-recall",
        tag=TAG,
        summary="Let a recalled item be shown again.",
        description="Nothing happens to an item that is not recalled.",
        view=lift_item_recall,
        answers={200: RecallAnswer},
        scope=Scope.CATALOG,
    ),
)
