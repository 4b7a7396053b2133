"""Proxy: the path that a reverse proxy put before ours, believed only from proxies that are named in the settings."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

Environ = dict[str, Any]
Application = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

ACCEPTED = "addresses or networks, such as 127.0.0.1 or 10.0.0.0/8, separated by commas"
_HEADER = "HTTP_X_FORWARDED_PREFIX"
_PREFIX = re.compile(r"(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~-]+)+")


def parse_networks(text: str) -> tuple[Network, ...]:
    """Read addresses and networks with commas between them. Raises: ValueError(accepted)."""
    try:
        return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())
    except ValueError:
        raise ValueError(ACCEPTED) from None


class TrustedPrefix:
    """Hands the header X-Forwarded-Prefix of a trusted proxy on as the place where the application is mounted.

    A proxy may pass requests with the prefix or without it. The header of anybody else, or one that is not a
    path, is left alone.
    """

    def __init__(self, application: Application, proxies: Sequence[Network]) -> None:
        self._application = application
        self._proxies = proxies

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request."""
        if _HEADER in environ and self._trusts(environ.get("REMOTE_ADDR", "")):
            _mount(environ, str(environ[_HEADER]).rstrip("/"))
        return self._application(environ, start_response)

    def _trusts(self, address: str) -> bool:
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(found in network for network in self._proxies)


def _mount(environ: Environ, prefix: str) -> None:
    if not _PREFIX.fullmatch(prefix):
        return
    environ["SCRIPT_NAME"] = prefix
    path = environ.get("PATH_INFO", "")
    if path == prefix or path.startswith(f"{prefix}/"):
        environ["PATH_INFO"] = path[len(prefix) :] or "/"
