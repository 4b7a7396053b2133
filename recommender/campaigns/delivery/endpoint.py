"""Endpoint: posts to one URL over kept connections, and never to an address that is not meant to be reached.

The host's name is looked up here, every address it has is checked, and connections go to the address that was checked,
not to the name: a name server that answers differently the next time changes nothing. Redirects are not followed.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import urllib3
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.response import BaseHTTPResponse

from recommender.errors import InputError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Sequence[str]]
"""Looks up the addresses of a host. Raises: OSError."""

LOOKED_UP_SECONDS = 300.0
"""How long an address that was looked up is used; after a failed connection it is looked up again at once."""
MOST_ANSWER_BYTES = 64 * 1024
MOST_PAUSE_SECONDS = 3600.0
ACCEPTED_URL = "an https or http URL with a host, without a user name, a password or a fragment"


@dataclass(frozen=True, slots=True)
class Answered:
    """What a receiver answered: status, body (its beginning), and how long it asks to be left alone."""

    status: int
    body: bytes
    retry_after_seconds: float | None


class UnreachableError(Exception):
    """Nothing was answered; `reason` is a short code: timeout, address_refused, unresolved, tls or connection."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Endpoint:
    """Posts to one URL; used by several threads.

    Args:
        url: checked by parse_url().
        allowed: networks that may be reached although they are not public.
        timeout_seconds: to connect, between two parts of an answer, and for the whole answer.
        connections: kept open.
    """

    def __init__(
        self,
        url: str,
        allowed: Sequence[Network] = (),
        timeout_seconds: float = 10.0,
        connections: int = 8,
        resolve: Resolve | None = None,
    ) -> None:
        self._url = parse_url(url)
        self._allowed = tuple(allowed)
        self._timeout = timeout_seconds
        self._connections = connections
        self._resolve = resolve or look_up
        self._lock = threading.Lock()
        self._pool: HTTPConnectionPool | None = None
        self._until = 0.0

    def post(self, body: bytes, headers: Mapping[str, str], query: str = "") -> Answered:
        """Post once.

        Args:
            query: added to the URL's own; for tokens, which must not stand in settings.
        Raises: UnreachableError.
        """
        pool = self._connected()
        target = self._url.request_uri
        if query:
            target += ("&" if self._url.query else "?") + query
        deadline = time.monotonic() + self._timeout
        try:
            response = pool.urlopen(
                "POST",
                target,
                body=body,
                headers={"Host": self._url.netloc or "", "Accept-Encoding": "identity", **headers},
                redirect=False,
                retries=False,
                preload_content=False,
            )
            return Answered(response.status, _read(response, deadline), _retry_after(response))
        except urllib3.exceptions.SSLError:
            self._forget(pool)
            raise UnreachableError("tls") from None
        except urllib3.exceptions.NewConnectionError:
            self._forget(pool)
            raise UnreachableError("connection") from None
        except urllib3.exceptions.TimeoutError as error:
            if isinstance(error, urllib3.exceptions.ConnectTimeoutError):
                self._forget(pool)
            raise UnreachableError("timeout") from None
        except (urllib3.exceptions.HTTPError, OSError):
            self._forget(pool)
            raise UnreachableError("connection") from None

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            if self._pool is not None:
                self._pool.close()
            self._pool = None

    def _connected(self) -> HTTPConnectionPool:
        with self._lock:
            if self._pool is None or time.monotonic() >= self._until:
                old, self._pool = self._pool, self._open(self._checked_address())
                self._until = time.monotonic() + LOOKED_UP_SECONDS
                if old is not None:
                    old.close()
            return self._pool

    def _forget(self, pool: HTTPConnectionPool) -> None:
        """Have the host looked up again at the next call, if nobody did since."""
        with self._lock:
            if self._pool is pool:
                self._until = 0.0

    def _checked_address(self) -> str:
        host = (self._url.host or "").strip("[]")
        try:
            found = self._resolve(host, self._port)
        except OSError:
            raise UnreachableError("unresolved") from None
        if not found:
            raise UnreachableError("unresolved")
        if not all(may_reach(one, self._allowed) for one in found):
            raise UnreachableError("address_refused")
        return found[0]

    @property
    def _port(self) -> int:
        return self._url.port or (443 if self._url.scheme == "https" else 80)

    def _open(self, address: str) -> HTTPConnectionPool:
        timeout = urllib3.Timeout(connect=self._timeout, read=self._timeout)
        if self._url.scheme == "http":
            return HTTPConnectionPool(address, self._port, timeout=timeout, maxsize=self._connections, block=True)
        host = (self._url.host or "").strip("[]")
        return HTTPSConnectionPool(
            address,
            self._port,
            timeout=timeout,
            maxsize=self._connections,
            block=True,
            cert_reqs="CERT_REQUIRED",
            assert_hostname=host,
            server_hostname=host,
        )


def parse_url(text: str) -> urllib3.util.Url:
    """Read the URL of a receiver. Raises: InputError."""
    try:
        url = urllib3.util.parse_url(text)
    except urllib3.exceptions.LocationParseError:
        url = urllib3.util.Url()
    if url.scheme not in ("http", "https") or not url.host or url.auth or url.fragment:
        raise InputError("This is no URL to send to.", field="url", value=text, accepted=ACCEPTED_URL)
    return url


def look_up(host: str, port: int) -> Sequence[str]:
    """Return the addresses of a host. Raises: OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def may_reach(address: str, allowed: Sequence[Network]) -> bool:
    """Tell whether messages may go to an address: a public one, or one of the networks that are allowed.

    Private, loopback, link-local, shared, multicast, documentation and reserved addresses are not public, nor are the
    IPv6 addresses that lead to such an IPv4 address.
    """
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    inner = _inside(found)
    if any(one in network for one in (found, inner) for network in allowed if one.version == network.version):
        return True
    return all(one.is_global and not one.is_multicast for one in (found, inner))


def _inside(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address leads to, else the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in ipaddress.IPv6Network("64:ff9b::/96"):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    teredo = None if address.teredo is None else address.teredo[1]
    return address.ipv4_mapped or address.sixtofour or teredo or address


def _read(response: BaseHTTPResponse, deadline: float) -> bytes:
    """Read an answer to its end, which keeps the connection; a long or slow one is cut off with its connection."""
    assert isinstance(response, urllib3.HTTPResponse)
    body = b""
    while part := response.read1(MOST_ANSWER_BYTES, decode_content=False):
        body += part
        if len(body) > MOST_ANSWER_BYTES or time.monotonic() > deadline:
            response.close()
            break
    response.release_conn()
    return body[:MOST_ANSWER_BYTES]


def _retry_after(response: BaseHTTPResponse) -> float | None:
    text = response.headers.get("Retry-After")
    if text is None:
        return None
    try:
        seconds = float(text) if text.strip().isdigit() else _until(parsedate_to_datetime(text))
    except ValueError:
        return None
    return min(max(seconds, 0.0), MOST_PAUSE_SECONDS)


def _until(moment: datetime) -> float:
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return (aware - datetime.now(UTC)).total_seconds()
