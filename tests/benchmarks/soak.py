"""Soak: hours in minutes. Mixed reads and writes, a promotion, a rollback and a killed worker; every answer is checked.

`python -m tests.benchmarks soak --minutes 10` prints what was asked, what came back, and what was wrong with it.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import click

from recommender.registry import Registry
from recommender.settings import CoreSettings
from recommender.storage.database import Database
from recommender.storage.statements import fetch
from tests.benchmarks.choices import retail_options, workspace
from tests.benchmarks.measure import memberwise, run_measured
from tests.benchmarks.questions import Questions
from tests.benchmarks.results import Figure, Result, Row, at_most
from tests.benchmarks.servers import run_beside, run_server
from tests.benchmarks.shops import Shop, retail_shop, say
from tests.benchmarks.site import SCOPES, WORKERS, describe_machine
from tests.benchmarks.soak_people import Ledger, Reader, Writer

READERS = 4
WRITERS = 2
PROMOTION, ROLLBACK, KILL = 0.25, 0.5, 0.75
"""When they happen, as shares of the time."""
SECOND_SEED = 8
THREADS = 4


def run_soak(shop: Shop, minutes: float) -> Result:
    """Serve a trained shop to readers and writers for a time and say what was wrong.

    Raises: FailedRunError if the service does not start.
    """
    assert shop.trained
    registry = Registry(shop.folder / "models")
    first, second = _two_bundles(shop, registry)
    environ = {**shop.environ, "MEMBERWISE_WORKERS": str(WORKERS), "MEMBERWISE_THREADS": str(THREADS)}
    key = run_measured(memberwise("keys", "create", "soak", "--scopes", SCOPES), environ, shop.folder).output.strip()
    ledger = Ledger()
    log = shop.folder / "soak.log"
    with ExitStack() as running:
        running.enter_context(run_beside(memberwise("worker"), environ, shop.folder / "soak-worker.log"))
        service = running.enter_context(run_server(memberwise("serve"), environ, "/readyz", log))
        questions = Questions(shop, key)
        people: list[Reader | Writer] = [Reader(service.port, questions, ledger, number) for number in range(READERS)]
        people += [Writer(service.port, questions, ledger, number, WRITERS) for number in range(WRITERS)]
        happenings = (
            (PROMOTION, "a promotion", lambda: registry.promote(second, datetime.now(UTC))),
            (ROLLBACK, "a rollback", lambda: registry.rollback(datetime.now(UTC))),
            (KILL, "a killed worker", lambda: os.kill(service.workers()[0], signal.SIGKILL)),
        )
        _live(people, happenings, minutes * 60, ledger)
    missing = _missing_exposures(shop, environ, ledger)
    return _result(shop, minutes, ledger, missing, {first, second})


def _two_bundles(shop: Shop, registry: Registry) -> tuple[str, str]:
    """Return the promoted bundle, and another one, trained now if there is none."""
    first = registry.current_id()
    assert first is not None
    others = [entry.bundle_id for entry in registry.list() if entry.bundle_id != first]
    if not others:
        say("training a second bundle")
        run_measured(memberwise("train", "--no-promote", "--seed", str(SECOND_SEED)), shop.environ, shop.folder)
        others = [entry.bundle_id for entry in registry.list() if entry.bundle_id != first]
    return first, others[0]


def _live(
    people: Sequence[Reader | Writer],
    happenings: Sequence[tuple[float, str, Callable[[], object]]],
    seconds: float,
    ledger: Ledger,
) -> None:
    """Let people come and go, and things happen at their time."""
    stop = threading.Event()
    threads = [threading.Thread(target=person.live, args=(stop,)) for person in people]
    for thread in threads:
        thread.start()
    began = time.monotonic()
    for share, name, happen in happenings:
        time.sleep(max(began + share * seconds - time.monotonic(), 0.0))
        say(f"{name} after {time.monotonic() - began:.0f} s, {sum(ledger.asked.values()):,} requests so far")
        happen()
    time.sleep(max(began + seconds - time.monotonic(), 0.0))
    stop.set()
    for thread in threads:
        thread.join()


def _missing_exposures(shop: Shop, environ: dict[str, str], ledger: Ledger) -> int:
    """Move what is left in the spool, and count the slates that were answered and are not recorded."""
    run_measured([sys.executable, "-c", _DRAIN], environ, shop.folder)
    database = Database(CoreSettings(home=Path(environ["MEMBERWISE_HOME"])).database)
    with database.read() as connection:
        rows = fetch(connection, "SELECT recommendation_id FROM exposures WHERE position = 1")
    database.dispose()
    return len(set(ledger.served) - {str(row[0]) for row in rows})


_DRAIN = (
    "import os; from api.settings import ServiceSettings; from api.worker import drain_spool;"
    " from recommender.settings import read_settings; from recommender.storage.database import open_database;"
    " settings = read_settings(ServiceSettings, os.environ);"
    " drain_spool(open_database(settings), settings.spool_folder)"
)


def _result(shop: Shop, minutes: float, ledger: Ledger, missing: int, bundles: set[str]) -> Result:
    rows = [_row(ledger, kind) for kind in sorted(ledger.asked)]
    wrong: Counter[str] = Counter()
    for (_, what), count in ledger.wrong.items():
        wrong[what] += count
    strange = sum(count for bundle, count in ledger.bundles.items() if bundle not in bundles)
    server_errors = sum(count for (_, status), count in ledger.statuses.items() if status >= 500)
    refused = sum(count for (_, status), count in ledger.statuses.items() if 400 <= status < 500)
    lost = sum(ledger.lost.values())
    bars = [
        at_most("answers of 500 and above", server_errors, 0),
        at_most("answers of 400 to 499", refused, 0),
        at_most("wrong answers", sum(wrong.values()) + strange, 0),
        at_most("broken connections: those that the killed worker held", lost, READERS + WRITERS),
        at_most("answers whose exposure is lost", missing, 0),
    ]
    shape = shop.shape
    notes = (
        f"{minutes:g} minutes, {shape.members:,} members, {shape.items:,} items, {shape.stores:,} stores; {READERS}"
        f" readers and {WRITERS} writers without a pause; promotion, rollback and kill -9 of a worker at a quarter,"
        f" half and three quarters of the time. {describe_machine()}.",
        "Answers by bundle: " + ", ".join(f"{bundle} {count:,}" for bundle, count in sorted(ledger.bundles.items())),
        "Wrong: " + (", ".join(f"{what} {count}" for what, count in sorted(wrong.items())) or "nothing"),
        *ledger.examples,
    )
    return Result("soak", rows, bars, notes)


def _row(ledger: Ledger, kind: str) -> Row:
    times = sorted(ledger.milliseconds[kind]) or [0.0]
    row: dict[str, Figure] = {
        "request": kind,
        "count": ledger.asked[kind],
        "p50 ms": times[len(times) // 2],
        "p99 ms": times[min(int(len(times) * 0.99), len(times) - 1)],
        "5xx": sum(count for (name, status), count in ledger.statuses.items() if name == kind and status >= 500),
        "4xx": sum(count for (name, status), count in ledger.statuses.items() if name == kind and 400 <= status < 500),
        "wrong": sum(count for (name, _), count in ledger.wrong.items() if name == kind),
        "broken": ledger.lost[kind],
    }
    return row


@click.command()
@retail_options
@click.option("--minutes", type=click.FloatRange(0.1), default=10.0, show_default=True, help="How long.")
@click.option("--folder", type=click.Path(path_type=Path), help="Keep the synthetic shop here for the next time.")
def soak(retail: tuple[int, int, int, int], minutes: float, folder: Path | None) -> None:
    """Serve a synthetic retailer to readers and writers while bundles change and a worker is killed."""
    with workspace(folder) as place:
        result = run_soak(retail_shop(place, retail), minutes)
    click.echo(result.as_text())
    if not all(bar.met for bar in result.bars):
        sys.exit(1)
