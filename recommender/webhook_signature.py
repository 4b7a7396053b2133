"""Signatures of webhooks, sent and received: HMAC-SHA256 over id, time and raw bytes, as Standard Webhooks has them.

Three headers go with a message: `webhook-id`, `webhook-timestamp` (Unix seconds) and `webhook-signature`, one or more
signatures with spaces between them, each "v1," and base64. What is signed is the id, the timestamp and the body as
it was sent, with full stops between them, so that neither can be changed or replaced alone. Several secrets at once
make rotation possible: a sender signs with each, a receiver accepts any.

Source: Standard Webhooks, https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import secrets
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

from recommender.errors import SettingsError

ID_HEADER = "webhook-id"
TIMESTAMP_HEADER = "webhook-timestamp"
SIGNATURE_HEADER = "webhook-signature"
TOLERANCE = timedelta(minutes=5)
"""A message is refused that was signed longer ago, or further in the future, than this."""
PREFIX = "whsec_"
LEAST_SECRET_BYTES = 24
MOST_SECRET_BYTES = 64
MOST_SIGNATURES = 16
_VERSION = "v1"
_LATEST_SECOND = 253402300799  # The last second of the year 9999, beyond which datetime does not go.


class Unproved(StrEnum):
    """Why a message is not taken for the sender's."""

    HEADER_MISSING = "header_missing"
    TIMESTAMP_INVALID = "timestamp_invalid"
    TOO_OLD = "too_old"
    TOO_NEW = "too_new"
    NO_SIGNATURE_MATCHES = "no_signature_matches"


@dataclass(frozen=True, slots=True)
class Proved:
    """A message that is the sender's: its id, by which it is known when it comes again, and when it was signed."""

    message_id: str
    signed_at: datetime


def sign(secrets_in_use: Sequence[bytes], message_id: str, at: datetime, payload: bytes) -> dict[str, str]:
    """Return the three headers of a message.

    Args:
        secrets_in_use: one, or several while they are being replaced; one signature each, in order.
        message_id: the same for every attempt to deliver the message; without a full stop.
        at: the time of this attempt; its whole second is signed.
        payload: the body, byte by byte as it is sent.
    """
    timestamp = str(int(at.timestamp()))
    signatures = [f"{_VERSION},{_signature(one, message_id, timestamp, payload)}" for one in secrets_in_use]
    return {ID_HEADER: message_id, TIMESTAMP_HEADER: timestamp, SIGNATURE_HEADER: " ".join(signatures)}


def verify(
    secrets_in_use: Sequence[bytes],
    headers: Mapping[str, str],
    payload: bytes,
    now: datetime,
    tolerance: timedelta = TOLERANCE,
) -> Proved | Unproved:
    """Tell whether a message was signed with one of the secrets, lately.

    A message that is sent again within the tolerance is proved again: the receiver knows it by its id.

    Args:
        secrets_in_use: any may have signed; none at all proves nothing.
        headers: of the request; names in lower case, or a mapping that does not tell cases apart.
        payload: the body as it came, before any parsing.
        now: aware.
    """
    message_id, timestamp = headers.get(ID_HEADER), headers.get(TIMESTAMP_HEADER)
    signed = headers.get(SIGNATURE_HEADER)
    if not message_id or not timestamp or not signed:
        return Unproved.HEADER_MISSING
    if not (timestamp.isascii() and timestamp.isdigit() and int(timestamp[:20]) <= _LATEST_SECOND):
        return Unproved.TIMESTAMP_INVALID
    at = datetime.fromtimestamp(int(timestamp), UTC)
    if abs(now - at) > tolerance:
        return Unproved.TOO_OLD if at < now else Unproved.TOO_NEW
    given = [text.encode() for version, _, text in map(_parts, signed.split(" ")[:MOST_SIGNATURES]) if version]
    expected = [_signature(one, message_id, timestamp, payload).encode() for one in secrets_in_use]
    # Every pair is compared, in constant time, so that how long it takes tells nothing.
    matches = [hmac.compare_digest(ours, theirs) for ours in expected for theirs in given]
    return Proved(message_id, at) if any(matches) else Unproved.NO_SIGNATURE_MATCHES


def make_secret() -> str:
    """Return a new secret in the form in which it is told to the other side."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def parse_secret(text: str) -> bytes:
    """Return the key that a secret stands for: base64, behind "whsec_" or not.

    Raises: SettingsError if it is no base64, or too short or long; the secret is not repeated.
    """
    accepted = f"{PREFIX} and base64 of {LEAST_SECRET_BYTES} to {MOST_SECRET_BYTES} bytes"
    try:
        key = base64.b64decode(text.strip().removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise SettingsError("A webhook secret is not base64.", accepted=accepted) from None
    if not LEAST_SECRET_BYTES <= len(key) <= MOST_SECRET_BYTES:
        raise SettingsError("A webhook secret has the wrong length.", accepted=accepted)
    return key


def read_secrets(path: Path) -> tuple[bytes, ...]:
    """Return the secrets of a file, one in a line, blank lines and those that begin with # aside; none: no file.

    Raises: SettingsError if others than its owner may read it, or it holds anything else.
    """
    try:
        with path.open(encoding="utf-8") as file:
            open_to = stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077
            lines = [line.strip() for line in file]
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"The webhook secrets cannot be read: {error}.", value=path) from error
    if open_to:
        raise SettingsError("Others may read the webhook secrets.", value=path, accepted="mode 600")
    return tuple(parse_secret(line) for line in lines if line and not line.startswith("#"))


def add_secret(path: Path) -> str:
    """Make a secret, add it to a file that its owner alone may read, and return it.

    Secrets that should no longer count are taken out of the file by hand.

    Raises: SettingsError as read_secrets(), or if the file cannot be written.
    """
    read_secrets(path)
    secret = make_secret()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secret + "\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise SettingsError(f"The webhook secrets cannot be written: {error}.", value=path) from error
    return secret


def _signature(secret: bytes, message_id: str, timestamp: str, payload: bytes) -> str:
    signed = f"{message_id}.{timestamp}.".encode() + payload
    return base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()


def _parts(signature: str) -> tuple[bool, str, str]:
    version, comma, text = signature.partition(",")
    return version == _VERSION and bool(comma), comma, text
