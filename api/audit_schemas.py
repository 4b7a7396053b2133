"""What `GET /v1/audit` takes and answers."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field

from api.fields import Answer, Body, Text


class AuditQuery(Body):
    """Which entries of the audit trail."""

    limit: Annotated[int, Field(ge=1, le=1000, description="Most entries.")] = 100
    before: Annotated[
        int | None, Field(ge=0, lt=2**63, description="Only older ones: `next` of the answer before.")
    ] = None
    caller: Annotated[Text | None, Field(description="Only by this key.")] = None
    action: Annotated[Text | None, Field(description="Only of this kind, such as `items.recall`.")] = None
    target: Annotated[Text | None, Field(description="Only about this, such as an item.")] = None
    hours: Annotated[int, Field(ge=1, le=744, description="How far back `streams` reaches.")] = 24


class AuditRow(Answer):
    """One write: who (`caller`, the id of a key), what, when."""

    sequence: int
    at: str
    caller: str
    action: str
    target: str
    details: dict[str, object] | None


class StreamRow(Answer):
    """Writes that come in streams, counted by caller, action and UTC hour."""

    caller: str
    action: str
    hour: str
    calls: int
    rows: int


class AuditAnswer(Answer):
    """The latest entries first; `next` asks for older ones."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "entries": [
                        {
                            "sequence": 4711,
                            "at": "2026-03-01T08:30:00+00:00",
                            "caller": "3f9a0c1b2d4e",
                            "action": "put_items",
                            "target": "",
                            "details": {"items": 2, "first": ["milk-1l", "mooncake-box"]},
                        }
                    ],
                    "next": 4711,
                    "streams": [
                        {
                            "caller": "3f9a0c1b2d4e",
                            "action": "post_events",
                            "hour": "2026-03-01T08:00:00+00:00",
                            "calls": 812,
                            "rows": 40211,
                        }
                    ],
                }
            ]
        }
    )
    entries: list[AuditRow]
    next: int | None
    streams: list[StreamRow]
