"""The commands an operator runs: serve, worker, keys, compact, doctor. Imports what a command needs when it runs."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from api.settings import ServiceSettings

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def _settings(environ: dict[str, str] | None = None) -> ServiceSettings:
    from api.settings import ServiceSettings
    from recommender.settings import read_settings

    return read_settings(ServiceSettings, os.environ if environ is None else environ)


def _one_thread_per_worker() -> None:
    """Requests run side by side in threads; numpy's own threads would only get in their way. Before numpy."""
    for name in _THREAD_VARIABLES:
        os.environ.setdefault(name, "1")


@click.command()
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=int, help="Port to listen on.")
@click.option("--workers", type=int, help="Web worker processes; 0: one per processor.")
@click.option("--threads", type=int, help="Threads of each web worker.")
@click.option("--with-worker", is_flag=True, help="Also do the background work, on this machine.")
def serve(
    host: str | None, port: int | None, workers: int | None, threads: int | None, with_worker: bool
) -> None:
    """Answer HTTP requests."""
    chosen = {"HOST": host, "PORT": port, "WORKERS": workers, "THREADS": threads}
    given = {f"MEMBERWISE_{name}": str(value) for name, value in chosen.items() if value is not None}
    settings = _settings({**os.environ, **given})
    if with_worker:
        from api.supervisor import supervise

        stop_seconds = settings.graceful_seconds + 5.0
        sys.exit(supervise(["serve"], ["worker"], {**os.environ, **given}, stop_seconds))
    _one_thread_per_worker()
    from api.metrics import prepare_folder

    prepare_folder(settings.home / "metrics" / str(settings.port))
    from api.logs import configure_logging
    from api.wsgi import run

    configure_logging(settings.log_level)
    run(settings)


@click.command()
def worker() -> None:
    """Do the background work of the service: move exposures into the database, copy events to the event log."""
    _one_thread_per_worker()
    from api.logs import configure_logging
    from api.worker import run

    settings = _settings()
    configure_logging(settings.log_level)
    run(settings)


@click.group()
def keys() -> None:
    """Create, list and revoke API keys."""


@keys.command("create")
@click.argument("name")
@click.option("--scopes", required=True, help="What the key may do: names with commas, of SCOPES below.")
@click.option("--days", type=click.IntRange(1), help="The key expires after so many days; never if left out.")
def create_key(name: str, scopes: str, days: int | None) -> None:
    """Create a key called NAME and print it, once: it cannot be shown again.

    SCOPES: recommend, events, catalog, coupons, campaigns, models; admin may do everything.
    """
    from api.auth import parse_scopes
    from recommender.storage.database import open_database
    from recommender.storage.keys import create

    wanted = parse_scopes(scopes)
    now = datetime.now(UTC)
    expires_at = None if days is None else now + timedelta(days=days)
    database = open_database(_settings())
