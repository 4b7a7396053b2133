"""Types of the fields that request bodies share: ids, times, dates, channels; strict, with JSON schemas of
their own.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from recommender.errors import InputError
from recommender.events import MEMBER_NAMESPACE
from recommender.ids import MAX_ID_BYTES, check_id

ID_ACCEPTED = f"text of 1 to {MAX_ID_BYTES} bytes of UTF-8 without NUL"
TIME_ACCEPTED = 'ISO 8601 with an offset, such as "2026-03-01T08:30:00+08:00"'
DATE_ACCEPTED = 'an ISO 8601 date, such as "2026-03-01"'
NAMESPACE_ACCEPTED = f'1 to 64 of a-z, 0-9 and "_", not "{MEMBER_NAMESPACE}"'


class Body(BaseModel):
    """Base of every request body: unknown fields, wrong types and endless numbers are errors."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Answer(BaseModel):
    """Base of every answer; describes what is sent, and checks it in the tests."""

    model_config = ConfigDict(extra="forbid")


def wrong(kind: str, detail: str, accepted: str) -> PydanticCustomError:
    """Make the error of a field of ours; `accepted` reaches the caller."""
    return PydanticCustomError("memberwise_" + kind, "{detail}", {"detail": detail, "accepted": accepted})


def _checked_id(value: str) -> str:
    try:
        return check_id(value)
    except (InputError, UnicodeEncodeError):
        raise wrong("id", "This cannot be an id.", ID_ACCEPTED) from None


def _utc_time(value: object) -> datetime:
    """Read an aware time from text, or pass on an aware time."""
    time = value
    if isinstance(value, str):
        try:
            time = datetime.fromisoformat(value)
        except ValueError:
            time = None
    if not isinstance(time, datetime) or time.tzinfo is None:
        raise wrong("time", "This is not a time with an offset.", TIME_ACCEPTED)
    try:
        return time.astimezone(UTC)
    except OverflowError:
        raise wrong("time", "This time is out of range.", TIME_ACCEPTED) from None


def _iso_date(value: object) -> date:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    if isinstance(value, str) and len(value) == len("2026-03-01"):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    raise wrong("date", "This is not a date.", DATE_ACCEPTED)


def _without_nul(value: str) -> str:
    if "\0" in value:
        raise wrong("text", "The text holds a NUL character.", "text without NUL")
    return value


def _no_member_namespace(value: str) -> str:
    if value == MEMBER_NAMESPACE:
        raise wrong("namespace", "This namespace is reserved: send `member_id`.", NAMESPACE_ACCEPTED)
    return value


Id = Annotated[
    str,
    AfterValidator(_checked_id),
    Field(description="An external id."),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": MAX_ID_BYTES}),
]
"""An external id: checked by bytes, which a JSON schema can only say in characters."""

UtcTime = Annotated[datetime, BeforeValidator(_utc_time), WithJsonSchema({"type": "string", "format": "date-time"})]
"""A time with an offset, kept in UTC."""

IsoDate = Annotated[date, BeforeValidator(_iso_date), WithJsonSchema({"type": "string", "format": "date"})]

Namespace = Annotated[str, Field(pattern=r"^[a-z0-9_]{1,64}$"), AfterValidator(_no_member_namespace)]
"""The kind of an identity: wechat_openid, phone, card, device, ..."""

Text = Annotated[str, AfterValidator(_without_nul), Field(max_length=500)]
Cents = Annotated[int, Field(ge=0, le=10**15, description="In the currency's minor unit.")]
Attributes = Annotated[dict[str, Any], Field(max_length=100)]
