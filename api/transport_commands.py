"""`memberwise transports`: list, put, rotate."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import click
import orjson

from api.commands import operator_settings
from api.key_commands import COMMAND_LINE


@click.group()
def transports() -> None:
    """Ways out for messages of campaigns."""


@transports.command("list")
def list_command() -> None:
    """List all transports with their settings; secrets are not among them."""
    from recommender.campaigns.transports import list_transports
    from recommender.storage.database import open_database

    with open_database(operator_settings()).read() as connection:
        for one in list_transports(connection):
            settings = orjson.dumps(one.document, option=orjson.OPT_SORT_KEYS).decode()
            click.echo(f"{one.name:<20} {one.kind:<10} {'active' if one.active else 'off':<7} {settings}")


@transports.command()
@click.argument("name")
@click.option("--kind", required=True, help="webhook, file, sms, app_push, wechat or wecom.")
@click.option(
    "--set", "pairs", multiple=True, help="FIELD=VALUE; JSON where it is JSON, else text. Any number of them."
)
@click.option("--off", is_flag=True, help="Let nothing leave by it.")
def put(name: str, kind: str, pairs: Sequence[str], off: bool) -> None:
    """Make or change the transport NAME; its settings are replaced by those given."""
    from recommender.campaigns.transports import put_transport
    from recommender.storage.database import open_database

    document = dict(map(_pair, pairs))
    with open_database(operator_settings()).write(durable=True) as connection:
        made = put_transport(connection, name, kind, document, not off, COMMAND_LINE, datetime.now(UTC))
    click.echo(f"{made.name}: {made.kind}, {'active' if made.active else 'off'}")


@transports.command()
@click.argument("name")
@click.option("--inbound", is_flag=True, help="A secret that callbacks are signed with, in place of what is sent.")
def rotate(name: str, inbound: bool) -> None:
    """Make a secret of the transport NAME beside those it has, and print it once.

    Older ones count until they are taken out of the file, whose place is told.
    """
    from recommender.campaigns.delivery.keyring import INBOUND, OUTBOUND, Keyring
    from recommender.campaigns.transports import get_transport
    from recommender.storage.audit import record
    from recommender.storage.database import open_database

    settings, now = operator_settings(), datetime.now(UTC)
    keyring, use = Keyring(settings.home), INBOUND if inbound else OUTBOUND
    with open_database(settings).write(durable=True) as connection:
        get_transport(connection, name)
        secret = keyring.add(name, use)
        record(connection, COMMAND_LINE, "transports.rotate", name, now, orjson.dumps({"use": use}).decode())
    click.echo(
        f"Added to {keyring.path(name, use)}. Give it to the other side; older ones count until removed:", err=True
    )
    click.echo(secret)


def _pair(text: str) -> tuple[str, Any]:
    name, found, value = text.partition("=")
    if not found or not name:
        raise click.BadParameter(f"{text!r} is not FIELD=VALUE.", param_hint="--set")
    try:
        return name, orjson.loads(value)
    except orjson.JSONDecodeError:
        return name, value
