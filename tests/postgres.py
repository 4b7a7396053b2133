"""A temporary PostgreSQL server for tests: found on the machine, run without root, gone afterwards."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

START_SECONDS = 60.0
USERS = ("postgres", "nobody")
"""Who may run the server where the tests run as root, which PostgreSQL refuses; the first that exists."""

# Speed over safety: nothing here outlives the tests.
OPTIONS = (
    "listen_addresses=",
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "max_connections=60",
    "shared_buffers=32MB",
    "wal_level=minimal",
    "max_wal_senders=0",
    "autovacuum=off",
)
SAFE_OPTIONS = ("listen_addresses=", "max_connections=60", "shared_buffers=128MB")
"""For measurements: what is committed is on the disk."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server; reached by a socket in `folder`."""

    folder: Path

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://memberwise@/{database}?host={self.folder}"

    def administer(self, statements: str, database: str = "postgres") -> None:
        """Run statements outside of a transaction."""
        place = f"host={self.folder} user=memberwise dbname={database}"
        with psycopg.connect(place, autocommit=True) as connection:
            connection.execute(statements.encode())


def find_binaries() -> Path | None:
    """Return the folder of initdb and postgres: as told, on the path, or Debian's newest."""
    told = os.environ.get("MEMBERWISE_TEST_POSTGRES_BIN")
    if told:
        return Path(told)
    on_path = shutil.which("initdb")
    if on_path is not None:
        return Path(on_path).resolve().parent
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    return installed[-1].parent if installed else None


@contextmanager
def run_server(binaries: Path, options: tuple[str, ...] = OPTIONS) -> Iterator[Server]:
    """Run a server in a temporary folder until the block ends."""
    folder = Path(tempfile.mkdtemp(prefix="mw-pg-"))
    identity = _unprivileged()
    if identity:
        os.chown(folder, identity["user"], identity["group"])
    process: subprocess.Popen[bytes] | None = None
    try:
        data = folder / "data"
        _make_cluster(binaries, data, identity)
        words = [word for option in options for word in ("-c", option)]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [binaries / "postgres", "-D", data, "-k", folder, *words],
                stdout=log,
                stderr=log,
                cwd=folder,
                **identity,
            )
        server = Server(folder)
        _wait(server, process, folder / "log")
        yield server
    finally:
        if process is not None:
            process.send_signal(signal.SIGINT)
            process.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


def _make_cluster(binaries: Path, data: Path, identity: dict[str, Any]) -> None:
    command = [binaries / "initdb", "-D", data, "-U", "memberwise", "-A", "trust", "-E", "UTF8"]
    done = subprocess.run(
        [*command, "--locale=C", "--no-sync"], capture_output=True, cwd=data.parent, check=False, **identity
    )
    assert done.returncode == 0, done.stderr.decode()


def _unprivileged() -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    entry = next(names[name] for name in USERS if name in names)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def _wait(server: Server, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            server.administer("SELECT 1")
            return
        except psycopg.OperationalError:
            assert process.poll() is None, log.read_text("utf-8", "replace")
            assert time.monotonic() < deadline, log.read_text("utf-8", "replace")
            time.sleep(0.05)
