"""Site: the service of one shop with its background worker, and the empty route beside it, ready to be loaded."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.empty_route import PATH
from tests.benchmarks.load_client import LOOPBACK, TIMEOUT_SECONDS
from tests.benchmarks.measure import FailedRunError, memberwise, module, run_measured
from tests.benchmarks.questions import Questions, write_questions
from tests.benchmarks.servers import Server, run_beside, run_server
from tests.benchmarks.shops import Shop

WORKERS = 2
SECONDS = 4.0
"""How long one load lasts."""
SCOPES = "recommend,events,catalog"

Figures = dict[str, float]
_STAGE = re.compile(r'^memberwise_stage_seconds_total\{scenario="home",stage="(\w+)"\} (\S+)$', re.MULTILINE)
_SLATES = re.compile(r'^memberwise_slates_total\{scenario="home".*\} (\S+)$', re.MULTILINE)


@dataclass(frozen=True)
class Site:
    """A running service and what it is asked.

    empty: the empty Flask route in the same configuration.  environ: the service's settings.
    """

    shop: Shop
    service: Server
    empty: Server
    questions: Questions
    environ: dict[str, str]

    def load(self, file: Path, connections: int, rate: float = 0.0, seconds: float = SECONDS) -> Figures:
        """Load the service with the requests of a file and return the client's figures."""
        return load_server(self.service, file, connections, rate, seconds)

    def load_empty(self, connections: int, rate: float = 0.0) -> Figures:
        """Load the empty route."""
        file = write_questions(self.shop.folder / "empty.requests", [f"GET {PATH} HTTP/1.1\r\nHost: localhost\r\n\r\n"])
        return load_server(self.empty, file, connections, rate, SECONDS)

    def send_once(self, requests: Sequence[str], connections: int, seconds: float = 60.0) -> Figures:
        """Send each request once and return the client's figures."""
        file = write_questions(self.shop.folder / "once.requests", requests)
        return load_server(self.service, file, connections, 0.0, seconds, once=True)

    def write(self, name: str, requests: Sequence[str]) -> Path:
        """Keep requests for the load client, after the first of them was answered with 200.

        Raises: FailedRunError if it was not.
        """
        with socket.create_connection((LOOPBACK, self.service.port), TIMEOUT_SECONDS) as connection:
            connection.sendall(requests[0].encode())
            answer = connection.recv(65_536)
        if not answer.startswith(b"HTTP/1.1 200"):
            raise FailedRunError(f"{name}: {answer.decode('utf-8', 'replace')}")
        return write_questions(self.shop.folder / f"{name}.requests", requests)

    def stage_seconds(self) -> Figures:
        """Return the seconds that `home` took so far by stage, and the number of its slates as "slates"."""
        address = f"http://{LOOPBACK}:{self.service.port}/metrics"
        with urllib.request.urlopen(address, timeout=TIMEOUT_SECONDS) as answer:
            text = answer.read().decode()
        found = {stage: float(value) for stage, value in _STAGE.findall(text)}
        return found | {"slates": sum(float(value) for value in _SLATES.findall(text))}

    @contextmanager
    def under_load(self, file: Path, connections: int, rate: float, seconds: float) -> Iterator[list[Figures]]:
        """Load the service at a rate meanwhile; the figures are in the list when the block has ended."""
        found: list[Figures] = []
        thread = threading.Thread(target=lambda: found.append(self.load(file, connections, rate, seconds)))
        thread.start()
        try:
            yield found
        finally:
            thread.join()


@contextmanager
def open_site(shop: Shop) -> Iterator[Site]:
    """Run the service, its background worker and the empty route on a trained shop."""
    environ = {**shop.environ, "MEMBERWISE_WORKERS": str(WORKERS), "MEMBERWISE_LOG_LEVEL": "info"}
    key = run_measured(memberwise("keys", "create", "benchmark", "--scopes", SCOPES), environ, shop.folder).output
    with (
        run_beside(memberwise("worker"), environ, shop.folder / "worker.log"),
        run_server(memberwise("serve"), environ, "/readyz", shop.folder / "serve.log") as service,
        run_server(module("empty_route"), environ, PATH, shop.folder / "empty.log") as empty,
    ):
        yield Site(shop, service, empty, Questions(shop, key.strip()), environ)


def describe_machine() -> str:
    """Say how many processors there are and how busy they were in the last minute."""
    processors, load, python = len(os.sched_getaffinity(0)), os.getloadavg()[0], sys.version.split()[0]
    return f"{processors} processors, load average {load:.1f}, Python {python}"


def load_server(
    server: Server, file: Path, connections: int, rate: float, seconds: float, once: bool = False
) -> Figures:
    """Load a server with the requests of a file and return the client's figures.

    Args:
        rate: requests per second; 0: as many as it answers.
        once: each request is sent once.
    """
    words = [str(server.port), str(connections), str(seconds), str(file), str(rate), "once" if once else ""]
    done = subprocess.run(module("load_client", *words), stdout=subprocess.PIPE, check=True)
    figures: Figures = json.loads(done.stdout)
    return figures
