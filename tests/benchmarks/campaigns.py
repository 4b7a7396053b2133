"""Plans of campaigns over growing numbers of members, beside bare scoring and allocation of the same pairs."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import numpy as np

from recommender.campaigns.campaign import By, CampaignTerms
from recommender.campaigns.plans import request_plan, take_plan
from recommender.campaigns.store import create_campaign
from recommender.coupons.planning import PlanRequest, make_plan
from recommender.coupons.store import read_offers
from recommender.settings import CoreSettings
from recommender.storage.database import open_database
from recommender.storage.statements import execute
from tests.benchmarks.results import Result, Row, at_most
from tests.benchmarks.shops import say
from tests.coupon_world import OFFERS, make_world, write_world
from tests.postgres import SAFE_OPTIONS, find_binaries, run_server
from training.campaign_plan import plan_campaign
from training.ingest import IngestOptions, ingest, open_stores
from training.ingest_settings import IngestSettings
from training.offer_scores import OfferScorer
from training.place import Place
from training.progress import Silent
from training.settings import EvaluationSettings, FactorSettings, TrainingSettings
from training.train import train

TEACHERS = 2_000
"""Members of the world that the models are learned from."""
BUDGET_CENTS_EACH = 20
MOST = 2.0
"""How many times as long as scoring and allocation alone a plan may take."""
OFFER_IDS = tuple(f"o{number}-{place}" for number in (2, 3) for place in range(OFFERS))
_SETTINGS = TrainingSettings(
    threads=1,
    factors=FactorSettings(factors=8, iterations=2, warm_iterations=1),
    evaluation=EvaluationSettings(bootstrap_rounds=20),
)
_FREE = "UPDATE offers SET valid_from = NULL, valid_until = NULL"


@dataclass(frozen=True, slots=True)
class Shop:
    """Where a world was loaded to, and when its campaign is planned."""

    settings: CoreSettings
    at: datetime
    members: int


def measure_campaigns(folder: Path, sizes: Sequence[int], rounds: int) -> Result:
    """Plan a campaign of twenty offers for so many members."""
    models = folder / "campaign-models"
    place = _open(_load(folder / "campaign-teachers", models, TEACHERS, ""))
    if place.registry.current_id() is None:
        train(place, _SETTINGS, None, True, make_world(TEACHERS, 5).until, Silent())
    place.database.dispose()
    rows = [_measure(_load(folder / f"campaigns-{size}", models, size, ""), "SQLite", rounds) for size in sizes]
    binaries = find_binaries()
    if binaries is not None:
        with run_server(binaries, SAFE_OPTIONS) as server:
            for size in sizes:
                server.administer(f"CREATE DATABASE plan{size}")
                shop = _load(folder / f"campaigns-{size}-pg", models, size, server.url(f"plan{size}"))
                rows.append(_measure(shop, "PostgreSQL", rounds))
    bars = [
        at_most(
            f"plan / (scoring + allocation), {row['members']:,} members, {row['database']}", float(row["ratio"]), MOST
        )
        for row in rows
    ]
    notes = (
        f"{len(OFFER_IDS)} offers, a budget, a holdout of 10 %, everybody in the audience; all are written down."
        f" Bare: reading the history is not counted; the plan counts it. Each in a process of its own; median of"
        f" {rounds} rounds.",
    )
    return Result("campaigns", rows, bars, notes)


def _load(folder: Path, models: Path, members: int, url: str) -> Shop:
    """Make a world and load it, unless it is there."""
    settings = IngestSettings(home=folder / "home", models=models, hash_key="0123456789abcdef", database_url=url)
    world = make_world(members, 5)
    core = CoreSettings(home=folder / "home", models=models, hash_key="0123456789abcdef", database_url=url)
    shop = Shop(core, world.until, members)
    if folder.exists() and not url:
        return shop
    shutil.rmtree(folder, ignore_errors=True)
    say(f"campaigns of {members:,} members")
    write_world(world, folder / "tables")
    settings.home.mkdir(parents=True)
    database = open_database(settings)
    ingest([folder / "tables"], settings, open_stores(settings, database), IngestOptions(), Silent(), world.until)
    with database.write() as connection:
        execute(connection, _FREE, ())
    database.dispose()
    return shop


def _measure(shop: Shop, name: str, rounds: int) -> Row:
    found = [(_alone(_bare, shop), _alone(_plan, shop)) for _ in range(rounds)]
    bare = median(score + allocate for (_, score, allocate, _), _ in found)
    reading = median(read for (read, _, _, _), _ in found)
    whole = median(plan[0] for _, plan in found)
    return {
        "database": name,
        "members": shop.members,
        "reading s": reading,
        "scoring + allocation s": bare,
        "plan s": whole,
        "ratio": whole / bare,
        "ratio with reading": whole / (bare + reading),
        "bare MB": max(one[3] for one, _ in found),
        "plan MB": max(one[1] for _, one in found),
    }


def _alone(work: Callable[[Shop], tuple[float, ...]], shop: Shop) -> tuple[float, ...]:
    """Run something in a process of its own, so that its memory is its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, shop).result()


def _bare(shop: Shop) -> tuple[float, ...]:
    """Return the seconds of reading, scoring and allocating, and the most memory in MB."""
    place = _open(shop)
    bundle = place.registry.open()
    began = time.perf_counter()
    scorer = OfferScorer(place, bundle, shop.at)
    read = time.perf_counter()
    scores = scorer.scores(OFFER_IDS)
    scored = time.perf_counter()
    with place.database.read() as connection:
        offers = tuple(read_offers(connection, OFFER_IDS).offers[one] for one in OFFER_IDS)
    request = PlanRequest(offers, BUDGET_CENTS_EACH * shop.members, (None,) * len(offers), explore=0.01)
    make_plan(scores, np.ones((len(scores.members), len(offers)), bool), request)
    done = time.perf_counter()
    place.database.dispose()
    return read - began, scored - read, done - scored, _megabytes()


def _plan(shop: Shop) -> tuple[float, ...]:
    """Return the seconds of a plan from its request to its end, and the most memory in MB."""
    place = _open(shop)
    bundle = place.registry.open()
    campaign_id = f"bench-{time.time_ns()}"
    by = By("bench", shop.at)
    budget = BUDGET_CENTS_EACH * shop.members
    terms = CampaignTerms(None, shop.at, shop.at + timedelta(days=14), budget, OFFER_IDS, {})
    with place.database.write() as connection:
        create_campaign(connection, campaign_id, terms, by)
        request_plan(connection, campaign_id, by)
        job = take_plan(connection, shop.at)
    assert job is not None
    began = time.perf_counter()
    plan_campaign(place, bundle, job, lambda: shop.at)
    done = time.perf_counter()
    place.database.dispose()
    return done - began, _megabytes()


def _open(shop: Shop) -> Place:
    return Place(open_database(shop.settings), shop.settings)


def _megabytes() -> float:
    """Return the most memory this process has had; getrusage would tell its parent's of before it began."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM:"))) / 1024
