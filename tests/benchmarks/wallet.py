"""Redemptions beside bare inserts: a coupon per transaction, on SQLite and PostgreSQL, each write on the disk."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

from sqlalchemy.engine import Connection

from recommender.coupons.issuing import IssueRequest, issue
from recommender.coupons.ledger import check_books
from recommender.coupons.purchases import Purchase, PurchaseLine
from recommender.coupons.using import Use, lock, redeem
from recommender.coupons.wallet import Turn, WalletRules
from recommender.storage.database import Database
from recommender.storage.statements import execute
from recommender.storage.upserts import upsert
from tests.benchmarks.results import Result, Row, at_most
from tests.benchmarks.shops import say
from tests.postgres import SAFE_OPTIONS, find_binaries, run_server

COUPONS = 500
"""Redeemed in each measurement."""
THREADS = 4
MEMBERS = 200
RULES = WalletRules(breaker_redemptions=0)
NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
PURCHASE = Purchase((PurchaseLine("milk", 3, 1500), PurchaseLine("bread", 1, 500)), "s1", "pos")

_BARE = """
INSERT INTO redemptions (redemption_id, member_id, offer_id, coupon_id, campaign_id, order_id, redeemed_at, channel,
  store_id, discount_cents) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""

Work = Callable[[Connection, str], None]


def measure_wallet(folder: Path, rounds: int) -> Result:
    """Redeem on both databases, where there is a PostgreSQL server, and insert bare rows beside."""
    rows: list[Row] = []
    failures = 0
    with _databases(folder) as databases:
        for name, database in databases:
            say(f"wallet on {name}")
            _fill(database)
            for threads in (1, THREADS):
                measured = [_measure(database, f"{threads}-{number}", threads) for number in range(rounds)]
                found = {key: median(one[key] for one in measured) for key in measured[0]}
                rows.append(
                    {
                        "database": name,
                        "threads": threads,
                        "redeemed/s": found["redeem"],
                        "locked, then redeemed/s": found["two"],
                        "issued/s": found["issue"],
                        "bare inserts/s": found["bare"],
                        "share": found["redeem"] / found["bare"],
                    }
                )
            with database.read(snapshot=True) as connection:
                failures += len(check_books(connection))
    notes = (
        f"{COUPONS:,} coupons of one campaign with a budget, each in a transaction of its own that is on the disk when"
        " it ends; a basket of two lines. Bare: one row of the table redemptions per transaction. Without HTTP."
        f" Median of {rounds} rounds.",
    )
    return Result("wallet", rows, [at_most("books that do not balance", failures, 0)], notes)


@contextmanager
def _databases(folder: Path) -> Iterator[list[tuple[str, Database]]]:
    """Open an empty database of each kind."""
    place = folder / "wallet"
    place.mkdir(parents=True, exist_ok=True)
    for stale in place.glob("wallet.db*"):
        stale.unlink()
    sqlite, binaries = Database(f"sqlite:///{place / 'wallet.db'}", 60.0), find_binaries()
    sqlite.migrate()
    if binaries is None:
        say("no PostgreSQL server programs here")
        yield [("SQLite", sqlite)]
    else:
        with run_server(binaries, SAFE_OPTIONS) as server:
            server.administer("CREATE DATABASE wallet")
            postgres = Database(server.url("wallet"), 60.0)
            postgres.migrate()
            yield [("SQLite", sqlite), ("PostgreSQL", postgres)]
            postgres.dispose()
    sqlite.dispose()


def _fill(database: Database) -> None:
    campaign = {
        "campaign_id": "c1",
        "starts_at": NOW - timedelta(days=1),
        "ends_at": NOW + timedelta(days=1),
        "budget_cents": 10**12,
    }
    offer = {"offer_id": "ten", "kind": "amount_off", "value": 1000, "minimum_spend_cents": 2000, "stock": 10**9}
    with database.write() as connection:
        upsert(connection, "campaigns", [campaign], NOW)
        upsert(connection, "offers", [offer], NOW)
        upsert(connection, "members", [{"member_id": f"m{number}"} for number in range(MEMBERS)], NOW)
        items = [{"item_id": name, "category": "food", "price_cents": 1500} for name in ("milk", "bread")]
        upsert(connection, "items", items, NOW)


def _measure(database: Database, prefix: str, threads: int) -> dict[str, float]:
    """Return what was done per second of each kind."""

    def bare(connection: Connection, name: str) -> None:
        execute(connection, _BARE, (name, "m1", "ten", name, "c1", name, 0, "pos", "s1", 1000))

    def spend(connection: Connection, name: str) -> None:
        redeem(Turn(connection, RULES, NOW), Use([name], f"o-{name}", PURCHASE))

    def hold(connection: Connection, name: str) -> None:
        lock(Turn(connection, RULES, NOW), Use([name], f"o-{name}", PURCHASE))

    def settle(connection: Connection, name: str) -> None:
        redeem(Turn(connection, RULES, NOW), Use([name], f"o-{name}", None))

    def give(connection: Connection, name: str) -> None:
        issue(Turn(connection, RULES, NOW), [IssueRequest("ten", f"m{hash(name) % MEMBERS}", "c1")])

    names = [f"bare-{prefix}-{number}" for number in range(COUPONS)]
    found = {"bare": _per_second(database, names, bare, threads), "issue": _per_second(database, names, give, threads)}
    found["redeem"] = _per_second(database, _coupons(database), spend, threads)
    held = _coupons(database)
    first, second = _per_second(database, held, hold, threads), _per_second(database, held, settle, threads)
    found["two"] = 1.0 / (1.0 / first + 1.0 / second)
    return found


def _coupons(database: Database) -> list[str]:
    """Issue coupons; return their ids."""
    with database.write() as connection:
        requests = [IssueRequest("ten", f"m{number % MEMBERS}", "c1") for number in range(COUPONS)]
        outcomes = issue(Turn(connection, RULES, NOW), requests)
    return [one.coupon_id for one in outcomes if one.coupon_id is not None]


def _per_second(database: Database, names: Sequence[str], work: Work, threads: int) -> float:
    """Do some work once per name, each in a transaction of its own, from several threads."""

    def run(part: Sequence[str]) -> None:
        for name in part:
            with database.write(durable=True) as connection:
                work(connection, name)

    parts = [names[number::threads] for number in range(threads)]
    workers = [threading.Thread(target=run, args=(part,)) for part in parts]
    began = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return len(names) / (time.perf_counter() - began)
