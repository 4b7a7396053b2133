"""Past campaigns as waves: who got what, who was held out, what was redeemed, what each offer covers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from recommender.events import EventKind, member_subject
from recommender.settings import CoreSettings
from recommender.storage.events import append_events
from tests.factories import make_event, put_rows
from training.sends import read_coupon_history, waves
from training.spending import read_spending

START = datetime(2026, 1, 5, tzinfo=UTC)
UNTIL = START + timedelta(days=50)


@pytest.fixture
def shop(sqlite_database, tmp_path):
    items = [
        {"item_id": "milk", "category": "food > dairy", "brand": "cow", "price_cents": 200, "cost_cents": 150},
        {"item_id": "bread", "category": "food>bakery", "price_cents": 300},
        {"item_id": "wine", "category": "food > wine", "restricted_class": "alcohol", "price_cents": 900},
    ]
    put_rows(sqlite_database, "items", *items)
    put_rows(sqlite_database, "members", *({"member_id": f"m{number}"} for number in range(4)))
    put_rows(sqlite_database, "members", {"member_id": "staff", "kind": "employee"})
    offers = [
        {"offer_id": "dairy", "kind": "amount_off", "value": 50, "scope": '{"categories": ["food>dairy"]}'},
        {"offer_id": "cow", "kind": "percent_off", "value": 1000, "scope": '{"brands": ["cow"]}'},
        {"offer_id": "food", "kind": "amount_off", "value": 100, "scope": '{"categories": ["food"]}'},
        {"offer_id": "broken", "kind": "amount_off", "value": 0},
    ]
    put_rows(sqlite_database, "offers", *offers)
    put_rows(sqlite_database, "offers", {"offer_id": "listed", "kind": "amount_off", "value": 10})
    put_rows(sqlite_database, "offer_items", {"offer_id": "listed", "item_id": "bread"})
    return sqlite_database, CoreSettings(home=tmp_path, hash_key="0123456789abcdef")


def read(shop):
    database, settings = shop
    spending = read_spending(database, settings, UNTIL)
    return spending, read_coupon_history(database, spending, UNTIL)


def campaign(shop, campaign_id="c", days=14, offers='["dairy", "cow"]', **more):
    row = {"campaign_id": campaign_id, "starts_at": START, "ends_at": START + timedelta(days=days), "offers": offers}
    put_rows(shop[0], "campaigns", row | more)


def send(shop, member, offer=None, arm="treated", propensity=None, campaign_id="c", day=0):
    row = {"campaign_id": campaign_id, "member_id": member, "sent_at": START + timedelta(days=day), "arm": arm}
    put_rows(shop[0], "sends", row | {"offer_id": offer or "", "propensity": propensity})


def redeem(shop, member, offer, day, cents=50):
    row = {"redemption_id": f"{member}{offer}{day}", "member_id": member, "offer_id": offer, "discount_cents": cents}
    put_rows(shop[0], "redemptions", row | {"redeemed_at": START + timedelta(days=day)})


def test_offers_cover_items_by_category_brand_and_list_but_no_restricted_goods(shop):
    spending, history = read(shop)
    names = spending.items.ids(np.arange(len(spending.items)))
    covered = {
        offer.offer_id: {names[row] for row in history.shelf.covers[:, place].indices}
        for place, offer in enumerate(history.shelf.offers)
    }
    assert covered == {"cow": {"milk"}, "dairy": {"milk"}, "food": {"milk", "bread"}, "listed": {"bread"}}
    assert set(history.shelf.unusable) == {"broken"}


def test_a_wave_says_who_got_what_and_who_was_held_out(shop):
    campaign(shop)
    send(shop, "m0", "dairy", propensity=0.4)
    send(shop, "m1", "cow", propensity=0.4)
    send(shop, "m2", arm="holdout", propensity=0.2)
    send(shop, "staff", "cow", propensity=0.4)
    redeem(shop, "m0", "dairy", 3)
    redeem(shop, "m1", "cow", 20)
    spending, history = read(shop)
    (wave,) = waves(history, len(spending.members))
    assert [history.shelf.offers[row].offer_id for row in wave.offer_rows] == ["cow", "dairy"]
    assert spending.members.ids(wave.member_row) == ["m0", "m1", "m2"]
    assert wave.given.tolist() == [[False, True], [True, False], [False, False]]
    assert wave.control.tolist() == [[False, False], [False, False], [True, True]]
    assert wave.redeemed.tolist() == [[False, True], [False, False], [False, False]]
    assert wave.propensity[2].tolist() == pytest.approx([0.2, 0.2])
    assert wave.window_days == 14
    assert not wave.listed


def test_sends_without_an_offer_are_of_all_the_campaigns_offers(shop):
    campaign(shop, message='{"type": "mail"}')
    send(shop, "m0")
    spending, history = read(shop)
    (wave,) = waves(history, len(spending.members))
    assert wave.listed
    assert wave.given.tolist() == [[True, True]]
    assert np.isnan(wave.propensity).all()
    assert history.kinds == ("mail",)


def test_campaigns_that_have_not_ended_and_unknown_offers_are_left_out(shop):
    campaign(shop, "late", days=100)
    send(shop, "m0", "dairy", campaign_id="late")
    campaign(shop, "odd")
    send(shop, "m1", "nothing", campaign_id="odd")
    send(shop, "m1", "broken", campaign_id="odd")
    spending, history = read(shop)
    assert [wave.campaign.campaign_id for wave in waves(history, len(spending.members))] == []


def test_margins_use_costs_where_they_are_known_and_the_setting_where_not(shop):
    database, _ = shop
    kept = {"kind": EventKind.PURCHASE, "occurred_at": START, "quantity": 2.0, "unit_price_cents": 200}
    events = [
        make_event("e1", "m0", item_id="milk", discount_cents=20, coupon_id="x", **kept),
        make_event("e2", "m0", item_id="bread", **kept),
        make_event("e3", "staff", item_id="milk", **kept),
    ]
    assert all(event.subject != member_subject("m1") for event in events)
    with database.write() as connection:
        append_events(connection, events, UNTIL)
    spending, _ = read(shop)
    lines = spending.purchases
    assert spending.items.ids(lines.item_row) == ["bread", "milk"]
    assert lines.paid_cents.tolist() == [400, 380]
    assert lines.couponed.tolist() == [False, True]
    assert spending.margin_cents.tolist() == pytest.approx([100, 80])
    assert spending.assumed == pytest.approx(400 / 780)


def test_what_holdouts_say_of_their_chance_is_understood_either_way(shop):
    campaign(shop)
    for member in ("m0", "m1", "m2"):
        send(shop, member, "dairy", propensity=0.75)
    send(shop, "m3", arm="holdout", propensity=0.75)
    spending, history = read(shop)
    (wave,) = waves(history, len(spending.members))
    assert wave.propensity[3].tolist() == pytest.approx([0.25])


def test_a_send_that_names_no_offer_among_others_that_do_says_nothing(shop):
    campaign(shop)
    send(shop, "m0", "dairy", propensity=0.5)
    send(shop, "m1", propensity=0.5)
    spending, history = read(shop)
    (wave,) = waves(history, len(spending.members))
    assert wave.given.tolist() == [[True], [False]]
    assert not wave.control.any()


def test_a_history_that_ends_the_evening_before_a_campaign_does_is_whole(shop):
    campaign(shop, days=50.5)
    send(shop, "m0", "dairy")
    spending, history = read(shop)
    assert len(waves(history, len(spending.members))) == 1
