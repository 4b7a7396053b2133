"""A small made-up retailer with coupons, loaded and fitted, for the tests of response and profit."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from recommender.coupons.terms import Setting
from recommender.coupons.uplift import Economics, PairScores
from recommender.settings import CoreSettings
from recommender.storage.database import Database, open_database
from tests.coupon_world import OFFERS, WINDOW_WEEKS, World, make_world, write_world
from training.fit.coupons import CouponFit, fit_coupons
from training.fit.pairs import snapshot_of
from training.ingest import IngestOptions, ingest, open_stores
from training.ingest_settings import IngestSettings
from training.progress import Silent
from training.sends import CouponHistory, read_coupon_history
from training.spending import Spending, read_spending

MEMBERS = 4000
NOW = datetime(2025, 12, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Learned:
    """A world, what was read of it, and what was fitted."""

    world: World
    spending: Spending
    history: CouponHistory
    fit: CouponFit

    def scores(self) -> tuple[list[int], PairScores]:
        """Score every member and offer of the campaign to be planned; return the offers' numbers in the world too."""
        shelf = self.history.shelf.offers
        rows = np.array([row for row, one in enumerate(shelf) if one.offer_id.startswith("o3-")], np.int32)
        setting = Setting.plain(len(rows), 7.0 * WINDOW_WEEKS)
        scene = snapshot_of(
            self.spending, self.history, rows, self.history.until, setting, self.spending.catalogue.goods()
        )
        n = len(self.spending.members)
        cube = scene.features(0, n)
        money = [np.tile(part.astype(np.float64), n) for part in (scene.terms.face_cents, scene.line_cents)]
        rest = np.tile(scene.rest_cents.astype(np.float64), n)
        economics = Economics(money[0], money[1], rest, np.ones(n * OFFERS))
        found = self.fit.models.profit.scores(cube.reshape(n * OFFERS, -1), economics)
        return [int(shelf[row].offer_id.split("-")[1]) for row in rows.tolist()], found


def load(folder: Path, home: Path) -> tuple[Database, CoreSettings]:
    """Load canonical tables into a new home."""
    settings = IngestSettings(home=home, models=home / "models", hash_key="0123456789abcdef")
    home.mkdir(parents=True, exist_ok=True)
    database = open_database(settings)
    database.migrate()
    report = ingest([folder], settings, open_stores(settings, database), IngestOptions(), Silent(), NOW)
    assert all(file.error is None for file in report.files)
    return database, CoreSettings(home=home, models=home / "models", hash_key="0123456789abcdef")


@lru_cache(maxsize=1)
def learned_world() -> Learned:
    """Make, load and fit a world once per process."""
    world = make_world(MEMBERS, 5)
    with TemporaryDirectory() as folder:
        write_world(world, Path(folder) / "tables")
        database, settings = load(Path(folder) / "tables", Path(folder) / "home")
        spending = read_spending(database, settings, world.until)
        history = read_coupon_history(database, spending, world.until)
        fit = fit_coupons(spending, history, 0.0, 7)
        database.dispose()
    assert fit is not None
    return Learned(world, spending, history, fit)
