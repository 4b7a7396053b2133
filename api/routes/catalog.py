"""Items, stores, stock, members and identities: batches that are written whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy.engine import Connection

from api.auth import Scope
from api.fields import Body
from api.openapi import Operation, Reply
from api.problems import INVALID_REQUEST, FieldError, ProblemError
from api.services import Call, Services
from api.table_schemas import (
    InventoryRequest,
    ItemsRequest,
    LinkRow,
    LinksAnswer,
    LinksRequest,
    MembersRequest,
    StoresRequest,
    UnlinkRow,
    UnlinksAnswer,
    UnlinksRequest,
    UpsertAnswer,
)
from recommender.errors import InputError, NotFoundError
from recommender.storage.hashing import hash_value
from recommender.storage.identities import Link, link, resolve, unlink
from recommender.storage.upserts import UpsertCounts, upsert

TAG = "catalog"


def put_items(services: Services, call: Call, body: ItemsRequest) -> Reply:
    """Add or change items."""
    return put_rows(services, call, "items", body.items)


def put_stores(services: Services, call: Call, body: StoresRequest) -> Reply:
    """Add or change stores."""
    return put_rows(services, call, "stores", body.stores)


def put_inventory(services: Services, call: Call, body: InventoryRequest) -> Reply:
    """Set stock."""
    return put_rows(services, call, "inventory", body.inventory)


def put_members(services: Services, call: Call, body: MembersRequest) -> Reply:
    """Add or change members."""
    return put_rows(services, call, "members", body.members)


def put_rows(services: Services, call: Call, table: str, rows: Sequence[Body]) -> Reply:
    """Add or change rows of a canonical table, all or none."""
    values: list[Mapping[str, object]] = [row.model_dump(exclude_unset=True) for row in rows]
    with services.database.write() as connection:
        counts = upsert(connection, table, values, call.now)
    return Reply(_counts(call, counts, len(rows)))


def _counts(call: Call, counts: UpsertCounts, received: int) -> dict[str, object]:
    found: dict[str, object] = {
        "received": received,
        "added": counts.added,
        "changed": counts.changed,
        "unchanged": counts.unchanged,
    }
    call.notes |= found
    return found


def put_identities(services: Services, call: Call, body: LinksRequest) -> Reply:
    """Link identities to members."""
    values = _hashed(services, body.identities)
    links = [
        Link(row.namespace, value, row.member_id, row.linked_at or call.now)
        for row, value in zip(body.identities, values, strict=True)
    ]
    with services.database.write() as connection:
        counts = link(connection, links, call.now)
        conflicts = [
            {"row": number, "namespace": one.namespace}
            for number, one in enumerate(links)
            if resolve(connection, one.namespace, one.value).conflict
        ]
    return Reply(_counts(call, counts, len(links)) | {"conflicts": conflicts})


def delete_identities(services: Services, call: Call, body: UnlinksRequest) -> Reply:
    """Unlink identities."""
    values = _hashed(services, body.identities)
    with services.database.write() as connection:
        undone = [
            _unlink(connection, number, row, value, call.now)
            for number, (row, value) in enumerate(zip(body.identities, values, strict=True))
        ]
    found = {"received": len(values), "unlinked": sum(undone)}
    call.notes |= found
    return Reply(found)


def _hashed(services: Services, rows: Sequence[LinkRow | UnlinkRow]) -> list[str]:
    """Return the stored form of the rows' values. Raises: ProblemError that names every row that has none."""
    values, wrong = [], []
    key = services.hash_key
    for number, row in enumerate(rows):
        try:
            values.append(hash_value(row.namespace, row.value, key.secret, key.version))
        except InputError as error:
            wrong.append(FieldError(f"identities[{number}].value", error.message, None, error.accepted))
    if wrong:
        raise ProblemError(INVALID_REQUEST, f"{wrong[0].field}: {wrong[0].detail}", tuple(wrong))
    return values


def _unlink(connection: Connection, number: int, row: UnlinkRow, value: str, now: datetime) -> bool:
    """Undo one link; False if there is none."""
    member_id = row.member_id
    if member_id is None:
        resolution = resolve(connection, row.namespace, value)
        if resolution.conflict:
            field = f"identities[{number}].member_id"
            error = FieldError(field, "The identity is linked to several members.", None, "the member to unlink")
            raise ProblemError(INVALID_REQUEST, f"{field}: {error.detail}", (error,))
        member_id = resolution.member_id
    if member_id is None:
        return False
    try:
        unlink(connection, row.namespace, value, member_id, now)
    except NotFoundError:
        return False
    return True


WHOLE = (
    " All rows of a call are written together or, when one of them is wrong, not at all: the problem's"
    " `errors` then"
    " name every wrong row. Columns that a row leaves out keep their value. The same call may be sent again."
)

OPERATIONS = (
    Operation(
        id="put_items",
        method="PUT",
        path="/v1/items",
        tag=TAG,
        summary="Add or change items.",
        description="Prices, titles, seasons, `hidden`: honoured by every answer within a second." + WHOLE,
        view=put_items,
        answers={200: UpsertAnswer},
        scope=Scope.CATALOG,
        body=ItemsRequest,
    ),
    Operation(
        id="put_stores",
        method="PUT",
        path="/v1/stores",
        tag=TAG,
        summary="Add or change stores.",
        description="A closed store is recommended from no more; its `successor_store_id` takes its place." + WHOLE,
        view=put_stores,
        answers={200: UpsertAnswer},
        scope=Scope.CATALOG,
        body=StoresRequest,
    ),
    Operation(
        id="put_inventory",
        method="PUT",
        path="/v1/inventory",
        tag=TAG,
        summary="Set stock.",
        description=(
            "A store without any row is unknown: its items are shown and flagged. A store with rows lacks"
            " what is"
            " not listed. A count older than the known one is ignored (`unchanged`)." + WHOLE
        ),
        view=put_inventory,
        answers={200: UpsertAnswer},
        scope=Scope.CATALOG,
        body=InventoryRequest,
        streamed=True,
    ),
    Operation(
        id="put_members",
        method="PUT",
        path="/v1/members",
        tag=TAG,
        summary="Add or change members.",
        description="A member need not be known here to be recommended to." + WHOLE,
        view=put_members,
        answers={200: UpsertAnswer},
        scope=Scope.CATALOG,
        body=MembersRequest,
    ),
    Operation(
        id="put_identities",
        method="PUT",
        path="/v1/identities",
        tag=TAG,
        summary="Link identities to members.",
        description=(
            "The identity's history joins the member's at the next answer and the next training. A value"
            " that leads"
            " to several members is listed under `conflicts` and counts for none of them until one is"
            " unlinked."
            " Phone numbers and e-mail addresses are hashed at once." + WHOLE
        ),
        view=put_identities,
        answers={200: LinksAnswer},
        scope=Scope.CATALOG,
        body=LinksRequest,
    ),
    Operation(
        id="delete_identities",
        method="DELETE",
        path="/v1/identities",
        tag=TAG,
        summary="Unlink identities from members.",
        description=(
            "The identity keeps its history as an anonymous customer; the member loses it at the next"
            " answer and the"
            " next training. What is not linked is left alone. The rows stand in the body, so that no phone"
            " number"
            " gets into an address." + WHOLE
        ),
        view=delete_identities,
        answers={200: UnlinksAnswer},
        scope=Scope.CATALOG,
        body=UnlinksRequest,
    ),
)
