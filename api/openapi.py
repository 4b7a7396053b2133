"""Operation: what one route takes, answers and needs; and the OpenAPI 3.1 document made from all of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from api import problems
from api.auth import MemberAccess
from api.fields import Answer
from api.problems import PROBLEM_MEDIA_TYPE, ProblemKind
from api.schemas import ProblemAnswer
from recommender.ids import MAX_ID_BYTES
from recommender.webhook_signature import ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER

Json = dict[str, Any]
JSON_MEDIA_TYPE = "application/json"
TEXT_MEDIA_TYPE = "text/plain"
NAME_CONVERTER = "name"
"""The kind of path parameter that NAMES have."""
NAMES = ("name", "campaign_id")
IDEMPOTENCY_KEY = "Idempotency-Key"
IDEMPOTENCY_PATTERN = r"^[!-~]{1,200}$"
"""Visible ASCII."""
_REFERENCE = "#/components/schemas/{model}"
_PATH_PARAMETER = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Reply:
    """What a view returns: a body that orjson can write, or bytes of another media type."""

    body: object
    status: int = 200
    media_type: str = JSON_MEDIA_TYPE
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path: routing, authorization, reading and the document all follow from it.

    `view` is called with the services, the call, and, by name, path parameters, `body` and `query` as read.
    `scope` None needs no key. `member`: how member tokens are taken, None: not at all. `streamed`: its writes are
    counted in the audit trail, not listed one by one. `idempotent`: the call must carry an Idempotency-Key, which
    `Call` then holds.
    `signed`: in place of a key the call carries the signature of a webhook over its raw body; what may have signed, by
    the services and the path parameters. `Call` then holds the message's id.
    `direct`: plain calls go past Flask's routing (direct.py); only for operations that take a body, and write nothing.
    `answers` has the schema of each status that is not a problem (None: text, of one of `media_types`).
    Where there is a schema, other `media_types` than plain text can be asked for in place of JSON.
    """

    id: str
    method: str
    path: str
    tag: str
    summary: str
    description: str
    view: Callable[..., Reply]
    answers: Mapping[int, type[Answer] | None]
    scope: str | None = None
    member: MemberAccess | None = None
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    problems: tuple[ProblemKind, ...] = ()
    localized: bool = False
    streamed: bool = False
    idempotent: bool = False
    direct: bool = False
    media_types: tuple[str, ...] = (TEXT_MEDIA_TYPE,)
    signed: Callable[[Any, Mapping[str, str]], Sequence[bytes]] | None = None

    @property
    def path_parameters(self) -> list[str]:
        """Names of the parameters in the path."""
        return _PATH_PARAMETER.findall(self.path)

    @property
    def rule(self) -> str:
        """The path as a routing rule; names, unlike ids, end at a colon, behind which a verb stands."""
        found = _PATH_PARAMETER.sub(r"<\1>", self.path)
        for parameter in NAMES:
            found = found.replace(f"<{parameter}>", f"<{NAME_CONVERTER}:{parameter}>")
        return found

    @property
    def all_problems(self) -> tuple[ProblemKind, ...]:
        """Every kind of problem that this operation can answer with."""
        kinds: list[ProblemKind] = []
        if self.body is not None:
            kinds += [problems.INVALID_JSON, problems.BODY_TOO_LARGE, problems.UNSUPPORTED_MEDIA_TYPE]
        if self.body is not None or self.query is not None or self.path_parameters:
            kinds.append(problems.INVALID_REQUEST)
        if self.scope is not None:
            kinds += [problems.UNAUTHORIZED, problems.FORBIDDEN, problems.RATE_LIMITED, problems.STORE_BUSY]
        if self.signed is not None:
            kinds += [problems.UNAUTHORIZED, problems.STORE_BUSY]
        kinds += [*self.problems, problems.INTERNAL_ERROR]
        return tuple(kind for kind in problems.PROBLEM_KINDS if kind in kinds)


def document(operations: Sequence[Operation], version: str, prefix: str = "") -> Json:
    """Return the OpenAPI document.

    Args:
        operations: all operations, in the order shown.
        version: of the software.
        prefix: the path that a proxy put before ours.
    """
    paths: dict[str, Json] = {}
    schemas = _schemas(operations)
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Memberwise",
            "version": version,
            "summary": "Which products to show to a member of a retailer, in any channel, right now.",
            "description": _INTRODUCTION,
        },
        "servers": [{"url": prefix or "/"}],
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An API key, `mw_...`, made by `memberwise keys create`.",
                },
                "member": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "A member token: a JSON Web Token whose `sub` is the only member it speaks for.",
                },
            },
        },
    }


