"""The command `memberwise offers allocate`: from options to file, page, kept prices and what is printed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

import training.offer_scores
from recommender.cli import main
from recommender.coupons.kept_plans import KeptPlans
from recommender.coupons.offer_facts import OfferFacts
from recommender.coupons.plan_files import read_multipliers
from recommender.settings import CoreSettings
from recommender.storage.database import open_database
from tests.recommender.coupons.world import settle_in
from tests.training.test_offer_plan import OLD, SCARCE, TEN, scorer


class Bundle:
    bundle_id = "b1"


class Scorer:
    """Scores as the real one would, without a bundle."""

    def __init__(self, place: object, bundle: object, at: object) -> None:
        assert isinstance(bundle, Bundle)

    scores = staticmethod(scorer)

    def facts(self, offer_ids: Sequence[str]) -> OfferFacts:
        """Return facts that nobody looks at here."""
        return OfferFacts(*(np.ones(len(offer_ids), np.float32) for _ in fields(OfferFacts)))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MEMBERWISE_HOME", str(tmp_path))
    monkeypatch.setenv("MEMBERWISE_MODELS", str(tmp_path / "models"))
    monkeypatch.delenv("MEMBERWISE_DATABASE", raising=False)
    monkeypatch.setattr("recommender.registry.Registry.open", lambda registry, bundle_id=None: Bundle())
    monkeypatch.setattr(training.offer_scores, "OfferScorer", Scorer)
    database = open_database(CoreSettings(home=tmp_path, models=tmp_path / "models"))
    database.migrate()
    settle_in(database, TEN, OLD, SCARCE, offers_of=["ten", "old"])
    database.dispose()
    return tmp_path


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ["offers", "allocate", *words])


def test_a_plan_is_written_printed_and_kept(home: Path) -> None:
    out = home / "plan.csv"
    found = run("--campaign", "c1", "--budget", "250", "--at", "2026-03-02T09:30:00+00:00", "--explore", "0",
                "--out", str(out))  # fmt: skip
    assert found.exit_code == 0, found.output
    assert "Reach: 2 of 4 members" in found.output
    assert "Offer old is not part of the plan: It ended" in found.output
    assert out.read_text("utf-8").count("\n") == 5
    assert (home / "plan.curve.html").is_file()
    kept = read_multipliers(home, "c1")
    assert kept is not None
    assert (kept.offer_id, kept.bundle_id) == (("ten",), "b1")
    assert kept.cent_price > 0
    (plan,) = KeptPlans(home).current()
    assert plan.multipliers == kept
    assert plan.facts is not None
    given = {member_id: plan.of(member_id) or [] for member_id in ("m1", "m2", "staff", "bad")}
    assert sum(len(one) for one in given.values()) == 2
    assert given["staff"] == given["bad"] == []


def test_scripts_read_json(home: Path) -> None:
    found = run("--at", "2026-03-02T09:30:00+00:00", "--json", "--out", str(home / "plan.parquet"))
    document: dict[str, Any] = json.loads(found.output)
    assert (document["reach"], document["rows"], document["bundle_id"]) == (3, 4, "b1")
    assert document["left_out"] == {"kind": 1}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--campaign", "c9", "--out", "plan.csv"), "no such campaign"),
        (("--out", "plan.txt"), ".csv or .parquet"),
        (("--budget", str(2**63), "--out", "plan.csv"), "is not in the range"),
        (("--budget", "-1", "--out", "plan.csv"), "is not in the range"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(home: Path, words: tuple[str, ...], said: str) -> None:
    found = run(*words)
    assert found.exit_code == 2
    assert said in found.output
