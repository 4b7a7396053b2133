"""`memberwise coupons`: list, show, void, import, reconcile, balance, secret."""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from api.commands import operator_settings
from api.key_commands import COMMAND_LINE

if TYPE_CHECKING:
    from recommender.coupons.reconcile import Difference
    from recommender.coupons.wallet import Coupon

CHUNK_ROWS = 200
"""Rows of a file recorded in one transaction."""


@click.group()
def coupons() -> None:
    """Look after coupons."""


@coupons.command("list")
@click.option("--member", "member_id", help="Of this member.")
@click.option("--offer", "offer_id", help="Of this offer.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=100, show_default=True)
def list_coupons(member_id: str | None, offer_id: str | None, limit: int) -> None:
    """List coupons, the last issued first."""
    from recommender.coupons.coupon_rows import select_coupons
    from recommender.storage.database import open_database

    chosen = [(name, value) for name, value in (("member_id", member_id), ("offer_id", offer_id)) if value is not None]
    where = " AND ".join(f"{name} = ?" for name, _ in chosen) or "1 = 1"
    with open_database(operator_settings()).read() as connection:
        values = [*(value for _, value in chosen), limit]
        for one in select_coupons(connection, f"{where} ORDER BY issued_at DESC, coupon_id LIMIT ?", values):
            click.echo(_line(one))


@coupons.command()
@click.argument("coupon_id")
def show(coupon_id: str) -> None:
    """Show one coupon and everything that happened to it."""
    from recommender.coupons.coupon_rows import read_coupons
    from recommender.coupons.ledger import read_ledger
    from recommender.errors import NotFoundError
    from recommender.storage.database import open_database

    with open_database(operator_settings()).read(snapshot=True) as connection:
        found = read_coupons(connection, [coupon_id]).get(coupon_id)
        lines = read_ledger(connection, coupon_id)
    if found is None and not lines:
        raise NotFoundError("There is no such coupon.", field="coupon_id", value=coupon_id)
    if found is not None:
        click.echo(_line(found))
    for line in lines:
        money = f"reserved {line.reserved_cents:+} spent {line.spent_cents:+}"
        rest = " ".join(part for part in (line.order_id, line.request_no, line.store_id, line.details) if part)
        click.echo(f"{line.at:%Y-%m-%d %H:%M:%S}  {line.entry:<14} {money}  {line.caller}  {rest}")


@coupons.command()
def secret() -> None:
    """Make a secret that another system signs `POST /v1/coupons:status` with, and print it once.

    It counts beside those there are already; take out of the file those that should not count any more.
    """
    from recommender.coupons.following import secrets_file
    from recommender.webhook_signature import add_secret

    path = secrets_file(operator_settings())
    made = add_secret(path)
    click.echo(f"A secret was added to {path}. Keep it; it is not shown again:", err=True)
    click.echo(made)


@coupons.command()
@click.argument("coupon_ids", nargs=-1, required=True)
@click.option("--reason", required=True, help="Kept in the ledger and in the audit.")
def void(coupon_ids: tuple[str, ...], reason: str) -> None:
    """Withdraw coupons; exit code 1 if one is refused."""
    from recommender.coupons.undoing import void as void_coupons
    from recommender.coupons.wallet import Turn, WalletRules
    from recommender.storage.audit import record
    from recommender.storage.database import open_database

    now = datetime.now(UTC)
    with open_database(operator_settings()).write(durable=True) as connection:
        turn = Turn(connection, WalletRules(), now, COMMAND_LINE)
        outcomes = void_coupons(turn, list(dict.fromkeys(coupon_ids)), reason)
        record(connection, COMMAND_LINE, "coupons.void", "", now, None)
    for one in outcomes:
        click.echo(f"{one.coupon_id}  {'voided' if one.refused is None else one.refused.reason}")
    if any(one.refused is not None for one in outcomes):
        sys.exit(1)


@coupons.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def import_redemptions(file: Path) -> None:
    """Take in redemptions from tills that were offline: a CSV file, each line once.

    Columns: redemption_id, coupon_id, order_id, discount_cents, redeemed_at; store_id and channel if known. What went
    too far is recorded as a breach and listed; exit code 1 then.
    """
    from api.coupon_rules import wallet_rules
    from recommender.coupons.offline import record_offline
    from recommender.coupons.settlement_file import read_offline
    from recommender.coupons.wallet import Turn
    from recommender.storage.audit import count
    from recommender.storage.database import open_database

    settings, now = operator_settings(), datetime.now(UTC)
    rules = wallet_rules(settings)
    rows = read_offline(file, settings.zone)
    database, done = open_database(settings), []
    for start in range(0, len(rows), CHUNK_ROWS):
        with database.write(durable=True) as connection:
            turn = Turn(connection, rules, now, COMMAND_LINE)
            done += record_offline(turn, rows[start : start + CHUNK_ROWS])
            count(connection, COMMAND_LINE, "coupons.import", len(rows[start : start + CHUNK_ROWS]), now)
    breaches = [one for one in done if one.breaches]
    for one in breaches:
        click.echo(f"{one.redemption_id}  {', '.join(one.breaches)}")
    repeated = sum(one.repeated for one in done)
    click.echo(
        f"{len(done) - repeated} redemptions recorded, {repeated} known before, {len(breaches)} breaches.", err=True
    )
    if breaches:
        sys.exit(1)


@coupons.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--from", "since", type=click.DateTime(), help="Redemptions from here on; the first day of the file.")
@click.option("--until", type=click.DateTime(), help="Redemptions before; the day after the last of the file.")
@click.option("--store", "stores", multiple=True, help="Only of these stores; by default those the file names.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the differences as CSV.")
def reconcile(
    file: Path, since: datetime | None, until: datetime | None, stores: tuple[str, ...], out: Path | None
) -> None:
    """Compare a till's settlement file (CSV) with the wallet and list every difference; exit code 1 if there is one.

    Columns: coupon_id, order_id, discount_cents, redeemed_at; store_id if known.
    """
    from recommender.coupons.reconcile import named_coupons, redemptions_between
    from recommender.coupons.reconcile import reconcile as compare
    from recommender.coupons.settlement_file import read_settlement
    from recommender.storage.database import open_database

    settings = operator_settings()
    settled = read_settlement(file, settings.zone)
    days = [one.redeemed_at.astimezone(settings.zone).date() for one in settled] or [datetime.now(settings.zone).date()]
    midnight = datetime.min.time()
    start = since or datetime.combine(min(days), midnight)
    end = until or datetime.combine(max(days) + timedelta(days=1), midnight)
    start, end = (time if time.tzinfo else time.replace(tzinfo=settings.zone) for time in (start, end))
    named = frozenset(stores) or frozenset(one.store_id for one in settled if one.store_id)
    with open_database(settings).read(snapshot=True) as connection:
        redeemed = redemptions_between(connection, start, end, named)
        found = compare(settled, redeemed, named_coupons(connection, settled))
    _write_differences(found, out)
    total = sum(one.cents for one in found)
    click.echo(
        f"{len(settled)} lines settled, {len(redeemed)} redemptions here, {len(found)} differences"
        f" ({total:+} cents settled more than granted).",
        err=True,
    )
    if found:
        sys.exit(1)


@coupons.command()
def balance() -> None:
    """Check that the books balance, and show how many coupons are in each state; exit code 1 if they do not."""
    from recommender.coupons.ledger import check_books, count_breaches, count_states
    from recommender.coupons.supervision import frozen_offers
    from recommender.storage.database import open_database

    with open_database(operator_settings()).read(snapshot=True) as connection:
        wrong = check_books(connection)
        states, breaches = count_states(connection), count_breaches(connection)
        frozen = frozen_offers(connection)
    click.echo("  ".join(f"{status} {number}" for status, number in states.items()) + f"  breaches {breaches}")
    for offer_id, reason in frozen:
        click.echo(f"frozen: {offer_id}  {reason}")
    for one in wrong:
        click.echo(f"wrong: {one}")
    click.echo("The books do not balance." if wrong else "The books balance.", err=True)
    if wrong:
        sys.exit(1)


def _line(one: Coupon) -> str:
    expires = "never" if one.expires_at is None else f"{one.expires_at:%Y-%m-%d %H:%M}"
    order = "" if one.order_id is None else f"  order {one.order_id} {one.discount_cents} cents"
    return (
        f"{one.coupon_id}  {one.status:<8}  offer {one.offer_id}  member {one.member_id}  issued"
        f" {one.issued_at:%Y-%m-%d %H:%M}  expires {expires}{order}"
    )


def _write_differences(found: Sequence[Difference], out: Path | None) -> None:
    names = ("kind", "coupon_id", "status", "till_order_id", "till_cents", "order_id", "cents", "store_id")
    with click.open_file(str(out) if out else "-", "w", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        for one in found:
            there, here = one.settled, one.redeemed
            writer.writerow(
                [
                    *(one.kind, one.coupon_id, one.status or ""),
                    *(("", "") if there is None else (there.order_id, there.discount_cents)),
                    *(("", "") if here is None else (here.order_id, here.discount_cents)),
                    (there or here).store_id if there or here else "",  # type: ignore[union-attr]
                ]
            )
