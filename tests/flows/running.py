"""Runs the service as it is run in production, in processes of its own, and asks it over HTTP."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import urllib3

from api.settings import ServiceSettings

PROGRAM = "from recommender.cli import main; main()"
START_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Service:
    """A running service: its process, its address, and where its log is."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path

    def children(self) -> list[int]:
        """Return the process ids directly below the service's process."""
        folder = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(number) for number in folder.read_text().split()]


@dataclass(frozen=True, slots=True)
class Asker:
    """Asks a service with a key over kept connections."""

    url: str
    token: str
    pool: urllib3.PoolManager

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Send one request; return status and JSON body."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        data = None if body is None else orjson.dumps(body)
        response = self.pool.request(method, self.url + path, body=data, headers=headers, retries=False)
        return response.status, orjson.loads(response.data)


def asker(service: Service, token: str) -> Asker:
    """Return somebody who asks the service."""
    return Asker(service.url, token, urllib3.PoolManager(maxsize=8, timeout=urllib3.Timeout(20)))


@contextmanager
def running(settings: ServiceSettings, *options: str, environ: Mapping[str, str] | None = None) -> Iterator[Service]:
    """Run `memberwise serve` until the end of the block."""
    port = free_port()
    settings.home.mkdir(parents=True, exist_ok=True)
    log = settings.home / "serve.log"
    words = ["serve", "--port", str(port), *options]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *words],
            env={**environment(settings), **(environ or {})},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    service = Service(process, f"http://127.0.0.1:{port}", log)
    try:
        wait_until(lambda: _answers(service), "the service answers", log)
        yield service
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(START_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


def environment(settings: ServiceSettings) -> dict[str, str]:
    """Return the environment that gives a process these settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MEMBERWISE_", "PROMETHEUS_"))}
    database = {"MEMBERWISE_DATABASE_URL": settings.database_url} if settings.database_url else {}
    return (
        kept
        | database
        | {
            "MEMBERWISE_HOME": str(settings.home),
            "MEMBERWISE_MODELS": str(settings.models),
            "MEMBERWISE_HASH_KEY": settings.hash_key,
            "MEMBERWISE_DRAIN_SECONDS": "0.2",
        }
    )


def memberwise(settings: ServiceSettings, *words: str) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *words],
        env=environment(settings),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def wait_until(condition: Any, what: str, log: Path | None = None, seconds: float = START_SECONDS) -> None:
    """Wait until a condition holds. Raises: AssertionError if it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        told = log.read_text("utf-8", "replace")[-3000:] if log is not None else ""
        assert time.monotonic() < deadline, f"not in time: {what}\n{told}"
        time.sleep(0.05)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(service: Service) -> bool:
    assert service.process.poll() is None, service.log.read_text("utf-8", "replace")[-3000:]
    try:
        return bool(urllib3.request("GET", service.url + "/livez", retries=False, timeout=5).status == 200)
    except urllib3.exceptions.HTTPError:
        return False