_INTRODUCTION = """\
Every error is `application/problem+json` (RFC 9457) of one shape: `errors` names each field, the value found
and what is accepted. `request_id` (also in the header `X-Request-Id`; send your own to join logs) finds the
call in the log. Unknown fields are errors. Times are ISO 8601 with an offset; money is in the currency's
minor unit. Ids that hold "/" or control characters can be used in bodies only, not in paths. New fields may
appear in answers.
"""
_PATH_MEANINGS = {
    "member_id": "The member.",
    "item_id": "The item.",
    "offer_id": "The offer.",
    "campaign_id": "The campaign.",
    "name": "What it is called.",
    "purpose": "What the member agrees to, or not.",
    "audience_id": "The audience.",
    "guide_id": "The shopping guide.",
}
"""What the names in paths stand for."""
_TAGS = {
    "recommendations": "Slates of items for members, identities and unknown customers.",
    "events": "What customers did; changes their next answer.",
    "catalog": "Items, stores, stock, members and identities.",
    "coupons": "Offers, and the wallet: issue, lock, redeem, give back.",
    "audiences": "Whom campaigns may reach: expressions, lists of cards, and who would want an item.",
    "campaigns": "From an audience and a budget to messages and what they changed: plan, approve, launch, follow.",
    "guides": "Customers whom shopping guides follow up, and what they did about them.",
    "delivery": "How messages of campaigns leave, and what became of each.",
    "scenarios": "What marketers set of each placement, every version of it.",
    "reports": "What came of recommendations, and experiments between two ways to make them.",
    "members": "What is held on one member: profile, what was shown, consents, export, erasure.",
    "operations": "Health, figures and this document.",
}


def _schemas(operations: Sequence[Operation]) -> Json:
    models: list[type[BaseModel]] = [ProblemAnswer]
    for operation in operations:
        answers = [answer for answer in operation.answers.values() if answer is not None]
        models += [model for model in (operation.body, operation.query, *answers) if model is not None]
    distinct = list(dict.fromkeys(models))
    _, definitions = models_json_schema([(model, "validation") for model in distinct], ref_template=_REFERENCE)
    schemas: Json = definitions["$defs"]
    open_to_growth = _names_below(Answer)
    for name, schema in schemas.items():
        schema.pop("title", None)
        for part in schema.get("properties", {}).values():
            part.pop("title", None)
        if name in open_to_growth:
            schema.pop("additionalProperties", None)
    return schemas


def _names_below(model: type[BaseModel]) -> set[str]:
    below = model.__subclasses__()
    return {found.__name__ for found in below}.union(*(_names_below(found) for found in below))


def _operation(operation: Operation, schemas: Json) -> Json:
    entry: Json = {
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": operation.description,
        "security": _security(operation),
        "parameters": _parameters(operation, schemas),
        "responses": _responses(operation),
    }
    if operation.scope is not None:
        entry["description"] += f"\n\nNeeds a key with the scope `{operation.scope}`{_MEMBER_TOKENS[operation.member]}."
        entry["x-scope"] = operation.scope
        entry["x-member-token"] = operation.member
    if operation.body is not None:
        content: Json = {"schema": _reference(operation.body)}
        examples = _examples(operation.body)
        if examples:
            content["examples"] = examples
        entry["requestBody"] = {"required": True, "content": {JSON_MEDIA_TYPE: content}}
    return entry


_MEMBER_TOKENS: Mapping[MemberAccess | None, str] = {
    None: "",
    MemberAccess.PATH: ", or a member token of the member in the path",
    MemberAccess.BODY: ", or a member token: the body then is about its member, named or not",
    MemberAccess.OPEN: ", or any member token",
}


def _security(operation: Operation) -> list[Json]:
    if operation.scope is None:
        return []
    return [{"key": []}] if operation.member is None else [{"key": []}, {"member": []}]


def _parameters(operation: Operation, schemas: Json) -> list[Json]:
    found: list[Json] = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": _PATH_MEANINGS[name],
            "schema": {"type": "string", "minLength": 1, "maxLength": MAX_ID_BYTES},
        }
        for name in operation.path_parameters
    ]
    if operation.query is not None:
        schema = schemas[operation.query.__name__]
        required = schema.get("required", [])
        for name, part in schema["properties"].items():
            described = part.get("description") or _described(part, schemas)
            parameter = {"name": name, "in": "query", "required": name in required, "schema": part}
            found.append(parameter | {"description": described})
    if operation.localized:
        found.append(
            {
                "name": "Accept-Language",
                "in": "header",
                "description": "Language of reasons and titles: `en` (default) or `zh`.",
                "schema": {"type": "string"},
                "example": "zh-CN",
            }
        )
    found += [] if operation.signed is None else _SIGNED_PARAMETERS
    if operation.idempotent:
        found.append(
            {
                "name": IDEMPOTENCY_KEY,
                "in": "header",
                "required": True,
                "description": "A name of your own for this call, such as a UUID; kept for 24 hours.",
                "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": IDEMPOTENCY_PATTERN},
                "example": "7d1f0a52-till-12-88213",
            }
        )
    return found


