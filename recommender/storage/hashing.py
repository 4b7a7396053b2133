"""Keyed hashes of phone numbers and e-mail addresses: never stored in clear, equal for the same person.

Phone numbers are compared after this normalisation: full-width digits become plain ones; everything but
digits and a leading + is dropped; a leading 00 becomes +; eleven digits that begin with 1 and a digit from 3
to 9 (a Chinese mobile number), bare or behind 86, get +86. So "138 0013 8000", "+86 138-0013-8000",
"0086 13800138000" and "8613800138000" are one number. Other numbers keep what was dialled. E-mail addresses
lose surrounding space and are compared in lower case.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.engine import Connection

from recommender.errors import InputError, SettingsError
from recommender.events import HASHED_NAMESPACES
from recommender.settings import CoreSettings
from recommender.storage.statements import fetch, set_counter

_CHINESE_MOBILE = re.compile(r"(?:\+?86)?(1[3-9]\d{9})")
_HASHED = re.compile(r"h\d+:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, repr=False)
class HashKey:
    """The secret behind the hashes; `version` is counted up when the secret is replaced."""

    secret: bytes
    version: int


def read_hash_key(settings: CoreSettings) -> HashKey:
    """Return the hash key that the settings give, else the one in HOME/hash_key, made at first use.

    Raises: SettingsError if the file cannot be read or written, or holds no key.
    """
    if settings.hash_key:
        return HashKey(settings.hash_key.encode(), settings.hash_key_version)
    path = settings.home / "hash_key"
    try:
        if not path.exists():
            _create_key_file(path)
        text = path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"The hash key cannot be read: {error}.", field="MEMBERWISE_HASH_KEY") from error
    if len(text) < 16:
        raise SettingsError("The hash key file holds no key.", field="MEMBERWISE_HASH_KEY", value=path)
    return HashKey(text.encode(), settings.hash_key_version)


def check_hash_key(connection: Connection, key: HashKey) -> None:
    """Note a fingerprint of the key in the database, or compare it with the one noted.

    Inside a write transaction. A second machine with another key would split every member hashed twice.

    Raises: SettingsError if the database was written with another key of this version.
    """
    name = f"hash_key:{key.version}"
    fingerprint = int(hmac.new(key.secret, b"fingerprint", hashlib.sha256).hexdigest()[:15], 16)
    noted = fetch(connection, "SELECT value FROM counters WHERE name = ?", (name,))
    if not noted:
        set_counter(connection, name, fingerprint)
    elif noted[0][0] != fingerprint:
        raise SettingsError(
            "The database was written with another hash key of this version.",
            field="MEMBERWISE_HASH_KEY",
            accepted="the key used before, or a higher MEMBERWISE_HASH_KEY_VERSION",
        )


def hash_value(namespace: str, value: str, key: bytes, version: int) -> str:
    """Return the stored form of an identity's value.

    Args:
        namespace: phone and email are hashed; values of other namespaces are returned unchanged.
        value: as received; a value that is already hashed is returned unchanged.
        key: the secret.
        version: its version.
    Returns: "h<version>:" and 64 hexadecimal digits of HMAC-SHA256 over namespace and normalised value.
    Raises: InputError if a phone number holds no digit or an e-mail address no @.
    """
    if namespace not in HASHED_NAMESPACES or _HASHED.fullmatch(value):
        return value
    text = f"{namespace}:{normalise(namespace, value)}"
    return f"h{version}:{hmac.new(key, text.encode(), hashlib.sha256).hexdigest()}"


def normalise(namespace: str, value: str) -> str:
    """Return the form in which two phone numbers or e-mail addresses are compared.

    Raises: InputError if a phone number holds no digit or an e-mail address no @; the value is not repeated.
    """
    text = unicodedata.normalize("NFKC", value).strip()
    if namespace == "email":
        if "@" not in text:
            raise InputError("An e-mail address has no @.", field="value", accepted="name@domain")
        return text.lower()
    return _normalise_phone(text)


def _normalise_phone(text: str) -> str:
    digits = re.sub(r"[^0-9]", "", text)
    if not digits:
        raise InputError("A phone number has no digits.", field="value", accepted="such as +86 138 0013 8000")
    number = ("+" if text.lstrip("( ").startswith("+") else "") + digits
    if number.startswith("00"):
        number = "+" + number[2:]
    mobile = _CHINESE_MOBILE.fullmatch(number)
    return f"+86{mobile[1]}" if mobile else number


def _create_key_file(path: Path) -> None:
    """Write a new key so that of several processes that start at once exactly one makes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".hash_key.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32) + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(temporary, path)
    except FileExistsError:
        return
    finally:
        temporary.unlink()
