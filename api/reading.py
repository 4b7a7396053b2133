"""Reads bodies and query strings into schemas, and turns what is wrong with them into field errors."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from api.openapi import IDEMPOTENCY_KEY, IDEMPOTENCY_PATTERN
from api.problems import INVALID_JSON, INVALID_REQUEST, FieldError, ProblemError
from api.strict_json import check_json
from recommender.errors import InputError
from recommender.ids import check_id

Schema = TypeVar("Schema", bound=BaseModel)

SHOWN_CHARACTERS = 200
"""Longest value repeated to the caller."""

_DETAILS = {
    "missing": "The field is missing.",
    "extra_forbidden": "There is no such field.",
    "model_type": "Input should be an object",
    "model_attributes_type": "Input should be an object",
}
_ACCEPTED = {
    "missing": "this field is required",
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing_size": "a smaller whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "greater_than_equal": "at least {ge:g}",
    "less_than_equal": "at most {le:g}",
    "greater_than": "more than {gt:g}",
    "less_than": "less than {lt:g}",
    "too_long": "at most {max_length} entries",
    "too_short": "at least {min_length} entry",
    "string_too_long": "at most {max_length} characters",
    "string_pattern_mismatch": "text that matches {pattern}",
    "enum": "one of {expected}",
    "literal_error": "one of {expected}",
}


def read_body(schema: type[Schema], data: bytes) -> Schema:
    """Read a JSON body.

    Raises: ProblemError, invalid-json or invalid-request with an entry per wrong field.
    """
    try:
        read = schema.model_validate_json(data)
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=True)
        if details[0]["type"] == "json_invalid":
            reason = str(details[0].get("ctx", {}).get("error", ""))
            raise ProblemError(INVALID_JSON, f"The body is not valid JSON: {reason}.") from None
        raise _refusal(field_errors(error, schema)) from None
    try:
        check_json(data)
    except ValueError as error:
        raise ProblemError(INVALID_JSON, f"The body is not valid JSON: {error}.") from None
    return read


def read_query(schema: type[Schema], parameters: dict[str, list[str]]) -> Schema:
    """Read query parameters; only those that the schema holds as lists may be given more than once.

    Raises: ProblemError, invalid-request.
    """
    values: dict[str, Any] = {}
    repeated: list[FieldError] = []
    for name, found in parameters.items():
        known = schema.model_fields.get(name)
        if known is not None and get_origin(known.annotation) is list:
            values[name] = found
        else:
            values[name] = found[0]
            if len(found) > 1:
                repeated.append(FieldError(name, "The parameter is given twice.", found[1], "one value"))
    try:
        read = schema.model_validate(values, strict=False)
    except ValidationError as error:
        raise _refusal((*repeated, *field_errors(error, schema))) from None
    if repeated:
        raise _refusal(tuple(repeated))
    return read


def read_path(parameters: Mapping[str, str]) -> None:
    """Check the ids in a path. Raises: ProblemError, invalid-request."""
    for name, value in parameters.items():
        try:
            check_id(value)
        except InputError as error:
            found = FieldError(name, error.message, value[:SHOWN_CHARACTERS], error.accepted)
            raise _refusal((found,)) from None


def read_idempotency_key(sent: str | None) -> str:
    """Check the key of a call that is to be done once. Raises: ProblemError, invalid-request."""
    if sent is None or not re.fullmatch(IDEMPOTENCY_PATTERN, sent):
        detail = "The header is missing." if sent is None else "The header cannot be a key."
        shown = None if sent is None else sent[:SHOWN_CHARACTERS].encode("utf-8", "replace").decode()
        raise _refusal((FieldError(IDEMPOTENCY_KEY, detail, shown, "1 to 200 visible ASCII characters"),))
    return sent


def field_errors(error: ValidationError, schema: type[BaseModel]) -> tuple[FieldError, ...]:
    """Return an entry per wrong field: its path, the value found (shortened; never an identity), what is
    accepted.
    """
    return tuple(
        FieldError(
            _path(found["loc"]),
            _DETAILS.get(found["type"], found["msg"]),
            _shown(found),
            _accepted(found, schema),
        )
        for found in error.errors(include_url=False, include_context=True)
    )


def _refusal(errors: tuple[FieldError, ...]) -> ProblemError:
    more = f" ({len(errors) - 1} more)" if len(errors) > 1 else ""
    return ProblemError(INVALID_REQUEST, f"{errors[0].field}: {errors[0].detail}{more}", errors)


def _path(location: Sequence[int | str]) -> str:
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path or "body"


def _shown(found: ErrorDetails) -> object:
    location = found["loc"]
    if found["type"] == "missing" or (len(location) > 1 and location[-1] == "value"):
        return None
    value = found["input"]
    if isinstance(value, str):
        return value[:SHOWN_CHARACTERS].encode("utf-8", "replace").decode()
    return value if isinstance(value, bool | int | float) and abs(value) < 2**63 else None


def _accepted(found: ErrorDetails, schema: type[BaseModel]) -> str | None:
    context = found.get("ctx", {})
    if "accepted" in context:
        return str(context["accepted"])
    if found["type"] == "extra_forbidden":
        owner = _owner(schema, found["loc"][:-1])
        return "one of " + ", ".join(owner.model_fields) if owner is not None else None
    template = _ACCEPTED.get(found["type"])
    return template.format(**context) if template is not None else None


def _owner(schema: type[BaseModel], location: Sequence[int | str]) -> type[BaseModel] | None:
    """Return the schema that a location leads to."""
    owner: type[BaseModel] | None = schema
    for part in location:
        if isinstance(part, str) and owner is not None:
            known = owner.model_fields.get(part)
            owner = _schema_inside(known.annotation) if known is not None else None
    return owner


def _schema_inside(annotation: Any) -> type[BaseModel] | None:
    """Return the first schema named in an annotation such as list[Row] or Row | None."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for part in get_args(annotation):
        found = _schema_inside(part)
        if found is not None:
            return found
    return None
