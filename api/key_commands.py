"""`memberwise keys`: API keys in the database, and the keys that verify member tokens, in a file."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from api.commands import operator_settings

COMMAND_LINE = "command line"
"""Who is named in the audit trail for what an operator does."""

_days = click.option("--days", type=click.IntRange(1), help="The key ends after so many days; never if left out.")


@click.group()
def keys() -> None:
    """Create, rotate, list and revoke keys."""


@keys.command("create")
@click.argument("name")
@click.option("--scopes", required=True, help="What the key may do: names of SCOPES, with commas.")
@_days
@click.option(
    "--rate", type=click.FloatRange(0), help="Requests per second; 0: any number. Left out: as the settings say."
)
def create_command(name: str, scopes: str, days: int | None, rate: float | None) -> None:
    """Make a key called NAME and print it once: it is kept nowhere and cannot be shown again.

    SCOPES are recommend, events, catalog, coupons, campaigns, models; admin may do everything.
    """
    from api.auth import parse_scopes
    from recommender.storage.audit import record
    from recommender.storage.database import open_database
    from recommender.storage.keys import create_key

    wanted = parse_scopes(scopes)
    now = datetime.now(UTC)
    with open_database(operator_settings()).write(durable=True) as connection:
        key = create_key(connection, name, wanted, now, _end(now, days), rate)
        record(connection, COMMAND_LINE, "keys.create", key.key_id, now)
    click.echo(f"Key {key.key_id} for {name}: {', '.join(sorted(wanted))}. Keep it; it is not shown again:", err=True)
    click.echo(key.token)


@keys.command("rotate")
@click.argument("key_id")
@click.option(
    "--overlap-hours",
    type=click.FloatRange(0),
    default=24.0,
    show_default=True,
    help="How long the old key works beside the new one.",
)
@_days
def rotate_command(key_id: str, overlap_hours: float, days: int | None) -> None:
    """Make a key in place of KEY_ID, with its name, scopes and rate, and print it once; the old one ends later."""
    from recommender.storage.audit import record
    from recommender.storage.database import open_database
    from recommender.storage.keys import rotate_key

    now = datetime.now(UTC)
    overlap = timedelta(hours=overlap_hours)
    with open_database(operator_settings()).write(durable=True) as connection:
        key = rotate_key(connection, key_id, overlap, now, _end(now, days))
        record(connection, COMMAND_LINE, "keys.rotate", f"{key_id} > {key.key_id}", now)
    ends = f"{now + overlap:%Y-%m-%d %H:%M} UTC"
    click.echo(f"Key {key.key_id} takes the place of {key_id}, which ends on {ends} at the latest:", err=True)
    click.echo(key.token)


@keys.command("list")
def list_command() -> None:
    """List all keys: id, name, scopes, state; never the keys themselves."""
    from recommender.storage.database import open_database
    from recommender.storage.keys import list_keys

    now = datetime.now(UTC)
    with open_database(operator_settings()).read() as connection:
        entries = list_keys(connection)
    for entry in entries:
        ended = entry.expires_at is not None and entry.expires_at <= now
        state = "revoked" if entry.revoked_at is not None else "expired" if ended else "valid"
        until = f" until {entry.expires_at:%Y-%m-%d}" if entry.expires_at is not None and not ended else ""
        created = f"{entry.created_at:%Y-%m-%d}"
        rate = "" if entry.rate_limit is None else f"  {entry.rate_limit:g}/s"
        click.echo(f"{entry.key_id}  {state + until:<24}  {created}  {entry.name}  {','.join(entry.scopes)}{rate}")
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
    with open_database(operator_settings()).write(durable=True) as connection:
        revoke_key(connection, key_id, now)
        record(connection, COMMAND_LINE, "keys.revoke", key_id, now)
    click.echo(f"Key {key_id} is revoked.")


@keys.group("tokens")
def tokens() -> None:
    """The keys that verify member tokens: several at once, so that they can be replaced without a gap."""


@tokens.command("create")
@click.argument("kid")
def create_secret_command(kid: str) -> None:
    """Make a shared secret for HS256 under the id KID and print it once, in base64url."""
    from api.member_tokens import add_secret

    secret = add_secret(operator_settings().jwt_keys_file, kid)
    _note("tokens.create", kid)
    click.echo(f"Sign member tokens with HS256, kid {kid}, and this secret; it is not shown again:", err=True)
    click.echo(secret)


@tokens.command("add")
@click.argument("kid")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def add_public_key_command(kid: str, file: Path) -> None:
    """Take tokens signed with RS256 whose public key is in FILE (PEM), under the id KID."""
    from api.member_tokens import add_public_key

    add_public_key(operator_settings().jwt_keys_file, kid, file.read_bytes())
    _note("tokens.add", kid)
    click.echo(f"Tokens signed with RS256 and kid {kid} are taken from now on.")


@tokens.command("list")
def list_tokens_command() -> None:
    """List the keys that verify member tokens: id, algorithm, end; never the secrets."""
    from api.member_tokens import read_keys

    now = datetime.now(UTC)
    for key in read_keys(operator_settings().jwt_keys_file):
        ended = key.until is not None and key.until <= now
        until = "" if key.until is None else f"{'ended' if ended else 'until'} {key.until:%Y-%m-%d %H:%M} UTC"
        click.echo(f"{key.kid}  {key.algorithm}  {until}".rstrip())


@tokens.command("retire")
@click.argument("kid")
@click.option(
    "--overlap-hours",
    type=click.FloatRange(0),
    default=24.0,
    show_default=True,
    help="How long its tokens are still taken; 0: they are refused within seconds.",
)
def retire_command(kid: str, overlap_hours: float) -> None:
    """End the key KID: tokens that it signed are refused after the overlap."""
    from api.member_tokens import retire_key

    until = datetime.now(UTC) + timedelta(hours=overlap_hours)
    retire_key(operator_settings().jwt_keys_file, kid, until)
    _note("tokens.retire", kid)
    click.echo(f"Tokens signed by {kid} are taken until {until:%Y-%m-%d %H:%M} UTC.")


def _note(action: str, target: str) -> None:
    """Write to the audit trail what an operator did."""
    from recommender.storage.audit import record
    from recommender.storage.database import open_database

    with open_database(operator_settings()).write(durable=True) as connection:
        record(connection, COMMAND_LINE, action, target, datetime.now(UTC))


def _end(now: datetime, days: int | None) -> datetime | None:
    return None if days is None else now + timedelta(days=days)
