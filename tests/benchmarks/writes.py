"""Writes: posted events beside bare SQLite inserts, and stock that every worker must know of, while answers go out."""

from __future__ import annotations

import http.client
import json
import threading
import time
from pathlib import Path
from statistics import median

import orjson

from tests.benchmarks.bare_inserts import rows_of
from tests.benchmarks.load_client import LOOPBACK, TIMEOUT_SECONDS
from tests.benchmarks.measure import FailedRunError, module, run_measured
from tests.benchmarks.questions import BATCH, COUNT
from tests.benchmarks.results import Result, Row, at_least, at_most
from tests.benchmarks.shops import say
from tests.benchmarks.site import WORKERS, Figures, Site

SECONDS = 6.0
"""How long is written."""
READERS = 4
READS_PER_SECOND = 100.0
"""Answers that go out while something is written."""
WRITERS = 2
BATCHES = 800
PAIRS = 1_000
"""Pairs of one call that sets stock."""
CALLS = 250
CHANGES = 10
"""Items that are sold out and come back, to see how soon every worker knows."""
MOST_CONNECTIONS = 64
MOST_WAIT_SECONDS = 10.0
LEAST_SHARE = 0.3
LEAST_EVENTS, LEAST_PAIRS = 3_000, 5_000
MOST_DELAY_SECONDS = 1.0


def measure_writes(site: Site, rounds: int) -> Result:
    """Write events and stock while the service answers."""
    reads = site.write("reads", site.questions.home(site.questions.quiet))
    say("posted events and bare inserts")
    events = [_post_events(site, reads, f"post-{site.service.pid}-{number}") for number in range(rounds)]
    say("stock")
    stock = _set_stock(site, reads)
    row: Row = {
        "events/s": median(found["posted"] for found in events),
        "bare inserts/s": median(found["bare"] for found in events),
        "share": median(found["posted"] / found["bare"] for found in events),
        "call p50 ms": median(found["call_ms"] for found in events),
        "answers meanwhile p99 ms": median(found["read_p99_ms"] for found in events),
        "pairs/s": stock["pairs"],
        "delay p50 s": stock["delay"],
        "delay max s": stock["longest"],
    }
    bars = [
        at_least("posted events as a share of bare inserts", float(row["share"]), LEAST_SHARE),
        at_least("posted events per second", float(row["events/s"]), LEAST_EVENTS),
        at_least("stock pairs per second", stock["pairs"], LEAST_PAIRS),
        at_most("seconds until every worker knows of stock", stock["longest"], MOST_DELAY_SECONDS),
        at_most("failed calls", sum(found["failed"] for found in events) + stock["failed"], 0),
    ]
    notes = (
        f"Beside {READS_PER_SECOND:.0f} answers per second. Events: calls of {BATCH} on {WRITERS} connections; bare:"
        f" plain SQLite, the same table and indexes, a transaction per {BATCH} rows; median of {rounds} rounds.",
        f"Stock: calls of {PAIRS:,} pairs on one connection. Delay: from the answer to a call that sells an item out,"
        f" or brings it back, until all {WORKERS} workers answer accordingly; {CHANGES} items, while other stock is"
        " written all the time.",
    )
    return Result("serve: writes", [row], bars, notes)


def _post_events(site: Site, reads: Path, prefix: str) -> Figures:
    """Post events, then insert the same rows without the service, beside the same reads."""
    batches = site.questions.events(BATCHES, prefix)
    with site.under_load(reads, READERS, READS_PER_SECOND, SECONDS) as answered:
        posted = site.send_once(site.questions.posts(batches), WRITERS, SECONDS)
    rows = site.shop.folder / "bare.rows"
    rows.write_bytes(orjson.dumps(rows_of(batches)))
    with site.under_load(reads, READERS, READS_PER_SECOND, SECONDS):
        command = module("bare_inserts", str(rows), str(site.shop.folder), str(SECONDS))
        bare = json.loads(run_measured(command, {}, site.shop.folder).output)
    return {
        "posted": posted["per_second"] * BATCH,
        "bare": bare["per_second"],
        "call_ms": posted["p50_ms"],
        "read_p99_ms": answered[0]["p99_ms"],
        "failed": posted["failed"] + answered[0]["failed"],
    }


