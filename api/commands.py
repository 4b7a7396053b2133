"""The commands an operator runs: serve, worker, keys, compact, doctor. Imports what a command needs when it
runs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from api.settings import ServiceSettings

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")

COMMAND_LINE = "command line"
"""Who is named in the audit trail for what an operator does."""


def _settings(environ: Mapping[str, str] | None = None) -> ServiceSettings:
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
    settings = _settings({**os.environ, **given})
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

    settings = _settings()
    configure_logging(settings.log_level)
    run(settings)


@click.group()
def keys() -> None:
    """Create, list and revoke API keys."""


@keys.command("create")
@click.argument("name")
@click.option("--scopes", required=True, help="What the key may do: names of SCOPES, with commas.")
@click.option("--days", type=click.IntRange(1), help="The key ends after so many days; never if left out.")
def create_command(name: str, scopes: str, days: int | None) -> None:
    """Make a key called NAME and print it once: it is kept nowhere and cannot be shown again.

    SCOPES are recommend, events, catalog, coupons, campaigns, models; admin may do everything.
    """
    from api.auth import parse_scopes
    from recommender.storage.audit import record
    from recommender.storage.database import open_database
    from recommender.storage.keys import create_key

    wanted = parse_scopes(scopes)
    now = datetime.now(UTC)
    expires_at = None if days is None else now + timedelta(days=days)
    with open_database(_settings()).write(durable=True) as connection:
        key = create_key(connection, name, wanted, now, expires_at)
        record(connection, COMMAND_LINE, "keys.create", key.key_id, now)
    click.echo(f"Key {key.key_id} for {name}: {', '.join(sorted(wanted))}. Keep it; it is not shown again:", err=True)
    click.echo(key.token)


@keys.command("list")
def list_command() -> None:
    """List all keys: id, name, scopes, state; never the keys themselves."""
    from recommender.storage.database import open_database
    from recommender.storage.keys import list_keys

    now = datetime.now(UTC)
    with open_database(_settings()).read() as connection:
        entries = list_keys(connection)
    for entry in entries:
        ended = entry.expires_at is not None and entry.expires_at <= now
        state = "revoked" if entry.revoked_at is not None else "expired" if ended else "valid"
        until = f" until {entry.expires_at:%Y-%m-%d}" if entry.expires_at is not None and not ended else ""
        created = f"{entry.created_at:%Y-%m-%d}"
        click.echo(f"{entry.key_id}  {state + until:<24}  {created}  {entry.name}  {','.join(entry.scopes)}")
    if not entries:
        click.echo("No keys yet: `memberwise keys create NAME --scopes recommend,events` makes one.", err=True)


@keys.command("revoke")
@click.argument("key_id")
def revoke_command(key_id: str) -> None:
    """End the key KEY_ID; it stops working within a second."""
    from recommender.storage.audit import record
    from recommender.storage.database import open_database
    from recommender.storage.keys import revoke_key

    now = datetime.now(UTC)
    with open_database(_settings()).write(durable=True) as connection:
        revoke_key(connection, key_id, now)
        record(connection, COMMAND_LINE, "keys.revoke", key_id, now)
    click.echo(f"Key {key_id} is revoked.")


@click.command()
def compact() -> None:
    """Copy live events to the event log now, as the worker does from time to time."""
    from api.worker import compact_events
    from recommender.storage.database import open_database

    settings = _settings()
    done = compact_events(open_database(settings), settings, datetime.now(UTC))
    click.echo(f"{done.copied:,} events copied to {done.files} files, {done.pruned:,} pruned from the database.")


@click.command()
@click.option("--repair", is_flag=True, help="Bring the schema up to date and remove files that nothing reads.")
def doctor(repair: bool) -> None:
    """Check settings, database, keys, event log, bundle, spool, disk and clock; exit code 1 if one fails."""
    from api.doctor import State, examine

    findings = examine(_settings(), os.environ, datetime.now(UTC), repair)
    for finding in findings:
        click.echo(f"{finding.state:<5} {finding.subject:<10} {finding.detail}")
        if finding.advice:
            click.echo(f"{'':<16} -> {finding.advice}")
    if any(finding.state is State.FAIL for finding in findings):
        sys.exit(1)
