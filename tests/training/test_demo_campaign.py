"""The demo's campaign: planned on real data, cancelled at once, and its outcomes labelled as simulated."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recommender.campaigns.assignments import Assignment
from recommender.campaigns.holdout import Arm
from recommender.campaigns.store import get_campaign
from recommender.storage.database import open_database
from recommender.storage.statements import execute
from tests.training.shops import END
from training.demo_campaign import CAMPAIGN, campaign_lines, simulate
from training.place import Place
from training.progress import Silent
from training.spending import read_spending
from training.train import Trained


@pytest.fixture
def shop(coupon_shop: tuple[Place, Trained], tmp_path: Path) -> Iterator[Place]:
    """A shop of one's own that has learned from coupons; its offers earn more than they cost."""
    shutil.copytree(coupon_shop[0].settings.home, tmp_path / "home")
    settings = replace(coupon_shop[0].settings, home=tmp_path / "home")
    database = open_database(settings)
    with database.write() as connection:
        execute(connection, "UPDATE offers SET value = 1", ())
    yield Place(database, settings)
    database.dispose()


def test_the_campaign_is_planned_reported_and_cancelled_as_often_as_the_demo_runs(shop: Place) -> None:
    bundle = shop.registry.open()
    first = campaign_lines(shop, bundle, 5000, Silent())
    again = campaign_lines(shop, bundle, 5000, Silent())
    for lines in (first, again):
        text = "\n".join(lines)
        assert "Audience: 4" in text
        assert "Expected extra profit" in text
        assert text.count("SIMULATED OUTCOMES") == 1
        assert "Nothing of it was earned." in text
    with shop.database.read() as connection:
        assert get_campaign(connection, CAMPAIGN).status == "cancelled"


def test_the_simulation_gives_the_treated_what_the_plan_expects(shop: Place) -> None:
    spending = read_spending(shop.database, shop.settings, END)
    members = spending.members.ids(np.arange(len(spending.members)))
    rows = [
        Assignment(member, f"member:{member}", Arm.HOLDOUT if place % 2 else Arm.TREATED, 0.5, "new0", 1.0, 1e6, 1.0)
        for place, member in enumerate(members)
    ]
    found = simulate(rows, spending, int(END.timestamp() // 60), np.random.default_rng(1))
    assert found is not None
    assert (found.treated, found.control) == (20, 20)
    assert 10e6 < found.truth < 40e6  # twenty times a million, times an exponential factor
    assert found.measured.adjusted.verdict == "rise"
    total = found.measured.adjusted.total
    assert total.low is not None
    assert total.high is not None
    assert total.low < found.truth < total.high
    assert simulate(rows[:1], spending, int(END.timestamp() // 60), np.random.default_rng(1)) is None
