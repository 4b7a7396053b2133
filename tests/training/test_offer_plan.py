"""Plans of offers from the tables: which offers, which money, and what is written."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest

from recommender.coupons.scores import OfferScores
from recommender.errors import InputError, NotFoundError
from recommender.ids import IdIndex
from recommender.storage.database import Database
from tests.factories import NOW, put_rows
from tests.recommender.coupons.world import coupon_of, give, settle_in
from training.offer_plan import PlanAsk, PlannedOffers, plan_offers
from training.offer_plan_output import plan_document, show_plan, write_curve, write_plan

TEN = {"offer_id": "ten", "kind": "amount_off", "value": 1000}
OLD = {"offer_id": "old", "kind": "amount_off", "value": 500, "valid_until": NOW - timedelta(days=1)}
SCARCE = {"offer_id": "scarce", "kind": "amount_off", "value": 1000, "minimum_spend_cents": 2000, "stock": 3}


def scorer(offer_ids: Sequence[str]) -> OfferScores:
    """Four members: the profit of the first offer falls from member to member, the others earn 1 cent less each."""
    shape = (4, len(offer_ids))
    profit = np.array([40.0, 30.0, 20.0, 50.0])[:, None] - np.arange(len(offer_ids))
    cost = np.full(shape, 100.0)
    return OfferScores(
        members=IdIndex.of(["m1", "m2", "m3", "staff"]),
        offer_id=tuple(offer_ids),
        at=NOW,
        expected_profit_cents=profit,
        standard_error_cents=np.full(shape, 2.0),
        expected_cost_cents=cost * 0.8,
        cost_bound_cents=cost,
        redemption_probability=np.full(shape, 0.1),
        assumed=np.ones(len(offer_ids), bool),
    )


@pytest.fixture
def world(database: Database) -> Database:
    settle_in(database, TEN, OLD, SCARCE, offers_of=["ten", "old", "gone"])
    return database


def planned(database: Database, campaign_id: str | None = "c1", **asked: Any) -> PlannedOffers:
    return plan_offers(database, PlanAsk(campaign_id, NOW, **asked), scorer)


def given(found: PlannedOffers) -> list[tuple[str, str]]:
    plan, scores = found.plan.explored.plan, found.scores
    members = scores.members.ids(plan.member_row)
    return [(member, scores.offer_id[row]) for member, row in zip(members, plan.offer_row.tolist(), strict=True)]


def test_a_campaign_is_planned_with_its_offers_and_budget(world: Database) -> None:
    found = planned(world)
    assert given(found) == [("m1", "ten"), ("m2", "ten"), ("m3", "ten")]
    assert found.budget_cents == 5000
    assert set(found.unusable) == {"old", "gone"}
    assert {reason.value: count for reason, count in found.left_out.items()} == {"kind": 1}


def test_a_budget_asked_for_is_held_within_what_is_left_of_the_campaigns(world: Database) -> None:
    assert given(planned(world, budget_cents=250)) == [("m1", "ten"), ("m2", "ten")]
    assert planned(world, budget_cents=9000).budget_cents == 5000
    assert given(planned(world, budget_cents=0)) == []
    assert given(planned(world, budget_cents=1)) == []


def test_an_offer_on_restricted_goods_only_is_given_to_nobody(world: Database) -> None:
    put_rows(world, "offers", {"offer_id": "wine", "kind": "amount_off", "value": 500, "scope": '{"items": ["wine"]}'})
    found = planned(world, None)
    assert "wine" not in found.scores.offer_id
    assert found.unusable["wine"].startswith("None of its goods may be discounted")


def test_without_a_campaign_all_offers_valid_then_are_planned(world: Database) -> None:
    found = planned(world, None)
    assert found.scores.offer_id == ("scarce", "ten")
    assert found.budget_cents is None
    assert given(found) == [("m1", "scarce"), ("m2", "scarce"), ("m3", "scarce")]
    coupon_of(give(world, "m1", "scarce", campaign_id=None, service=True))
    put_rows(world, "coupons", {"coupon_id": "x", "offer_id": "scarce", "member_id": "m9", "status": "issued"})
    assert [offer for _, offer in given(planned(world, None))].count("scarce") == 1


def test_what_cannot_be_planned_is_said(world: Database) -> None:
    with pytest.raises(NotFoundError, match="no such campaign"):
        planned(world, "c9")
    put_rows(world, "campaigns", {"campaign_id": "c2", "starts_at": NOW, "ends_at": NOW, "offers": ["old"]})
    with pytest.raises(InputError, match="no offer that can be given") as caught:
        planned(world, "c2")
    assert "old: It ended" in str(caught.value)


def test_the_plan_is_written_with_a_row_per_member(world: Database, tmp_path: Path) -> None:
    found = planned(world, budget_cents=250)
    assert write_plan(found, tmp_path / "plan.csv") == 4
    with (tmp_path / "plan.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == [
        "member_id",
        "offer_id",
        "expected_profit_cents",
        "expected_cost_cents",
        "redemption_probability",
        "propensity",
    ]
    assert [(row["member_id"], row["offer_id"]) for row in rows] == [
        ("m1", "ten"),
        ("m2", "ten"),
        ("m3", ""),
        ("staff", ""),
    ]
    assert [float(row["expected_profit_cents"]) for row in rows] == [40, 30, 0, 0]
    assert [float(row["expected_cost_cents"]) for row in rows] == [80, 80, 0, 0]
    assert [float(row["propensity"]) for row in rows] == [1, 1, 1, 1]
    write_plan(found, tmp_path / "plan.parquet")
    table = pyarrow.parquet.read_table(tmp_path / "plan.parquet").to_pydict()
    assert table["offer_id"] == ["ten", "ten", "", ""]
    with pytest.raises(InputError) as caught:
        write_plan(found, tmp_path / "plan.txt")
    assert caught.value.accepted == ".csv or .parquet"


def test_the_summary_names_money_proof_and_assumptions(
    world: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = planned(world, budget_cents=250)
    show_plan(found)
    shown = capsys.readouterr().out
    assert "Reach: 2 of 4 members, 2 coupons." in shown
    assert "2.00 discount at its upper confidence bound, of a budget of 2.50; 1.60 expected" in shown
    assert "Expected incremental profit: 0.70" in shown
    assert "assumed" in shown
    assert "Shadow price: 1 more of budget would earn 0." in shown
    assert "Left out of some or all offers (kind): 1 members." in shown
    document = plan_document(found)
    assert document["expected_profit_cents"]["mean"] == 70
    assert document["curve"][0] == {"budget_cents": 0, "profit_cents": 0.0, "shadow_price": pytest.approx(0.4, abs=0.5)}
    page = write_curve(found, tmp_path / "plan.csv")
    assert page == tmp_path / "plan.curve.html"
    html = page.read_text("utf-8")
    assert "<polyline" in html
    assert "利润曲线" in html
    assert "http" not in html


def test_exploring_plans_draw_the_same_lots_on_the_same_day(world: Database) -> None:
    first, second = planned(world, explore=0.5), planned(world, explore=0.5)
    assert given(first) == given(second)
    assert first.plan.figures.explorers == 2