def _set_stock(site: Site, reads: Path) -> Figures:
    """Set stock all the time, and look how soon every worker knows of some of it."""
    calls = site.questions.stock(CALLS, PAIRS)
    written: list[Figures] = []
    writer = threading.Thread(target=lambda: written.append(site.send_once(calls, 1, SECONDS)))
    with site.under_load(reads, READERS, READS_PER_SECOND, SECONDS):
        writer.start()
        delays = _delays(site, time.monotonic() + SECONDS)
        writer.join()
    return {
        "pairs": written[0]["per_second"] * PAIRS,
        "failed": written[0]["failed"],
        "delay": median(delays),
        "longest": max(delays),
    }


def _delays(site: Site, end: float) -> list[float]:
    """Sell items out and bring them back; return the seconds until the slowest worker knows."""
    workers, writer = _one_connection_each(site), _connection(site)
    members, store_id = site.questions.quiet, site.questions.stores[-1]
    found: list[float] = []
    for number in range(CHANGES):
        member_id = members[number % len(members)]
        item_id = _shown(site, workers[0], member_id, store_id)[0]
        for on_hand in (0, 50):
            row = {"store_id": store_id, "item_id": item_id, "on_hand": on_hand}
            _ask(site, writer, "PUT", "/v1/inventory", {"inventory": [row]})
            found.append(_wait(site, workers, member_id, store_id, item_id, wanted=on_hand > 0))
        if time.monotonic() > end:
            break
    for connection in [*workers, writer]:
        connection.close()
    return found


def _wait(
    site: Site, workers: list[http.client.HTTPConnection], member_id: str, store_id: str, item_id: str, wanted: bool
) -> float:
    """Ask every worker until it shows an item, or shows it no more; return the seconds that the last one took."""
    began, waiting = time.monotonic(), list(workers)
    while waiting:
        waiting = [one for one in waiting if (item_id in _shown(site, one, member_id, store_id)) != wanted]
        if time.monotonic() - began > MOST_WAIT_SECONDS:
            raise FailedRunError(f"a worker does not know of stock after {MOST_WAIT_SECONDS:g} seconds")
    return time.monotonic() - began


def _one_connection_each(site: Site) -> list[http.client.HTTPConnection]:
    """Open connections until every worker holds one; the others are closed."""
    held: dict[int, http.client.HTTPConnection] = {}
    for _ in range(MOST_CONNECTIONS):
        connection = _connection(site)
        _ask(site, connection, "GET", "/livez", None)
        worker = site.service.worker_of(connection.sock)
        if worker is None or worker in held:
            connection.close()
        else:
            held[worker] = connection
        if len(held) == WORKERS:
            return list(held.values())
    raise FailedRunError(f"only {len(held)} of {WORKERS} workers took a connection")


def _connection(site: Site) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(LOOPBACK, site.service.port, timeout=TIMEOUT_SECONDS)


def _shown(site: Site, connection: http.client.HTTPConnection, member_id: str, store_id: str) -> list[str]:
    body = {"scenario": "home", "member_id": member_id, "store_id": store_id, "count": COUNT}
    return [item["item_id"] for item in _ask(site, connection, "POST", "/v1/recommendations", body)["items"]]


def _ask(
    site: Site, connection: http.client.HTTPConnection, method: str, path: str, body: object
) -> dict[str, list[dict[str, str]]]:
    data = None if body is None else orjson.dumps(body)
    headers = {"Authorization": f"Bearer {site.questions.key}", "Content-Type": "application/json"}
    connection.request(method, path, data, headers)
    response = connection.getresponse()
    answer: dict[str, list[dict[str, str]]] = orjson.loads(response.read())
    if response.status != http.HTTPStatus.OK:
        raise FailedRunError(f"{method} {path}: {response.status} {answer}")
    return answer
