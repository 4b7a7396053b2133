"""A process that works on a wallet and kills itself just before its n-th commit; run by test_killed.py."""

from __future__ import annotations

import os
import signal
import sys
from itertools import count

from sqlalchemy.engine import Connection

from recommender.coupons.issuing import IssueRequest, issue
from recommender.coupons.undoing import give_back, rollback, void
from recommender.coupons.using import lock, redeem, release
from recommender.storage.database import Database
from tests.recommender.coupons.world import buy, coupon_of, turn, use


def work(database: Database) -> None:
    """Take coupons through everything that can happen to them, one transaction after the other."""
    for number in count():
        with database.write() as connection:
            first, second = (coupon_of(one) for one in issue(turn(connection), [IssueRequest("ten", "m1", "c1")] * 2))
        order = f"o{os.getpid()}-{number}"
        with database.write() as connection:
            lock(turn(connection), use(first, second, order_id=order, purchase=buy(4)))
        with database.write() as connection:
            redeem(turn(connection, request_no=order), use(first, order_id=order))
        with database.write() as connection:
            release(turn(connection), [second], order)
        with database.write() as connection:
            rollback(turn(connection), order)
        with database.write() as connection:
            redeem(turn(connection), use(first, second, order_id=order, purchase=buy(4)))
        with database.write() as connection:
            give_back(turn(connection), [first], order, full=True)
        with database.write() as connection:
            void(turn(connection), [first], "done")


def main() -> None:
    """Work until the n-th commit."""
    url, last = sys.argv[1], int(sys.argv[2])
    database, commits = Database(url), count(1)

    def kill(_connection: Connection) -> None:
        if next(commits) == last:
            os.kill(os.getpid(), signal.SIGKILL)

    database.before_commit = kill
    work(database)


if __name__ == "__main__":
    main()
