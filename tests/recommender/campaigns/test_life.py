"""The life of campaigns as properties: only allowed steps are taken, and of several callers at once one is right."""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recommender.campaigns.campaign import By
from recommender.campaigns.lifecycle import TRANSITIONS, Action, Status
from recommender.campaigns.store import change_budget, get_campaign, move, planned, read_timeline
from recommender.errors import ConflictError, StoreBusyError
from recommender.storage.database import Database
from tests.recommender.campaigns.worlds import NOW, add_offers, create

CALLERS = 6
STEPS = tuple(action for action in TRANSITIONS if action not in (Action.EDIT, Action.BUDGET))


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(steps=st.lists(st.sampled_from(STEPS), min_size=1, max_size=25))
def test_whatever_is_tried_only_allowed_steps_are_taken_and_each_is_on_the_timeline(
    sqlite_template: Path, steps: list[Action]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "memberwise.db"
        path.write_bytes(sqlite_template.read_bytes())
        database = Database(f"sqlite:///{path}")
        add_offers(database, "o1", "o2")
        create(database, settings={"approval": "none"})
        status, taken = Status.DRAFT, ["create"]
        for action in steps:
            try:
                with database.write() as connection:
                    if action is Action.PLANNED:
                        found = planned(connection, "c1", "p1", By("worker", NOW), {})
                    else:
                        found = move(connection, "c1", action, By("ann", NOW))
            except ConflictError:
                assert status not in TRANSITIONS[action]
                continue
            assert found.status is TRANSITIONS[action][status]
            status, taken = found.status, [*taken, action.value]
        with database.read() as connection:
            campaign = get_campaign(connection, "c1")
            timeline = read_timeline(connection, "c1")
        database.dispose()
    assert (campaign.status, campaign.version) == (status, len(taken))
    assert [step.action for step in timeline] == taken


@pytest.mark.parametrize("kind", ["budget", "launch"])
def test_of_callers_who_saw_the_same_version_one_changes_it(database: Database, kind: str) -> None:
    add_offers(database, "o1", "o2")
    create(database, settings={"approval": "none"})
    with database.write() as connection:
        seen = planned(connection, "c1", "p1", By("worker", NOW), {}).version
    gate, told = threading.Barrier(CALLERS), []

    def change(number: int) -> None:
        gate.wait()
        while True:
            try:
                with database.write(durable=True) as connection:
                    by = By(f"caller {number}", NOW, seen)
                    if kind == "budget":
                        change_budget(connection, "c1", 1000 + number, by)
                    else:
                        move(connection, "c1", Action.LAUNCH, by)
            except StoreBusyError:
                continue
            except ConflictError:
                told.append(None)
            else:
                told.append(number)
            return

    threads = [threading.Thread(target=change, args=(number,)) for number in range(CALLERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winners = [number for number in told if number is not None]
    assert len(told) == CALLERS
    assert len(winners) == 1
    with database.read() as connection:
        campaign = get_campaign(connection, "c1")
    assert campaign.version == seen + 1
    if kind == "budget":
        assert campaign.budget_cents == 1000 + winners[0]
    else:
        assert campaign.status is Status.SCHEDULED
