"""A stop by SIGTERM: what runs is answered, nothing new is taken, and nothing that was served is lost."""

from __future__ import annotations

import signal
import threading
import time
from typing import Any

import pytest
import urllib3

from api.settings import ServiceSettings
from api.worker import drain_spool
from recommender.exposures import spool_files
from recommender.storage.database import open_database
from recommender.storage.statements import fetch
from tests.flows.running import Service, asker, running
from tests.shop import make_key, open_shop, settings_at

LONG = {"requests": [{"member_id": f"m{number % 40:02d}", "count": 20} for number in range(100)]}
"""Takes long enough to be under way when the signal comes."""


@pytest.fixture
def shop(tmp_path: Any) -> ServiceSettings:
    settings = settings_at(tmp_path)
    open_shop(settings)
    return settings


class Batches:
    """Askers that each send one long request after the other until the service is gone."""

    def __init__(self, service: Service, token: str, threads: int) -> None:
        self.answers: list[tuple[float, float, int, list[str]]] = []
        self.broken: list[tuple[float, str]] = []
        self._service, self._token = service, token
        self._threads = [threading.Thread(target=self._ask) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    def _ask(self) -> None:
        who = asker(self._service, self._token)
        while True:
            began = time.monotonic()
            try:
                status, body = who.ask("POST", "/v1/recommendations:batch", LONG)
            except urllib3.exceptions.HTTPError as error:
                self.broken.append((began, str(error)))
                return
            served = [entry["result"]["recommendation_id"] for entry in body["results"]] if status == 200 else []
            self.answers.append((began, time.monotonic(), status, served))

    def join(self) -> None:
        for thread in self._threads:
            thread.join()


@pytest.mark.parametrize("options", [("--workers", "2"), ("--workers", "1", "--with-worker")])
def test_running_requests_are_answered(shop: ServiceSettings, options: tuple[str, ...]) -> None:
    database = open_database(shop)
    token = make_key(database, "recommend")
    with running(shop, *options, "--threads", "2") as service:
        asker(service, token).ask("POST", "/v1/recommendations:batch", LONG)
        batches = Batches(service, token, threads=2)
        while len(batches.answers) < 2:
            time.sleep(0.01)
        time.sleep(0.1)
        told = time.monotonic()
        service.process.send_signal(signal.SIGTERM)
        batches.join()
        assert service.process.wait(30) == 0
    assert {status for _, _, status, _ in batches.answers} == {200}
    across = [began for began, ended, _, _ in batches.answers if began < told < ended]
    assert across, "a request was under way when the signal came, and answered"
    assert all(began > told for began, _ in batches.broken), "only requests that came after the signal are refused"
    drain_spool(database, shop.spool_folder)
    with database.read() as connection:
        rows = fetch(connection, "SELECT DISTINCT recommendation_id FROM exposures")
    assert {served for *_, ids in batches.answers for served in ids} <= {str(row[0]) for row in rows}
    assert spool_files(shop.spool_folder) == []
    database.dispose()
