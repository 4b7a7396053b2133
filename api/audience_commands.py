"""`memberwise audiences`: preview, save, list, upload, refresh."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import orjson

from api.commands import operator_settings
from api.key_commands import COMMAND_LINE

if TYPE_CHECKING:
    from recommender.bundle import Bundle
    from recommender.settings import CoreSettings

CHUNK_ROWS = 5_000
"""Members of a list written in one transaction."""


@click.group()
def audiences() -> None:
    """Whom campaigns may reach."""


@audiences.command()
@click.argument("file", required=False, type=click.File("rb"))
@click.option("--audience", "audience_id", help="A saved audience in place of a file.")
@click.option("--purpose", default="push", show_default=True, help="Of the consent that is needed; '': none is.")
@click.option("--channel", help="Of the consent.")
@click.option("--sample", type=click.IntRange(0, 100), default=10, show_default=True, help="Members shown.")
@click.option("--language", type=click.Choice(["en", "zh"]), default="en", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def preview(
    file: Any, audience_id: str | None, purpose: str, channel: str | None, sample: int, language: str, as_json: bool
) -> None:
    """Count and sample an audience: an expression in a JSON FILE ("-": standard input), or everybody."""
    from api.audiences import Desk, Question
    from api.delivery_rules import installed_caps
    from recommender.campaigns.live_features import LiveFeatures
    from recommender.storage.database import open_database

    settings = operator_settings()
    expression = None if file is None else _json(file.read())
    asked = Question(expression, audience_id, purpose or None, channel, installed_caps(settings), sample, language)
    database = open_database(settings)
    with database.read(snapshot=True) as connection:
        desk = Desk(LiveFeatures(settings.home), settings, _promoted(settings))
        found: Any = desk.preview(connection, asked, datetime.now(UTC))
    database.dispose()
    if as_json:
        click.echo(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode())
    else:
        _show(found)


@audiences.command()
@click.argument("audience_id")
@click.argument("file", type=click.File("rb"))
@click.option("--name", default="", help="What it is called.")
def save(audience_id: str, file: Any, name: str) -> None:
    """Save an expression in a JSON FILE as a new version of an audience."""
    from recommender.campaigns.audience_store import save_audience
    from recommender.ids import check_id
    from recommender.storage.audit import record
    from recommender.storage.database import open_database

    expression, now = _json(file.read()), datetime.now(UTC)
    database = open_database(operator_settings())
    with database.write(durable=True) as connection:
        saved = save_audience(connection, check_id(audience_id), name, expression, COMMAND_LINE, now)
        record(connection, COMMAND_LINE, "audiences.save", audience_id, now)
    database.dispose()
    click.echo(f"{saved.audience_id}  version {saved.version}")


@audiences.command("list")
def list_all() -> None:
    """List saved audiences and uploaded lists."""
    from recommender.campaigns.audience_store import list_audiences
    from recommender.campaigns.card_lists import all_lists
    from recommender.storage.database import open_database

    with open_database(operator_settings()).read() as connection:
        saved, lists = list_audiences(connection), all_lists(connection)
    for one in saved:
        click.echo(f"audience   {one.audience_id}  version {one.version}  {one.created_at:%Y-%m-%d %H:%M}  {one.name}")
    for entry in lists:
        told = f"{entry.rows:,} rows, {entry.unknown:,} unknown"
        click.echo(f"card list  {entry.list_id}  {told}  {entry.created_at:%Y-%m-%d %H:%M}  {entry.name}")


@audiences.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--id", "list_id", help="Of the list; without it one is made.")
@click.option("--name", default="", help="What it is called.")
@click.option("--namespace", help="Of the identities, such as card or phone; member: member ids.")
@click.option("--column", help="Heading of the column; without it, the first whose heading says what it holds.")
@click.option("--unknown", type=click.Path(dir_okay=False, path_type=Path), help="Write rows that name nobody: CSV.")
def upload(
    file: Path, list_id: str | None, name: str, namespace: str | None, column: str | None, unknown: Path | None
) -> None:
    """Take in a list of members: CSV in UTF-8 or GB18030, or an .xlsx spreadsheet."""
    from recommender.campaigns.card_files import read_cards
    from recommender.campaigns.card_lists import CardList, add_members, resolve_cards, save_list
    from recommender.ids import check_id
    from recommender.storage.audit import record
    from recommender.storage.database import open_database
    from recommender.storage.hashing import read_hash_key

    settings, now = operator_settings(), datetime.now(UTC)
    cards = read_cards(file.read_bytes(), namespace, column)
    chosen = check_id(list_id or f"list-{secrets.token_hex(8)}")
    database = open_database(settings)
    with database.read(snapshot=True) as connection:
        resolved = resolve_cards(connection, cards, read_hash_key(settings))
    saved = CardList(chosen, name, resolved.rows, len(resolved.unresolved), now, COMMAND_LINE)
    members = resolved.members
    with database.write(durable=True) as connection:
        save_list(connection, saved, members[:CHUNK_ROWS])
        record(connection, COMMAND_LINE, "audiences.upload", chosen, now)
    for start in range(CHUNK_ROWS, len(members), CHUNK_ROWS):
        with database.write(durable=True) as connection:
            add_members(connection, chosen, members[start : start + CHUNK_ROWS], now)
    database.dispose()
    click.echo(f"{chosen}  {resolved.rows:,} rows of {cards.namespace}, {len(members):,} members")
    click.echo("  ".join(f"{reason} {count:,}" for reason, count in resolved.counts().items()), err=True)
    if unknown is not None:
        lines = "".join(f"{row.line},{row.reason}\n" for row in resolved.unresolved)
        unknown.write_text("line,reason\n" + lines, "utf-8")


@audiences.command()
@click.option("--quiet", is_flag=True, help="Print nothing, and do nothing while another process is at it.")
def refresh(quiet: bool) -> None:
    """Make the features that audiences are found by anew, as the worker does from time to time."""
    from recommender.campaigns.feature_refresh import refresh_features
    from recommender.storage.database import open_database

    settings = operator_settings()
    done = refresh_features(open_database(settings), settings, datetime.now(UTC), wait=not quiet)
    if done is not None and not quiet:
        click.echo(f"{done.members:,} members, {done.orders:,} orders, {done.acts:,} rows of acts.")


def _json(content: bytes) -> Any:
    from recommender.errors import InputError

    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise InputError(f"The expression is not JSON: {error}.", field="file") from error


def _promoted(settings: CoreSettings) -> Bundle | None:
    from recommender.registry import Registry

    registry = Registry(settings.models)
    bundle_id = registry.current_id()
    return None if bundle_id is None else registry.open(bundle_id)


def _show(found: Mapping[str, Any]) -> None:
    click.echo(f"{found['count']:,} members in {found['units']:,} households; {found['matched']:,} match")
    for reason, count in found["left_out"].items():
        if count:
            click.echo(f"  left out: {reason:<11} {count:,}")
    for part in found["parts"]:
        click.echo(f"  {part['path']:<24} {part['matched']:,}")
    for one in found["sample"]:
        told = (f"{name} {value}" for name, value in one.items() if name != "member_id" and value is not None)
        click.echo(f"  {one['member_id']}  {'  '.join(told)}")
    for note in found["notes"]:
        click.echo(note["text"], err=True)
