"""The commands an operator runs: serve, worker, compact, doctor. Imports what a command needs when it
runs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from api.settings import ServiceSettings

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def operator_settings(environ: Mapping[str, str] | None = None) -> ServiceSettings:
    """Read the settings of this process. Raises: SettingsError."""
    from api.settings import ServiceSettings
    from recommender.settings import read_settings

    return read_settings(ServiceSettings, os.environ if environ is None else environ)


def _one_thread_per_worker() -> None:
    """Requests run side by side in threads; numpy's own threads would only get in their way. Before numpy."""
    for name in _THREAD_VARIABLES:
        os.environ.setdefault(name, "1")


def _empty_metrics_folder(settings: ServiceSettings) -> None:
    """Make the folder that the workers' figures meet in, and empty it. Before prometheus_client."""
    from api.settings import METRICS_FOLDER_VARIABLE

    settings.metrics_folder.mkdir(parents=True, exist_ok=True)
    for stale in settings.metrics_folder.glob("*.db"):
        stale.unlink()
    os.environ[METRICS_FOLDER_VARIABLE] = str(settings.metrics_folder)


@click.command()
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=int, help="Port to listen on.")
@click.option("--workers", type=int, help="Web worker processes; 0: one per processor.")
@click.option("--threads", type=int, help="Threads of each web worker.")
@click.option("--with-worker", is_flag=True, help="Also do the background work, on this machine.")
def serve(host: str | None, port: int | None, workers: int | None, threads: int | None, with_worker: bool) -> None:
    """Answer HTTP requests."""
    chosen = {"HOST": host, "PORT": port, "WORKERS": workers, "THREADS": threads}
    given = {f"MEMBERWISE_{name}": str(value) for name, value in chosen.items() if value is not None}
    settings = operator_settings({**os.environ, **given})
    if with_worker:
        from api.supervisor import supervise

        stop_seconds = settings.graceful_seconds + 5.0
        sys.exit(supervise(["serve"], ["worker"], {**os.environ, **given}, stop_seconds))
    _one_thread_per_worker()
    _empty_metrics_folder(settings)
    from api.logs import configure_logging
    from api.wsgi import run

    configure_logging(settings.log_level)
    run(settings)


@click.command()
def worker() -> None:
    """Do the background work of the service: move exposures into the database, copy events to the event
    log.
    """
    _one_thread_per_worker()
    from api.logs import configure_logging
    from api.worker import run

    settings = operator_settings()
    configure_logging(settings.log_level)
    run(settings)


@click.command()
def compact() -> None:
    """Copy live events to the event log now, as the worker does from time to time."""
    from api.worker import compact_events
    from recommender.storage.database import open_database

    settings = operator_settings()
    done = compact_events(open_database(settings), settings, datetime.now(UTC))
    click.echo(f"{done.copied:,} events copied to {done.files} files, {done.pruned:,} pruned from the database.")


@click.command()
@click.option("--repair", is_flag=True, help="Bring the schema up to date and remove files that nothing reads.")
def doctor(repair: bool) -> None:
    """Check settings, database, keys, event log, bundle, spool, disk and clock; exit code 1 if one fails."""
    from api.doctor import State, examine

    findings = examine(operator_settings(), os.environ, datetime.now(UTC), repair)
    for finding in findings:
        click.echo(f"{finding.state:<5} {finding.subject:<10} {finding.detail}")
        if finding.advice:
            click.echo(f"{'':<16} -> {finding.advice}")
    if any(finding.state is State.FAIL for finding in findings):
        sys.exit(1)
