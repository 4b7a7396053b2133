"""The demo's service: the API and a worker in a process of their own, asked over HTTP as any client would."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from recommender.errors import MemberwiseError

COUNT = 10
START_SECONDS = 90.0
STOP_SECONDS = 40.0
COMMAND = "from recommender.cli import main; main()"
"""Python that runs `memberwise`."""


@dataclass(frozen=True, slots=True)
class Service:
    """A running service: its process, address, and the file it logs to."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path


@contextmanager
def serving(environ: Mapping[str, str], log: Path) -> Iterator[Service]:
    """Run the API and a worker as a process of their own, ready to answer; stop both at the end.

    Raises: MemberwiseError with the end of its log if the service does not come up.
    """
    port = free_port(int(environ.get("MEMBERWISE_PORT", "8000")))
    words = [sys.executable, "-c", COMMAND, "serve", "--with-worker", "--port", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(words, env=dict(environ), stdout=output, stderr=output, start_new_session=True)
    service = Service(process, f"http://127.0.0.1:{port}", log)
    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        _wait_until_ready(service)
        yield service
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _stop(process)


def free_port(wanted: int) -> int:
    """Return the wanted port of this machine if nobody listens there, else a free one."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise MemberwiseError("No port of this machine is free.", field="MEMBERWISE_PORT", value=wanted)


def ask(service: Service, member_id: str, token: str) -> dict[str, Any]:
    """Ask for one member's recommendations."""
    request = urllib.request.Request(
        f"{service.url}/v1/members/{quote(member_id, safe='')}/recommendations?scenario=home&count={COUNT}",
        headers={"Authorization": f"Bearer {token}", "Accept-Language": answer_language()},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def answer_language() -> str:
    """Return the language of reasons: that of the terminal."""
    return "zh" if os.environ.get("LANG", "").startswith("zh") else "en"


def _wait_until_ready(service: Service) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and service.process.poll() is None:
        try:
            with urllib.request.urlopen(f"{service.url}/readyz", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise MemberwiseError(f"The service did not start. {end_of(service.log)}", value=service.log)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def interrupt(number: int, frame: object) -> None:
    """End what runs, as Ctrl-C does."""
    raise KeyboardInterrupt


def end_of(log: Path) -> str:
    """Return the last lines of a log."""
    return "The end of its log: " + " | ".join(log.read_text("utf-8", errors="replace").splitlines()[-5:])
