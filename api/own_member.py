"""Holds a request that comes with a member token to the token's own member."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel

from api.problems import FORBIDDEN, FieldError, ProblemError

Schema = TypeVar("Schema", bound=BaseModel)

OWN = "the token's own member, or nothing"


def own_path(path: Mapping[str, str], member_id: str) -> None:
    """Check that the member in a path is the token's. Raises: ProblemError, forbidden."""
    if path.get("member_id") != member_id:
        raise _not_yours("member_id")


def own_body(body: Schema, member_id: str, place: str = "") -> Schema:
    """Return a body in which every row that can name a member names the token's.

    Args:
        body: it, and the rows of the lists in it, may have fields `member_id` and `identity`.
        member_id: the token's member.
        place: where the body stands in the request, for errors.
    Raises: ProblemError, forbidden, if another member or any identity is named.
    """
    changed: dict[str, Any] = {}
    for name in type(body).model_fields:
        value = getattr(body, name)
        if name == "member_id":
            if value is not None and value != member_id:
                raise _not_yours(place + name)
            changed[name] = member_id
        elif name == "identity" and value is not None:
            raise _not_yours(place + name)
        elif isinstance(value, list) and any(isinstance(row, BaseModel) for row in value):
            changed[name] = [
                own_body(row, member_id, f"{place}{name}[{number}].") if isinstance(row, BaseModel) else row
                for number, row in enumerate(value)
            ]
    return body.model_copy(update=changed) if changed else body


def _not_yours(field: str) -> ProblemError:
    error = FieldError(field, "A member token speaks for its own member only.", None, OWN)
    return ProblemError(FORBIDDEN, f"{field}: {error.detail}", (error,))
