"""One trained shop for all tests of this folder that only look at it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.training.shops import NOW, SETTINGS, open_shop, put_campaigns
from training.place import Place
from training.progress import Silent
from training.train import Trained, train


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Place, Trained]]:
    """A shop with a promoted bundle; tests must not change it."""
    place = open_shop(tmp_path_factory.mktemp("shop"))
    yield place, train(place, SETTINGS, None, True, NOW, Silent())
    place.database.dispose()


@pytest.fixture(scope="session")
def coupon_shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Place, Trained]]:
    """A shop with coupons and a promoted bundle that has learned from them; tests must not change it."""
    place = open_shop(tmp_path_factory.mktemp("coupon_shop"))
    put_campaigns(place.database)
    yield place, train(place, SETTINGS, None, True, NOW, Silent())
    place.database.dispose()


@pytest.fixture
def fresh_shop(tmp_path: Path) -> Iterator[Place]:
    """A shop of one's own, not trained yet."""
    place = open_shop(tmp_path)
    yield place
    place.database.dispose()
