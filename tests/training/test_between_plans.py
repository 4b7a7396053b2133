"""Decisions between plans by real models: who somebody is does not count, the floor holds, lots have their chance."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from recommender.bundle import Bundle
from recommender.coupons.decisions import Decision
from recommender.coupons.fairness import FairnessRules
from recommender.coupons.judging import Judgement, draw_ticket
from recommender.coupons.kept_plans import KeptPlan
from recommender.coupons.models import CouponModels
from recommender.coupons.online import Newcomer, OnlineDecider
from recommender.coupons.pacing import Multipliers
from recommender.coupons.refusals import Refusal
from recommender.coupons.wallet import Turn, WalletRules
from recommender.errors import BundleError
from recommender.events import member_subject
from recommender.filters import MaskCache
from recommender.ids import IdIndex
from recommender.lookup import QuerySource
from recommender.query import Scenario
from recommender.request import SlateRequest
from recommender.storage.database import open_database
from recommender.storage.live import LiveState
from tests.factories import put_rows
from tests.training.shops import END, MEMBERS
from training.offer_scores import OfferScorer
from training.place import Place
from training.train import Trained

OFFERS = ("new0", "new1")


@pytest.fixture
def shop(coupon_shop: tuple[Place, Trained], tmp_path: Path) -> Iterator[tuple[Place, Bundle]]:
    """A copy, to be changed."""
    original, _ = coupon_shop
    home = tmp_path / "home"
    shutil.copytree(original.settings.home, home)
    settings = replace(original.settings, home=home)
    place = Place(open_database(settings), settings)
    put_rows(place.database, "members", *({"member_id": one} for one in MEMBERS))
    yield place, place.registry.open(None)
    place.database.dispose()


def test_models_of_another_release_are_refused_with_what_to_do(shop: tuple[Place, Bundle]) -> None:
    _, bundle = shop
    arrays = {name: array for name, array in bundle.arrays.items() if name != "coupons.cost_levels"}
    with pytest.raises(BundleError, match=r"another release \('cost_levels'\)\. Train again with `memberwise train`"):
        CouponModels.from_bundle(replace(bundle, arrays=arrays))
    cut = {name: array[:-1] if name.startswith("coupons.buys.") else array for name, array in bundle.arrays.items()}
    with pytest.raises(BundleError, match="features in place of"):
        CouponModels.from_bundle(replace(bundle, arrays=cut))
    assert CouponModels.from_bundle(bundle) is not None


def plan_for(place: Place, bundle: Bundle, charge: float = -1000.0) -> KeptPlan:
    """Return a plan that considered nobody, and pays for every coupon."""
    none, nothing = np.empty(0, np.int32), np.empty(0, np.float32)
    multipliers = Multipliers("next", END, "b1", OFFERS, (charge,) * len(OFFERS), 0.0)
    facts = OfferScorer(place, bundle, END).facts(OFFERS)
    return KeptPlan(multipliers, IdIndex.of([]), none, none, nothing, nothing, nothing, np.zeros(2, bool), facts)


def judge(
    place: Place,
    bundle: Bundle,
    plan: KeptPlan,
    member_id: str,
    explore: float = 0.0,
    rules: WalletRules = WalletRules(),  # noqa: B008
) -> Judgement:
    live = LiveState(place.database, bundle.recommender().items).current(END)
    source = QuerySource(bundle, place.database, place.settings.channel_kinds)
    query, _ = source.query(SlateRequest(Scenario.HOME, 1, subject=member_subject(member_id)), live, END)
    models = CouponModels.from_bundle(bundle)
    assert models is not None
    member = Newcomer(member_id, query.history, query.as_of)
    with place.database.read() as connection:
        turn = Turn(connection, rules, END)
        return OnlineDecider(models, explore).judge(turn, plan, member, live.catalog, MaskCache())


def test_gender_age_city_and_device_change_no_score(shop: tuple[Place, Bundle]) -> None:
    place, bundle = shop
    plan = plan_for(place, bundle)
    before = OfferScorer(place, bundle, END).scores(OFFERS)
    given = [judge(place, bundle, plan, one).given for one in MEMBERS[:4]]
    who = ({"gender": "f", "device": "phone-9"}, {"gender": "m", "device": "tablet"})
    for number, member_id in enumerate(MEMBERS):
        put_rows(
            place.database,
            "members",
            {
                "member_id": member_id,
                "birth_date": date(1940 + number % 60, 5, 1),
                "city": ("Suzhou", "Wuxi")[number % 2],
                "attributes": who[number % 2],
            },
        )
    put_rows(place.database, "identities", {"namespace": "device", "value": "d1", "member_id": MEMBERS[0]})
    after = OfferScorer(place, bundle, END).scores(OFFERS)
    for name in ("expected_profit_cents", "expected_cost_cents", "cost_bound_cents", "redemption_probability"):
        assert np.array_equal(getattr(before, name), getattr(after, name)), name
    assert [judge(place, bundle, plan, one).given for one in MEMBERS[:4]] == given
    assert any(given)


def test_new_members_get_no_more_than_loyal_ones_per_head(shop: tuple[Place, Bundle]) -> None:
    place, bundle = shop
    member = MEMBERS[0]
    plan = plan_for(place, bundle)
    free = judge(place, bundle, plan, member)
    assert free.given is not None
    held = replace(plan, floors={frozenset(): 0.001})
    assert judge(place, bundle, held, member) == free  # loyal: nobody knows when they registered
    put_rows(place.database, "members", {"member_id": member, "registered_at": END - timedelta(days=10)})
    assert judge(place, bundle, plan, member) == free  # a plan without a floor
    kept_back = judge(place, bundle, held, member)
    assert kept_back.given is None
    assert set(kept_back.why) <= {Decision.LOYALTY_FLOOR, Decision.NO_GAIN}
    assert judge(place, bundle, replace(plan, floors={frozenset(): 1e6}), member) == free
    assert judge(place, bundle, replace(plan, floors={frozenset({"vip"}): 0.0}), member) == free  # another class
    off = WalletRules(fairness=FairnessRules(new_days=0))
    assert judge(place, bundle, held, member, rules=off) == free
    spent = replace(plan, floors={frozenset(): 1e6})
    assert judge(place, bundle, spent, member) == free
    with place.database.write() as connection:
        connection.exec_driver_sql(
            "INSERT INTO wallet_coupons (coupon_id, offer_id, member_id, campaign_id, status, service, issued_at,"
            f" discount_cents) VALUES ('x', 'old', '{member}', 'past', 'redeemed', 0,"
            f" {int((END - timedelta(days=5)).timestamp() * 1e6)}, 1000000)"
        )
    assert judge(place, bundle, spent, member).given is None


def test_nothing_outside_the_published_range_is_decided(shop: tuple[Place, Bundle]) -> None:
    place, bundle = shop
    rules = WalletRules(fairness=FairnessRules(most_cents=1, most_percent=0.0))
    found = judge(place, bundle, plan_for(place, bundle), MEMBERS[0], rules=rules)
    assert found == Judgement(None, (Refusal.OUTSIDE_RANGE,) * 2)


def test_every_offer_has_its_reason(shop: tuple[Place, Bundle]) -> None:
    place, bundle = shop
    found = judge(place, bundle, plan_for(place, bundle), MEMBERS[0])
    assert found.given is not None
    assert sorted(found.why) in ([Decision.BEST_WORTH, Decision.NO_GAIN], [Decision.BEST_WORTH, Decision.OTHER_OFFER])
    assert found.given.reason == Decision.BEST_WORTH
    dear = judge(place, bundle, plan_for(place, bundle, charge=1e9), MEMBERS[0])
    assert dear.given is None
    assert set(dear.why) <= {Decision.OUTBID, Decision.NO_GAIN}


def test_lots_are_drawn_with_the_chance_that_is_recorded(shop: tuple[Place, Bundle]) -> None:
    place, bundle = shop
    plan = plan_for(place, bundle)
    share, tickets = 0.5, len(OFFERS) + 1
    drawn = {one: draw_ticket(one, plan.multipliers, share, END) for one in MEMBERS}
    explorers = [one for one in MEMBERS if drawn[one] is not None]
    assert 0 < len(explorers) < len(MEMBERS)
    seen = set()
    for member in MEMBERS[:20]:
        best = judge(place, bundle, plan, member).given
        assert best is not None
        assert best.propensity == 1.0
        found = judge(place, bundle, plan, member, explore=share)
        ticket = drawn[member]
        if ticket is None:
            assert found.given == replace(best, propensity=0.5 + 0.5 / tickets)
        elif ticket == len(OFFERS):
            assert found == Judgement(None, found.why)
            assert set(found.why) <= {Decision.LOST_THE_DRAW, Decision.NO_GAIN}
        else:
            assert found.given is not None
            assert (found.given.offer_id, found.given.reason) == (OFFERS[ticket], Decision.DRAWN)
            same = OFFERS[ticket] == best.offer_id
            assert found.given.propensity == pytest.approx(0.5 / tickets + (0.5 if same else 0.0))
        seen.add(ticket)
    assert None in seen
    assert seen & {0, 1}


def test_draws_are_even_and_another_day_draws_anew() -> None:
    multipliers = Multipliers("c", END, "b", ("a", "b", "c"), (0.0,) * 3, 0.0)
    names = [f"m{number}" for number in range(20_000)]
    found = [draw_ticket(name, multipliers, 0.2, END) for name in names]
    counts = [found.count(ticket) for ticket in (0, 1, 2, 3)]
    # 20,000 members, one in five draws one of four tickets: 1,000 each, with a standard error of 31.
    assert all(abs(count - 1000) < 150 for count in counts)
    assert found == [draw_ticket(name, multipliers, 0.2, END + timedelta(seconds=1)) for name in names]
    assert found != [draw_ticket(name, multipliers, 0.2, END + timedelta(days=1)) for name in names]
    assert {draw_ticket(name, multipliers, 0.0, END) for name in names} == {None}
