"""From sends to scores: train on a shop with a randomised campaign, then score pairs from the command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from recommender.bundle import Bundle
from recommender.cli import main
from recommender.coupons.kept_plans import Decided, KeptPlan
from recommender.coupons.models import CouponModels
from recommender.coupons.online import Newcomer, OnlineDecider
from recommender.coupons.pacing import Multipliers
from recommender.coupons.wallet import Turn, WalletRules
from recommender.events import member_subject
from recommender.filters import MaskCache
from recommender.ids import IdIndex
from recommender.lookup import QuerySource
from recommender.query import Scenario
from recommender.request import SlateRequest
from recommender.storage.live import LiveState
from tests.factories import put_rows
from tests.training.shops import END, MEMBERS, SENT
from training.offer_scores import OfferScorer
from training.page import to_html
from training.place import Place
from training.train import Trained


@pytest.fixture
def trained(coupon_shop: tuple[Place, Trained]) -> tuple[Place, Trained]:
    return coupon_shop


@pytest.fixture
def run(trained, monkeypatch):
    place, _ = trained
    monkeypatch.setenv("MEMBERWISE_HOME", str(place.settings.home))
    monkeypatch.setenv("MEMBERWISE_MODELS", str(place.settings.models))
    return lambda *arguments: CliRunner().invoke(main, ["offers", "score", *map(str, arguments)])


def pairs(tmp_path, *rows, columns=("member_id", "offer_id")):
    file = tmp_path / "pairs.csv"
    pd.DataFrame(rows, columns=list(columns)).to_csv(file, index=False)
    return file


def test_the_bundle_holds_models_and_the_report_tells_of_them(trained):
    place, result = trained
    bundle = place.registry.open(result.bundle_id)
    assert CouponModels.from_bundle(bundle) is not None
    assert not [name for name in bundle.manifest.files if name.endswith((".pkl", ".pickle"))]
    found = result.report["coupons"]
    assert found["waves"] == 1
    assert found["response"]["pairs"] == sum(send != 2 for send in _draws())
    assert "<h2>Coupons</h2>" in to_html(result.report)


def _draws():
    rng, found = np.random.default_rng(3), []
    for _ in MEMBERS:
        found.append(int(rng.integers(0, 3)))
        if found[-1] < 2:
            rng.random()
    return found


def test_profits_and_chances_of_pairs(run, tmp_path):
    out = tmp_path / "scores.csv"
    file = pairs(tmp_path, ("m00", "new0"), ("nobody", "new1"), ("m01", "nothing"), ("m00", "new1"))
    result = run("--pairs", file, "--at", END.isoformat(), "--out", out)
    assert result.exit_code == 0, result.output
    assert "1 pairs are of members of whom nothing is known." in result.output
    assert "There is no offer nothing." in result.output
    scores = pd.read_csv(out)
    assert list(scores.columns) == ["member_id", "offer_id", "score", "standard_error", "assumed"]
    assert np.isfinite(scores["score"]).tolist() == [True, True, False, True]
    assert (scores["standard_error"].dropna() >= 0).all()
    result = run("--pairs", file, "--at", END.isoformat(), "--outcome", "redemption", "--out", out)
    chance = pd.read_csv(out)["score"].dropna()
    assert ((chance > 0) & (chance < 1)).all()


def test_the_chance_that_anything_of_a_campaign_is_redeemed(run, tmp_path):
    out = tmp_path / "scores.parquet"
    file = pairs(tmp_path, ("m00", "next"), ("m01", "none"), columns=("member_id", "campaign_id"))
    result = run("--pairs", file, "--at", END.isoformat(), "--outcome", "redemption", "--out", out)
    assert result.exit_code == 0, result.output
    scores = pd.read_parquet(out)["score"]
    assert 0 < scores[0] < 1
    assert np.isnan(scores[1])


@pytest.mark.parametrize(
    ("rows", "columns", "said"),
    [
        ([("m00", "x")], ("member_id", "thing"), "lacks a column"),
        ([("m00", "x")], ("member_id", "offer_id"), "No pair can be scored"),
        ([("m00", "next")], ("member_id", "campaign_id"), "Profit is scored by offer"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(run, tmp_path, rows, columns, said):
    result = run(
        "--pairs", pairs(tmp_path, *rows, columns=columns), "--at", END.isoformat(), "--out", tmp_path / "o.csv"
    )
    assert result.exit_code == 2
    assert said in result.output


def test_pairs_score_as_they_do_among_all_members(trained):
    place, result = trained
    scorer = OfferScorer(place, place.registry.open(result.bundle_id), END)
    whole = scorer.scores(["new0", "new1"])
    assert whole.expected_profit_cents.shape == (len(MEMBERS), 2)
    assert (whole.cost_bound_cents >= whole.expected_cost_cents).all()
    from training.offer_scores import PairQuestion

    found = scorer.pairs(PairQuestion(np.array([5, 2], np.int32), scorer.offer_rows(["new1", "new0"])))
    assert found.profit_cents == pytest.approx(
        [whole.expected_profit_cents[5, 1], whole.expected_profit_cents[2, 0]], rel=1e-4, abs=1e-4
    )


def test_what_happened_later_does_not_count(trained):
    place, result = trained
    bundle = place.registry.open(result.bundle_id)
    early = OfferScorer(place, bundle, SENT)
    assert int(early.spending.purchases.minute.max()) * 60 < SENT.timestamp()
    assert len(early.history.redemptions.minute) == 0


def between(place: Place, bundle: Bundle, plan: KeptPlan, member_id: str) -> Sequence[Decided]:
    """Decide for a member at the end of the data, as the service does."""
    recommender = bundle.recommender()
    live = LiveState(place.database, recommender.items).current(END)
    source = QuerySource(bundle, place.database, place.settings.channel_kinds)
    query, _ = source.query(SlateRequest(Scenario.HOME, 1, subject=member_subject(member_id)), live, END)
    models = CouponModels.from_bundle(bundle)
    assert models is not None
    member = Newcomer(member_id, query.history, query.as_of)
    with place.database.read() as connection:
        turn = Turn(connection, WalletRules(), END)
        return OnlineDecider(models).decide(turn, plan, member, live.catalog, MaskCache())


def nobody_s_plan(
    scorer: OfferScorer, offer_ids: tuple[str, ...], cent_price: float = 0.0, charge: float = 0.0
) -> KeptPlan:
    """Return a plan that considered nobody."""
    none, nothing = np.empty(0, np.int32), np.empty(0, np.float32)
    multipliers = Multipliers("next", END, "b1", offer_ids, (charge,) * len(offer_ids), cent_price)
    assumed = np.zeros(len(offer_ids), bool)
    facts = scorer.facts(offer_ids)
    return KeptPlan(multipliers, IdIndex.of([]), none, none, nothing, nothing, nothing, assumed, facts)


def test_members_between_plans_are_decided_for_as_in_a_plan(trained: tuple[Place, Trained]) -> None:
    place, _ = trained
    bundle, offer_ids = place.registry.open(None), ("new0", "new1")
    scorer = OfferScorer(place, bundle, END)
    members = MEMBERS[:12]
    put_rows(place.database, "members", *({"member_id": one} for one in members))
    planned = scorer.scores(offer_ids)
    plain, subsidised = nobody_s_plan(scorer, offer_ids), nobody_s_plan(scorer, offer_ids, charge=-1000.0)
    agreed = 0
    for member_id in members:
        row = scorer.members.row(member_id)
        profit = planned.expected_profit_cents[row]
        (one,) = between(place, bundle, subsidised, member_id)
        agreed += offer_ids.index(one.offer_id) == int(profit.argmax())
        place_of = offer_ids.index(one.offer_id)
        assert one.campaign_id == "next"
        assert one.redemption == pytest.approx(float(planned.redemption_probability[row, place_of]), abs=0.05)
        assert one.profit_cents == pytest.approx(float(profit[place_of]), abs=2.0)
        assert len(between(place, bundle, plain, member_id)) == int(one.profit_cents > 0)
    assert agreed >= 10


def test_a_dear_cent_gives_nothing_between_plans_nor_does_a_campaign_that_is_over(
    trained: tuple[Place, Trained],
) -> None:
    place, _ = trained
    bundle = place.registry.open(None)
    scorer = OfferScorer(place, bundle, END)
    put_rows(place.database, "members", {"member_id": MEMBERS[0]})
    over = replace(nobody_s_plan(scorer, ("new0",)), multipliers=Multipliers("past", END, "b1", ("new0",), (0.0,), 0.0))
    assert between(place, bundle, over, MEMBERS[0]) == ()
    dear = nobody_s_plan(scorer, ("new0",), cent_price=1e6)
    dear = replace(dear, multipliers=replace(dear.multipliers, campaign_id=None))
    assert between(place, bundle, dear, MEMBERS[0]) == ()
