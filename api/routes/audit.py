"""The audit trail: who wrote what, when."""

from __future__ import annotations

from datetime import timedelta

import orjson

from api.audit_schemas import AuditAnswer, AuditQuery
from api.auth import Scope
from api.openapi import Operation, Reply
from api.services import Call, Services
from recommender.storage.audit import AuditEntry, read_audit, read_counts


def get_audit(services: Services, call: Call, query: AuditQuery) -> Reply:
    """Answer with the latest entries."""
    with services.database.read() as connection:
        entries = read_audit(connection, query.limit, query.before, query.caller, query.action, query.target)
        counts = read_counts(connection, call.now - timedelta(hours=query.hours))
    return Reply(
        {
            "entries": [_row(entry) for entry in entries],
            "next": entries[-1].sequence if len(entries) == query.limit else None,
            "streams": [
                {
                    "caller": one.caller,
                    "action": one.action,
                    "hour": one.hour.isoformat(),
                    "calls": one.calls,
                    "rows": one.rows,
                }
                for one in counts
            ],
        }
    )


def _row(entry: AuditEntry) -> dict[str, object]:
    return {
        "sequence": entry.sequence,
        "at": entry.at.isoformat(),
        "caller": entry.caller,
        "action": entry.action,
        "target": entry.target,
        "details": None if entry.details is None else orjson.loads(entry.details),
    }


OPERATIONS = (
    Operation(
        id="get_audit",
        method="GET",
        path="/v1/audit",
        tag="operations",
        summary="Who wrote what, when.",
        description=(
            "Every call that changed something, newest first, with the id of its key: `memberwise keys list` names"
            " them. An entry is written in the transaction of the change. Events and stock come in streams and are"
            " counted by caller and hour under `streams`. What operators do on the command line is here as well."
        ),
        view=get_audit,
        answers={200: AuditAnswer},
        scope=Scope.ADMIN,
        query=AuditQuery,
    ),
)