_SIGNED_HEADERS = {
    ID_HEADER: "The message's id, the same whenever it is sent again.",
    TIMESTAMP_HEADER: "When this attempt was signed, in Unix seconds.",
    SIGNATURE_HEADER: "`v1,` and the HMAC-SHA256, in base64, of id, timestamp and raw body, full stops between them.",
}
_SIGNED_PARAMETERS: list[Json] = [
    {"name": name, "in": "header", "required": True, "description": text, "schema": {"type": "string"}}
    for name, text in _SIGNED_HEADERS.items()
]


def _described(part: Json, schemas: Json) -> str:
    """Return the description that a parameter's type has, through references and alternatives; "" if none."""
    if "$ref" in part:
        return str(schemas[part["$ref"].rpartition("/")[2]].get("description", ""))
    found = (choice.get("description") or _described(choice, schemas) for choice in part.get("anyOf", ()))
    return next((text for text in found if text), "")


def _responses(operation: Operation) -> Json:
    found: Json = {}
    for status, answer in operation.answers.items():
        content: Json = {name: {"schema": {"type": "string"}} for name in operation.media_types}
        if answer is not None:
            body: Json = {"schema": _reference(answer)}
            examples = _examples(answer)
            if examples:
                body["examples"] = examples
            content.pop(TEXT_MEDIA_TYPE, None)
            content[JSON_MEDIA_TYPE] = body
        description = (answer.__doc__ or "").split("\n")[0] if answer is not None else operation.summary
        found[str(status)] = {"description": description, "headers": _REQUEST_ID_HEADER, "content": content}
    for status in sorted({kind.status for kind in operation.all_problems}):
        kinds = [kind for kind in operation.all_problems if kind.status == status]
        found.setdefault(str(status), _problem_response(kinds))
    return found


def _problem_response(kinds: Sequence[ProblemKind]) -> Json:
    headers = dict(_REQUEST_ID_HEADER)
    if any(kind.retry_after_seconds is not None for kind in kinds):
        headers["Retry-After"] = {
            "description": "Seconds to wait before the next try.",
            "schema": {"type": "integer"},
        }
    if problems.RATE_LIMITED in kinds:
        headers |= _RATE_HEADERS
    examples = {kind.name: {"summary": kind.title, "value": _problem_example(kind)} for kind in kinds}
    return {
        "description": "; ".join(f"{kind.name}: {kind.title}" for kind in kinds) + ".",
        "headers": headers,
        "content": {PROBLEM_MEDIA_TYPE: {"schema": _reference(ProblemAnswer), "examples": examples}},
    }


def _problem_example(kind: ProblemKind) -> Json:
    request_id = "5f0c6e1a9b3d4c7e8f2a1b0c9d8e7f6a"
    errors = [_FIELD_EXAMPLE] if kind is problems.INVALID_REQUEST else []
    return problems.Problem(kind, kind.meaning).body(request_id) | {"errors": errors}


_FIELD_EXAMPLE = problems.FieldError("count", "Input should be less than or equal to 100", 500, "at most 100").body()
_RATE_HEADERS: Json = {
    "RateLimit": {
        "description": "What is left (`r`), and in how many seconds all is there again (`t`).",
        "schema": {"type": "string"},
    },
    "RateLimit-Policy": {
        "description": "How many requests (`q`) are allowed in how many seconds (`w`).",
        "schema": {"type": "string"},
    },
}
_REQUEST_ID_HEADER: Json = {
    "X-Request-Id": {
        "description": "The request's id: the one sent, or a new one.",
        "schema": {"type": "string"},
    }
}


def _reference(model: type[BaseModel]) -> Json:
    return {"$ref": _REFERENCE.format(model=model.__name__)}


def _examples(model: type[BaseModel]) -> Json:
    extra = model.model_config.get("json_schema_extra")
    listed = extra.get("examples", []) if isinstance(extra, dict) else []
    assert isinstance(listed, list)
    return {f"example-{number}": {"value": value} for number, value in enumerate(listed, 1)}
