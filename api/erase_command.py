"""`memberwise erase`: erase members, carry erasures through in log and bundles, and show what was done."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from api.commands import operator_settings
from api.key_commands import COMMAND_LINE

if TYPE_CHECKING:
    from api.settings import ServiceSettings
    from recommender.storage.database import Database


@click.command()
@click.option("--member", "member_ids", multiple=True, help="Erase this member; may be given again.")
@click.option(
    "--apply",
    "apply_now",
    is_flag=True,
    help="Write the event log anew without erased members, and remove bundles trained before them.",
)
@click.option("--proof", "proof_of", help="Show one erasure, by its id or by the member id.")
def erase(member_ids: tuple[str, ...], apply_now: bool, proof_of: str | None) -> None:
    """Erase members and prove it: prints what was done as JSON, one erasure a line.

    Without options, lists erasures that are not finished. Exit code 1: with --apply, some still wait.
    """
    from api.worker import drain_spool
    from recommender.erasing import apply_erasures
    from recommender.storage.audit import record
    from recommender.storage.database import open_database
    from recommender.storage.erasure import purge_books, request_erasure, sweep
    from recommender.storage.event_log import open_event_log
    from recommender.storage.hashing import read_hash_key

    settings, now = operator_settings(), datetime.now(UTC)
    database, key = open_database(settings), read_hash_key(settings)
    for member_id in member_ids:
        with database.write(durable=True) as connection:
            erasure = request_erasure(connection, member_id, COMMAND_LINE, key, now)
            record(connection, COMMAND_LINE, "erase", erasure.erasure_id, now)
        _show(sweep(database, erasure, now).erasure_id)
    if apply_now:
        drain_spool(database, settings.spool_folder)
        done = apply_erasures(database, open_event_log(settings), settings.models, now)
        plans, renewed = _forget(database, settings, now)
        purged = purge_books(database, settings.books_days, now)
        for erasure_id in done.finished:
            _show(erasure_id)
        click.echo(
            f"{len(done.finished)} erasures finished; {done.files} files of the event log written anew,"
            f" {len(done.bundles)} bundles, {plans} kept plans of offers and {purged} rows of old books removed"
            f"{'; features of members made anew' if renewed else ''}.",
            err=True,
        )
        if done.waiting:
            click.echo(done.waiting, err=True)
            sys.exit(1)
    elif proof_of is not None:
        _show(proof_of)
    elif not member_ids:
        _list()


def _forget(database: Database, settings: ServiceSettings, now: datetime) -> tuple[int, bool]:
    """Clear what names the erased beside tables, log and bundles.

    Returns: how many kept plans were removed; whether features of members were made anew.
    """
    from recommender.campaigns.feature_refresh import renew_without_erased
    from recommender.campaigns.unnaming import unname_erased
    from recommender.coupons.kept_plans import remove_plans_of_erased

    with database.read() as connection:
        plans = remove_plans_of_erased(connection, settings.home)
    unname_erased(database)
    return plans, renew_without_erased(database, settings, now)


def _show(name: str) -> None:
    """Print the proof of an erasure, found by its id or its member's. Raises: NotFoundError."""
    from recommender.erasing import proof_document
    from recommender.errors import NotFoundError
    from recommender.storage.database import open_database
    from recommender.storage.erasure import find_erasure, list_erasures

    with open_database(operator_settings()).read() as connection:
        named = [one for one in list_erasures(connection) if one.erasure_id == name]
        found = named[0] if named else find_erasure(connection, name)
    if found is None:
        raise NotFoundError("There is no such erasure.")
    click.echo(json.dumps(proof_document(found), ensure_ascii=False))


def _list() -> None:
    from recommender.storage.database import open_database
    from recommender.storage.erasure import list_erasures

    with open_database(operator_settings()).read() as connection:
        waiting = list_erasures(connection, unfinished=True)
    for one in waiting:
        click.echo(f"{one.erasure_id}  {one.requested_at:%Y-%m-%d %H:%M} UTC  {one.requested_by}")
    if not waiting:
        click.echo("Every erasure is finished.", err=True)
