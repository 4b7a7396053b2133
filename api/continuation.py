"""The `next` token: what was shown so far, signed, so that a slate goes on without repeats, also after a promotion."""

from __future__ import annotations

import base64
import binascii
import functools
import hashlib
import hmac
import zlib
from collections.abc import Sequence

import orjson

from recommender.errors import InputError
from recommender.query import Scenario
from recommender.request import SlateRequest

MOST_SHOWN = 500
"""Items after which a slate ends."""
SIGNATURE_BYTES = 16
COMPRESSED_FROM = 300
"""Bytes from which a token is worth compressing."""
_PLAIN, _COMPRESSED = b"p", b"z"
_ACCEPTED = "the `next` of an answer to this request"


def issue_token(secret: bytes, request: SlateRequest, bundle_id: str, item_ids: Sequence[str]) -> str | None:
    """Return the token that goes on after an answer; None where the slate has ended.

    Args:
        secret: of this installation; its signing key is made from it.
        request: what was answered.
        bundle_id: of the bundle that answered.
        item_ids: what the answer shows.
    """
    shown = [*request.shown, *item_ids]
    if len(item_ids) < request.count or len(shown) > MOST_SHOWN:
        return None
    payload = orjson.dumps([bundle_id, str(request.scenario), _about(secret, request), shown])
    mark = _PLAIN
    if len(payload) >= COMPRESSED_FROM:
        mark, payload = _COMPRESSED, zlib.compress(payload, 3)
    signed = mark + payload
    return base64.urlsafe_b64encode(_signature(secret, signed) + signed).rstrip(b"=").decode()


def read_token(secret: bytes, token: str, request: SlateRequest) -> tuple[str, ...]:
    """Return the items shown so far.

    Args:
        secret: of this installation.
        token: as it came.
        request: the request that it came with, which must be the one that it goes on with.
    Raises: InputError if the token was not made here, was changed, or belongs to another request.
    """
    try:
        raw = base64.urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4))
    except (UnicodeEncodeError, binascii.Error):
        raise _refusal("The token is not one of ours.") from None
    signature, signed = raw[:SIGNATURE_BYTES], raw[SIGNATURE_BYTES:]
    if not hmac.compare_digest(signature, _signature(secret, signed)):
        raise _refusal("The token was not made here, or was changed.")
    payload = zlib.decompress(signed[1:]) if signed[:1] == _COMPRESSED else signed[1:]
    _bundle_id, scenario, about, shown = orjson.loads(payload)
    if (scenario, about) != (str(request.scenario), _about(secret, request)):
        raise _refusal("The token belongs to another scenario, customer, item or filter.")
    return tuple(shown)


def _about(secret: bytes, request: SlateRequest) -> str:
    """Return a keyed fingerprint of what must stay the same from page to page."""
    condition = request.steering.filters
    item_id = request.context.item_id if request.scenario in (Scenario.SIMILAR, Scenario.SUBSTITUTES) else None
    parts = orjson.dumps([request.subject, item_id, None if condition is None else condition.key])
    return hashlib.blake2b(parts, digest_size=8, key=_key(secret)).hexdigest()


def _signature(secret: bytes, signed: bytes) -> bytes:
    return hashlib.blake2b(signed, digest_size=SIGNATURE_BYTES, key=_key(secret)).digest()


@functools.lru_cache(maxsize=4)
def _key(secret: bytes) -> bytes:
    """Return the key that signs tokens, which is good for nothing else."""
    return hmac.digest(secret, b"memberwise next", "sha256")


def _refusal(detail: str) -> InputError:
    return InputError(detail, field="next", accepted=_ACCEPTED)
