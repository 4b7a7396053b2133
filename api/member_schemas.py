"""What the routes about one member take and answer."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import ConfigDict, Field, model_validator

from api.fields import Answer, Body, Id, IsoDate, Text, wrong


class ConsentRequest(Body):
    """What a member says of a purpose, in which words, and where it was said."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"granted": False, "wording_version": "2026-03", "source": "mini_program/settings"}]
        }
    )
    granted: bool
    wording_version: Annotated[Text, Field(min_length=1, description="Version of the words that were agreed to.")]
    source: Annotated[Text, Field(min_length=1, description="Where it was said, such as a page of the app.")]
    channel: Annotated[Text, Field(description="For purposes that are per channel, such as `push`.")] = ""


class ConsentRow(Answer):
    """A recorded consent; the latest of a purpose holds."""

    purpose: str
    channel: str
    granted: bool
    at: str
    wording_version: str | None
    source: str | None


class ConsentAnswer(Answer):
    """What was recorded, and whether recommendations are personal from now on."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "consent": {
                        "purpose": "personalization",
                        "channel": "",
                        "granted": False,
                        "at": "2026-03-01T08:30:00+00:00",
                        "wording_version": "2026-03",
                        "source": "mini_program/settings",
                    },
                    "personalised": False,
                }
            ]
        }
    )
    consent: ConsentRow
    personalised: bool


class HeldRow(Answer):
    """How much of one category is held, and of which time."""

    rows: int
    first_at: str | None
    last_at: str | None


class LinkedRow(Answer):
    """A linked identity; its value is not repeated."""

    namespace: str
    linked_at: str | None


class ProfileAnswer(Answer):
    """What is known of a member."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "member_id": "1008",
                    "personalised": True,
                    "because": "not_refused",
                    "fields": ["home_store_id", "tier"],
                    "identities": [{"namespace": "phone", "linked_at": "2026-01-02T10:00:00+00:00"}],
                    "consents": [],
                    "held": {
                        "events": {
                            "rows": 37,
                            "first_at": "2026-02-01T08:00:00+00:00",
                            "last_at": "2026-03-01T08:00:00+00:00",
                        }
                    },
                    "bundle_id": "20260301T020000-3f9a0c1b2d4e",
                    "items_in_bundle": 24,
                    "how": "Recommendations come from what you bought and looked at.",
                }
            ]
        }
    )
    member_id: str
    personalised: bool
    because: Annotated[
        str, Field(description="`not_refused`, `agreed`, `opted_out`, `minor`, `kind` or `nothing_known`.")
    ]
    fields: Annotated[list[str], Field(description="Master data that is filled.")]
    identities: list[LinkedRow]
    consents: list[ConsentRow]
    held: Annotated[dict[str, HeldRow], Field(description="Rows in the database, by table.")]
    bundle_id: str | None
    items_in_bundle: int
    how: Annotated[str, Field(description="In plain words how recommendations come about.")]


class ShownQuery(Body):
    """Which day, or which answer."""

    day: Annotated[IsoDate | None, Field(description="A day of the retailer's time zone.")] = None
    recommendation_id: Annotated[Id | None, Field(description="One answer, in place of a day.")] = None
    item_id: Annotated[Id | None, Field(description="Only answers that showed this item.")] = None

    @model_validator(mode="after")
    def _one(self) -> ShownQuery:
        if (self.day is None) == (self.recommendation_id is None):
            raise wrong("day", "Either a day or an answer is asked for.", "`day` or `recommendation_id`")
        return self


class ShownItemRow(Answer):
    """An item that was shown, and the reason that was given."""

    item_id: str
    position: int
    score: float | None
    retriever: str | None
    reason: str | None


class ShownRow(Answer):
    """One answer: what was shown, what rules refused, made by which bundle, under which consent."""

    recommendation_id: str
    occurred_at: str
    scenario: str
    bundle_id: str | None
    strategy: str
    experiment: str | None
    experiment_group: str | None
    store_id: str | None
    channel: str | None
    flags: list[str]
    items: list[ShownItemRow]
    dropped: Annotated[dict[str, int] | None, Field(description="Candidates refused, by rule; null if not recorded.")]
    consent: Annotated[
        ConsentRow | None,
        Field(description="To personalisation, as it held then; null if none was recorded by then."),
    ]


class ShownAnswer(Answer):
    """Answers given to the member, in order of time; `complete` is false when older ones of the day are left out."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "member_id": "1008",
                    "complete": True,
                    "answers": [
                        {
                            "recommendation_id": "019cb0f2a3b4c5d6e7f80123456789a",
                            "occurred_at": "2026-03-01T08:30:00+00:00",
                            "scenario": "home",
                            "bundle_id": "20260301T020000-3f9a0c1b2d4e",
                            "strategy": "personal",
                            "experiment": None,
                            "experiment_group": None,
                            "store_id": "shop-12",
                            "channel": "app",
                            "flags": [],
                            "items": [
                                {
                                    "item_id": "milk-1l",
                                    "position": 1,
                                    "score": 0.71,
                                    "retriever": "repeat",
                                    "reason": "bought_regularly",
                                }
                            ],
                            "dropped": {"out_of_stock": 3},
                            "consent": None,
                        }
                    ],
                }
            ]
        }
    )
    member_id: str
    complete: bool
    answers: list[ShownRow]


class ExportAnswer(Answer):
    """Everything held on a member."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "member_id": "1008",
                    "made_at": "2026-03-01T08:30:00+00:00",
                    "tables": {"members": [{"member_id": "1008", "tier": "gold"}], "events": []},
                    "event_log": [],
                    "bundle": {"bundle_id": "20260301T020000-3f9a0c1b2d4e", "history": []},
                    "truncated": [],
                }
            ]
        }
    )
    member_id: str
    made_at: str
    tables: Annotated[dict[str, list[dict[str, Any]]], Field(description="Rows of the database, by table.")]
    event_log: Annotated[list[dict[str, Any]], Field(description="Events of the log, in order of time.")]
    bundle: Annotated[dict[str, Any] | None, Field(description="What the bundle that serves holds of the member.")]
    truncated: Annotated[list[str], Field(description="What was too long: the latest rows are given.")]


class ErasureAnswer(Answer):
    """An erasure: what was removed, how much and when. Names nobody."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "examples": [
                {
                    "erasure_id": "4f0c6e1a9b3d4c7e",
                    "reference": "9b3d...",
                    "requested_at": "2026-03-01T08:30:00+00:00",
                    "requested_by": "3f9a0c1b2d4e",
                    "state": "requested",
                    "books_kept_as": None,
                    "subjects": 2,
                    "sql": {"events": {"fate": "unnamed", "rows": 37, "at": "2026-03-01T08:30:00+00:00"}},
                    "log_files": [],
                    "bundles_removed": [],
                }
            ]
        },
    )
    erasure_id: str
    reference: Annotated[str, Field(description="A keyed hash of the member id.")]
    requested_at: str
    requested_by: str
    state: Annotated[
        str, Field(description="`requested`: all use has ended; `finished`: log and bundles are clean too.")
    ]
    books_kept_as: str | None
    subjects: int
    sql: dict[str, dict[str, Any]]
    log_files: list[dict[str, Any]]
    bundles_removed: list[dict[str, Any]]
