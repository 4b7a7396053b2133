"""Signed webhooks that come in: proved over their raw bytes before anything of them is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from api.problems import UNAUTHORIZED, FieldError, ProblemError
from recommender.webhook_signature import ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, Unproved, verify

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

SIGNER = "webhook:"
"""Begins who is named in the audit trail for what a webhook wrote."""
_NAMES = {name: f"HTTP_{name.upper().replace('-', '_')}" for name in (ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER)}
_WHY = {
    Unproved.HEADER_MISSING: "The three headers of a signed webhook are needed.",
    Unproved.TIMESTAMP_INVALID: "The timestamp is not in whole seconds.",
    Unproved.TOO_OLD: "It was signed too long ago; sign it anew to send it again.",
    Unproved.TOO_NEW: "It was signed in the future; a clock is wrong.",
    Unproved.NO_SIGNATURE_MATCHES: "No signature is made with a secret that counts here.",
}


def prove_message(secrets: Sequence[bytes], environ: WSGIEnvironment, payload: bytes, now: datetime) -> str:
    """Return the id of a message that was signed with one of the secrets, lately.

    Raises: ProblemError, unauthorized, that says what is wrong with the signature.
    """
    headers: Mapping[str, str] = {name: environ[key] for name, key in _NAMES.items() if key in environ}
    found = verify(secrets, headers, payload, now)
    if isinstance(found, Unproved):
        error = FieldError(SIGNATURE_HEADER, _WHY[found], str(found), "a signature as Standard Webhooks has it")
        raise ProblemError(UNAUTHORIZED, _WHY[found], (error,))
    return found.message_id
