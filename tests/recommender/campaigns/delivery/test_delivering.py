"""All transports at once: one that never answers holds up no other; changes are taken up while it runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from recommender.campaigns.delivering import Delivery
from recommender.campaigns.throttle import is_paused, pause, take_tokens
from recommender.campaigns.transports import put_transport
from recommender.storage.database import Database
from recommender.storage.statements import execute
from recommender.storage.types import to_micros
from tests.factories import NOW
from tests.provider import Told, provider
from tests.recommender.campaigns.delivery.messages import surroundings
from tests.recommender.campaigns.delivery.world import RULES, Clock, found, message, put_campaign, put_out, settle_in


@contextmanager
def delivering(database: Database, home: Path) -> Iterator[None]:
    stop = threading.Event()
    delivery = Delivery(database, RULES, surroundings(home), Clock())
    thread = threading.Thread(target=delivery.run, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def put(database: Database, name: str, active: bool = True, **settings: Any) -> None:
    with database.write() as connection:
        put_transport(connection, name, "webhook", settings, active, "test", NOW)


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.02)


def test_a_receiver_that_never_answers_holds_up_no_other(sqlite_database: Database, tmp_path: Path) -> None:
    settle_in(sqlite_database, ["m1", "m2"], transport="dead")
    put_campaign(sqlite_database, "c2", transport="good")
    put_out(sqlite_database, message("m1", transport="dead"), message("m2", campaign_id="c2", transport="good"))
    with provider(lambda _sent: Told(after_seconds=None)) as dead, provider() as good:
        put(sqlite_database, "dead", url=dead.url, timeout_seconds=30)
        put(sqlite_database, "good", url=good.url)
        with delivering(sqlite_database, tmp_path):
            eventually(lambda: len(dead.sent) == 1)
            eventually(lambda: found(sqlite_database)["m2"] == ("sent", None))
            assert found(sqlite_database)["m1"] == ("pending", None)
            dead.closing.set()
    assert found(sqlite_database)["m1"][0] == "pending"


def test_transports_are_switched_off_and_changed_while_messages_leave(
    sqlite_database: Database, tmp_path: Path
) -> None:
    settle_in(sqlite_database, ["m1", "m2"])
    with provider() as old, provider() as new:
        put(sqlite_database, "broken", url="https://shop.test/")
        with sqlite_database.write() as connection:
            execute(connection, "UPDATE transports SET settings = '{}'")
        put(sqlite_database, "way", url=old.url, active=False)
        put_out(sqlite_database, message("m1"))
        with delivering(sqlite_database, tmp_path):
            put(sqlite_database, "way", url=old.url)
            eventually(lambda: found(sqlite_database)["m1"] == ("sent", None))
            put(sqlite_database, "way", url=new.url)
            time.sleep(1.5)
            put_out(sqlite_database, message("m2"))
            eventually(lambda: found(sqlite_database)["m2"] == ("sent", None))
    assert (len(old.sent), len(new.sent)) == (1, 1)


def test_clocks_that_jump_neither_give_nor_block_for_long(database: Database) -> None:
    clock = Clock()
    with database.write() as connection:
        assert take_tokens(connection, "way", 100, 5.0, clock.now) == 5
        clock.pass_by(hours=-2)
        assert take_tokens(connection, "way", 100, 5.0, clock.now) == 0
        clock.pass_by(seconds=0.4)
        assert take_tokens(connection, "way", 100, 5.0, clock.now) == 2
        clock.pass_by(days=30)
        assert take_tokens(connection, "way", 100, 5.0, clock.now) == 5
        pause(connection, "way", 60, clock.now)
        pause(connection, "way", 10, clock.now)
        assert is_paused(connection, "way", clock.now)
        clock.pass_by(seconds=59)
        assert is_paused(connection, "way", clock.now)
        clock.pass_by(seconds=1)
        assert not is_paused(connection, "way", clock.now)
        wrong = to_micros(clock.now) + 10**13
        execute(connection, "UPDATE transport_limits SET blocked_until = ?", (wrong,))
        assert not is_paused(connection, "way", clock.now)
