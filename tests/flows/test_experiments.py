"""An experiment between two bundles in several workers: one group per member, everywhere, also after a kill."""

from __future__ import annotations

import os
import signal
from collections import defaultdict
from pathlib import Path

from api.worker import drain_spool
from recommender.registry import Registry
from recommender.storage.database import open_database
from recommender.storage.statements import fetch
from tests.flows.running import Asker, asker, running, wait_until
from tests.shop import MEMBERS, make_key, open_shop, settings_at, train

SLATE = {"count": 3, "scenario": "home"}


def served(who: Asker) -> dict[str, set[tuple[str, str, bool]]]:
    """Ask for every member once; return group, bundle and fallback by member."""
    found = defaultdict(set)
    for member_id in MEMBERS:
        status, answer = who.ask("POST", "/v1/recommendations", {**SLATE, "member_id": member_id})
        assert status == 200
        fallback = "experiment_fallback" in answer["flags"]
        found[member_id].add((answer["experiment"]["group"], answer["bundle_id"], fallback))
    return found


def test_every_worker_serves_both_bundles_alike(tmp_path: Path) -> None:
    settings = settings_at(tmp_path)
    open_shop(settings)
    database = open_database(settings)
    promoted = Registry(settings.models).current_id()
    other = train(database, settings, seed=8, promote=False)
    token = make_key(database, "recommend", "models")
    bundles = {"control": promoted, "treatment": other}
    with running(settings, "--workers", "2", "--threads", "2") as service:
        who = asker(service, token)
        assert who.ask("PUT", "/v1/experiments/two", {"treatment": {"bundle_id": other}})[0] == 200

        def settled() -> bool:
            try:
                rounds = [served(who) for _ in range(3)]
            except TypeError:
                return False  # a worker has not heard of it yet
            return all(
                bundles[group] == bundle and not fallback
                for found in rounds
                for told in found.values()
                for group, bundle, fallback in told
            )

        wait_until(settled, "both bundles in every worker", service.log)
        before = served(who)
        children = set(service.children())
        os.kill(min(children), signal.SIGKILL)
        wait_until(lambda: len(set(service.children()) - children) == 1, "another worker", service.log)
        wait_until(settled, "both bundles again", service.log)
        assert served(who) == before
        assert {group for told in before.values() for group, _, _ in told} == {"control", "treatment"}
        assert who.ask("POST", "/v1/experiments/two:stop", {})[0] == 200
    drain_spool(database, settings.spool_folder)
    with database.read() as connection:
        mixed = fetch(
            connection,
            "SELECT COUNT(*) FROM (SELECT recommendation_id FROM exposures GROUP BY recommendation_id"
            " HAVING COUNT(DISTINCT bundle_id) > 1 OR COUNT(DISTINCT experiment_group) > 1) AS m",
        )
    assert mixed == [(0,)]
    database.dispose()
