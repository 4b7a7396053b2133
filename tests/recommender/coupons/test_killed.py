"""A process killed in the middle of a write leaves books that balance."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from recommender.storage.database import Database
from recommender.storage.statements import fetch
from tests.recommender.coupons.world import assert_balanced, settle_in

STEPS = 8
"""Transactions of one turn of `killed.work`."""


@pytest.mark.slow
def test_the_books_balance_whenever_a_process_is_killed(database: Database, database_url: str) -> None:
    settle_in(database, budget=10**6)
    for last in range(STEPS + 1, 2 * STEPS + 1):
        command = [sys.executable, "-m", "tests.recommender.coupons.killed", database_url, str(last)]
        assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
        assert_balanced(database)
        with database.read() as connection:
            issued = int(fetch(connection, "SELECT COUNT(*) FROM wallet_coupons")[0][0])
        # Two coupons of the whole turn, and two more unless the kill undid their issue.
        turns = last - STEPS
        assert issued == 2 * sum(2 if done > 1 else 1 for done in range(1, turns + 1))
