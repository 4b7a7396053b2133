"""What deliveries write down is what training reads: a campaign's groups count as randomised."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from recommender.campaigns.leases import note_sends, take_due
from recommender.campaigns.outbox import NewDelivery, State, enqueue
from recommender.events import EventKind, member_subject
from recommender.settings import CoreSettings
from recommender.storage.campaign_tables import campaign_members
from recommender.storage.events import append_events
from tests.factories import make_event, put_rows
from training.coupon_report import report_coupons
from training.fit.coupons import fit_coupons
from training.sends import read_coupon_history, waves
from training.spending import read_spending

START = datetime(2026, 1, 5, tzinfo=UTC)
UNTIL = START + timedelta(days=30)
CHANCE, OFFER_CHANCE = 0.6, 0.9
MEMBERS = [f"m{number:03d}" for number in range(400)]
ARMS = {
    member: "treated" if number % 5 < 3 else ("holdout" if number % 5 == 3 else "global_holdout")
    for number, member in enumerate(MEMBERS)
}


@pytest.fixture
def shop(database, tmp_path):
    put_rows(database, "items", {"item_id": "milk", "category": "dairy", "price_cents": 200, "cost_cents": 150})
    put_rows(database, "members", *({"member_id": member} for member in MEMBERS))
    put_rows(database, "offers", {"offer_id": "o", "kind": "amount_off", "value": 50})
    ends = {"starts_at": START, "ends_at": START + timedelta(days=14), "offers": '["o"]'}
    put_rows(database, "campaigns", {"campaign_id": "c", **ends})
    rng = np.random.default_rng(3)
    bought = [
        make_event(
            f"{member}-{day}",
            kind=EventKind.PURCHASE,
            subject=member_subject(member),
            item_id="milk",
            quantity=1.0,
            occurred_at=START + timedelta(days=float(day)),
        )
        for member in MEMBERS
        for day in rng.integers(-60, 14, 4)
    ]
    with database.write() as connection:
        append_events(connection, bought, UNTIL)
    return database, CoreSettings(home=tmp_path, hash_key="0123456789abcdef")


def deliver(database):
    """Assign, queue and send as a campaign does; the transport itself is left out."""
    row = {"campaign_id": "c", "propensity": CHANCE, "offer_id": "o", "offer_propensity": OFFER_CHANCE}
    groups = [
        {**row, "member_id": member, "unit": f"member:{member}", "arm": arm, "assigned_at": START}
        for member, arm in ARMS.items()
    ]
    messages = [
        NewDelivery("c", member, f"member:{member}", arm, CHANCE, "webhook", START, offer_id="o")
        for member, arm in ARMS.items()
    ]
    with database.write() as connection:
        connection.execute(campaign_members.insert(), groups)
        enqueue(connection, messages, START)
    with database.write() as connection:
        taken = take_due(connection, "c", "webhook", State.PENDING, len(messages), START)
        note_sends(connection, taken, START)


def test_a_delivered_campaign_is_read_as_randomised(shop):
    database, settings = shop
    deliver(database)
    spending = read_spending(database, settings, UNTIL)
    history = read_coupon_history(database, spending, UNTIL)
    (wave,) = waves(history, len(spending.members))
    treated = np.array([ARMS[name] == "treated" for name in spending.members.ids(wave.member_row)])
    assert len(treated) == len(MEMBERS)
    assert wave.given[:, 0].tolist() == treated.tolist()
    assert wave.control[:, 0].tolist() == (~treated).tolist()
    assert wave.propensity[treated, 0] == pytest.approx(CHANCE * OFFER_CHANCE)
    assert wave.propensity[~treated, 0] == pytest.approx(1 - CHANCE)
    fit = fit_coupons(spending, history, 0.0, 7)
    assert fit is not None
    assert not fit.fitted.model.assumed
    assert fit.fitted.randomised.all()
    assert "were randomised" in report_coupons(fit, 7).statement


def test_without_anybody_kept_back_it_is_not(shop):
    database, settings = shop
    deliver(database)
    with database.write() as connection:
        connection.exec_driver_sql("DELETE FROM sends WHERE arm = 'holdout'")
    spending = read_spending(database, settings, UNTIL)
    fit = fit_coupons(spending, read_coupon_history(database, spending, UNTIL), 0.0, 7)
    assert fit is not None
    assert fit.fitted.model.assumed
