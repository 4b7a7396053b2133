"""Keyring: the secrets of transports, each in a file of HOME/transports that its owner alone may read.

NAME.outbound   secrets that sign what is sent, one in a line: each signs, so that they can be replaced
NAME.inbound    secrets that callbacks are signed with, one in a line: any counts
NAME.token      the provider's access token, kept fresh by whoever is in charge of it
"""

from __future__ import annotations

import os
import re
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from recommender.errors import InputError, SettingsError
from recommender.webhook_signature import add_secret, read_secrets

T = TypeVar("T")

OUTBOUND, INBOUND, TOKEN = "outbound", "inbound", "token"
LOOK_SECONDS = 1.0
"""How long it takes at most until a changed file counts."""
MOST_TOKEN_CHARACTERS = 4096
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
NAMES = "1 to 63 lower-case letters, digits, - and _, a letter or digit in front"


class Keyring:
    """Reads the secrets of transports, again when their files change."""

    def __init__(self, home: Path) -> None:
        self._folder = home / "transports"
        self._secrets: dict[tuple[str, str], _Watched[tuple[bytes, ...]]] = {}
        self._tokens: dict[str, _Watched[str | None]] = {}
        self._lock = threading.Lock()

    def path(self, name: str, use: str) -> Path:
        """Return where the secrets of a transport are."""
        return self._folder / f"{check_name(name)}.{use}"

    def signing(self, name: str) -> tuple[bytes, ...]:
        """Return what signs a transport's messages; none: they are not signed. Raises: SettingsError."""
        return self._read(name, OUTBOUND)

    def verifying(self, name: str) -> tuple[bytes, ...]:
        """Return what a transport's callbacks may be signed with; none: they are refused. Raises: SettingsError."""
        return self._read(name, INBOUND)

    def token(self, name: str) -> str | None:
        """Return the provider's token, None if there is none. Raises: SettingsError."""
        with self._lock:
            if name not in self._tokens:
                self._tokens[name] = _Watched(self.path(name, TOKEN), _read_token)
            return self._tokens[name].value()

    def add(self, name: str, use: str) -> str:
        """Make a secret beside those there are, and return it. Raises: SettingsError."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return add_secret(self.path(name, use))

    def _read(self, name: str, use: str) -> tuple[bytes, ...]:
        with self._lock:
            if (name, use) not in self._secrets:
                self._secrets[name, use] = _Watched(self.path(name, use), read_secrets)
            return self._secrets[name, use].value()


def check_name(name: str) -> str:
    """Return the name of a transport, which names files too. Raises: InputError."""
    if not _NAME.fullmatch(name):
        raise InputError("This cannot be the name of a transport.", field="name", value=name, accepted=NAMES)
    return name


class _Watched(Generic[T]):
    """What a file says, read again when it changes, looked at once in LOOK_SECONDS."""

    def __init__(self, path: Path, read: Callable[[Path], T]) -> None:
        self._path, self._read = path, read
        self._stamp: tuple[int, ...] | None = ()
        self._next_look = 0.0
        self._value: T

    def value(self) -> T:
        if time.monotonic() >= self._next_look:
            stamp = self._look()
            if stamp != self._stamp:
                self._value = self._read(self._path)
                self._stamp = stamp
            self._next_look = time.monotonic() + LOOK_SECONDS
        return self._value

    def _look(self) -> tuple[int, ...] | None:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino, found.st_mode


def _read_token(path: Path) -> str | None:
    try:
        with path.open(encoding="utf-8") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                raise SettingsError("Others may read the token.", value=path, accepted="mode 600")
            text = file.read(MOST_TOKEN_CHARACTERS + 1).strip()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"The token cannot be read: {error}.", value=path) from error
    if not text or len(text) > MOST_TOKEN_CHARACTERS or any(ord(one) < 33 or ord(one) > 126 for one in text):
        raise SettingsError("The file holds no token.", value=path, accepted="one line of visible ASCII")
    return text
