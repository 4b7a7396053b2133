"""Figures across channels, worked out by hand on a shop of five customers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from recommender.campaigns.kpi_texts import DEFINITIONS, GroupBy
from recommender.campaigns.kpis import Asked, read_kpis
from recommender.errors import InputError
from recommender.events import Event, EventKind, member_subject
from recommender.intervals import wilson
from recommender.settings import CoreSettings
from recommender.storage.database import Database
from recommender.storage.events import append_events
from recommender.storage.tables import answers as answers_table
from recommender.storage.tables import exposures
from recommender.storage.wallet_tables import coupon_ledger, wallet_coupons
from tests.factories import put_rows
from tests.recommender.campaigns.report_world import make_rows, write_rows

START, END = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)
NOW = END + timedelta(days=100)
MARCH = Asked(START, END)


def day(number: float) -> datetime:
    """Return noon of a day of March; 0 and below: before."""
    return START + timedelta(days=number - 1, hours=12)


def act(who: str | None, at: float, kind: str, item: str | None = "milk", channel: str = "pos", **said: Any) -> Event:
    subject = who if who is None or ":" in who else member_subject(who)
    number = f"{who}-{at}-{kind}-{item}-{channel}"
    return Event(number, day(at), EventKind(kind), channel, subject, item, **said)


def buy(who: str | None, at: float, cents: int, item: str = "milk", channel: str = "pos", **said: Any) -> Event:
    order = f"o-{who}-{at}-{channel}"
    place = {"store_id": "s1"} if channel == "pos" and "store_id" not in said else {}
    return act(
        who, at, "purchase", item, channel, order_id=order, unit_price_cents=cents, quantity=1.0, **place, **said
    )


EVENTS = [
    # ann looks at milk in the app, buys it in s1 three days later, and bread online with a discount a week after that.
    act("ann", 2, "view", channel="app"),
    buy("ann", 5, 1000),
    buy("ann", 12, 600, "bread", "web", discount_cents=100, attributes='{"fulfilment_cost_cents": 450}'),
    # bob looks at milk by a phone that is linked to him, and buys it in s2 too late; he had bought in February.
    act("wechat_openid:bob", 1, "view", channel="mini_program"),
    buy("bob", -20, 300),
    buy("bob", 10, 2000, store_id="s2"),
    # cat buys twice in s1; she looked at other things.
    act("cat", 3, "basket_add", "tea", channel="web"),
    buy("cat", 4, 500),
    buy("cat", 20, 700),
    # dan bought in February only; somebody unknown buys; an employee does not count as a customer.
    buy("dan", -10, 900),
    buy(None, 6, 400),
    buy("eve", 7, 800, attributes='{"fulfilment_cost_cents": "x"}'),
    # What was cancelled or given back does not count.
    buy("cat", 21, 5000, status="cancelled"),
    buy("cat", 22, 3000, "tea"),
    act("cat", 23, "return", "tea", order_id="o-cat-22-pos", quantity=1.0),
    act("ann", 13, "survey", None, "app", value=10.0),
    act("bob", 14, "survey", None, "app", value=9.0),
    act("cat", 15, "survey", None, "pos", store_id="s1", value=3.0),
    act("dan", 15, "survey", None, "pos", store_id="s1", value=8.0),
]


@pytest.fixture
def settings(tmp_path: Path) -> CoreSettings:
    return CoreSettings(home=tmp_path / "home")


@pytest.fixture
def shop(database: Database) -> Database:
    put_rows(database, "stores", {"store_id": "s1", "region": "east"}, {"store_id": "s2", "region": "west"})
    put_rows(database, "items", {"item_id": "milk", "cost_cents": 100}, {"item_id": "bread"}, {"item_id": "tea"})
    people = [{"member_id": name} for name in ("ann", "bob", "cat", "dan")]
    put_rows(database, "members", *people, {"member_id": "eve", "kind": "employee"})
    put_rows(database, "identities", {"namespace": "wechat_openid", "value": "bob", "member_id": "bob"})
    with database.write() as connection:
        append_events(connection, EVENTS, NOW)
    return database


def figures(report: Any, group: str | None = None) -> dict[str, Any]:
    found: dict[str, Any] = next(one["figures"] for one in report["groups"] if one["group"] == group)
    return found


def counted(report: Any, name: str, group: str | None = None) -> tuple[int, int]:
    found = figures(report, group)[name]
    return found["counted"], found["of"]


def test_everything_together(shop: Database, settings: CoreSettings) -> None:
    report = read_kpis(shop, settings, MARCH, NOW)
    # 1000 + 500 of ann, 2000 of bob, 1200 of cat, 400 of nobody, 800 of the employee; seven orders.
    assert counted(report, "sales") == (5900, 7)
    assert counted(report, "known_sales") == (4700, 5900)
    assert counted(report, "customers") == (3, 0)
    assert counted(report, "online_sales") == (500, 5900)
    assert counted(report, "omnichannel_customers") == (1, 3)
    assert counted(report, "omnichannel_sales") == (1500, 4700)
    # ann, bob and cat looked at something online; ann bought it in a shop in time, bob nine days later.
    assert counted(report, "browse_to_store") == (1, 3)
    assert counted(report, "browsed_store_sales") == (1000, 5400)
    assert counted(report, "store_to_online") == (1, 3)
    # ann and cat have two orders; of bob and dan, who bought in February, bob came again.
    assert counted(report, "repurchase") == (2, 3)
    assert counted(report, "retention") == (1, 2)
    share = wilson(1 / 3, 3)
    found = figures(report)
    assert found["browse_to_store"] == {
        "value": pytest.approx(share.value),
        "low": pytest.approx(share.low),
        "high": pytest.approx(share.high),
        "counted": 1,
        "of": 3,
    }
    # Two promoters, one detractor of four.
    assert (found["nps"]["value"], found["nps"]["of"]) == (25, 4)
    assert (found["fulfilment_cost"]["value"], found["fulfilment_cost"]["of"]) == (450, 1)
    assert found["incremental_sales"] is None
    assert report["notes"] == ["no_campaign"]
    assert set(found) | {"cohorts"} == set(DEFINITIONS)


def test_by_store_region_and_channel(shop: Database, settings: CoreSettings) -> None:
    by_store = read_kpis(shop, settings, Asked(START, END, GroupBy.STORE), NOW)
    assert [one["group"] for one in by_store["groups"]] == ["", "s1", "s2"]
    assert counted(by_store, "sales", "s1") == (3400, 5)
    assert counted(by_store, "repurchase", "s1") == (1, 2)
    assert counted(by_store, "browse_to_store", "s1") == (1, 3)
    assert figures(by_store, "s1")["nps"]["of"] == 2
    assert figures(by_store, "s2")["nps"] is None
    assert figures(by_store, "s1")["redemption"] is None
    by_region = read_kpis(shop, settings, Asked(START, END, GroupBy.REGION), NOW)
    assert counted(by_region, "sales", "west") == (2000, 1)
    by_channel = read_kpis(shop, settings, Asked(START, END, GroupBy.CHANNEL), NOW)
    assert counted(by_channel, "sales", "web") == (500, 1)
    assert figures(by_channel, "web")["discounts"] is None
    assert "no_channel" in by_channel["notes"]


def test_only_some_places(shop: Database, settings: CoreSettings) -> None:
    west = read_kpis(shop, settings, Asked(START, END, region="west"), NOW)
    assert counted(west, "sales") == (2000, 1)
    assert counted(west, "retention") == (0, 0)
    shops = read_kpis(shop, settings, Asked(START, END, channel="pos"), NOW)
    assert counted(shops, "sales") == (5400, 6)
    # What she bought online is still how ann came back, and makes her an omnichannel customer.
    assert counted(shops, "store_to_online") == (1, 3)
    assert counted(shops, "omnichannel_customers") == (1, 3)
    nowhere = read_kpis(shop, settings, Asked(START, END, store_id="s9"), NOW)
    assert counted(nowhere, "sales") == (0, 0)


def test_cohorts(shop: Database, settings: CoreSettings) -> None:
    whole = Asked(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 5, 1, tzinfo=UTC))
    report: Any = read_kpis(shop, settings, whole, NOW)
    february, march = report["cohorts"]
    assert (february["cohort"], february["customers"]) == ("2026-02", 2)
    assert (march["cohort"], march["customers"]) == ("2026-03", 2)
    # bob bought again 30 days after his first purchase, dan never; ann after 7 days and cat after 16.
    assert february["repurchased"]["within_30_days"]["value"] == 0.5
    assert march["repurchased"]["within_30_days"]["value"] == 1
    assert march["repurchased"]["within_60_days"] is None
    assert [one["share"] and one["share"]["value"] for one in february["retained"]][:3] == [0.5, 0, None]


def test_what_sql_keeps(shop: Database, settings: CoreSettings) -> None:
    coupon = {"offer_id": "o", "member_id": "ann", "service": False, "issued_at": day(3), "discount_cents": 0}
    line = {"offer_id": "o", "reserved_cents": 0, "caller": "till", "status": "redeemed"}
    shown = {"item_id": "milk", "scenario": "home", "strategy": "s", "store_id": "s1", "channel": "app"}
    with shop.write() as connection:
        connection.execute(
            wallet_coupons.insert(),
            [{**coupon, "coupon_id": "k1", "status": "redeemed"}, {**coupon, "coupon_id": "k2", "status": "issued"}],
        )
        connection.execute(
            coupon_ledger.insert(),
            [
                {**line, "coupon_id": "k1", "entry": "redeem", "spent_cents": 300, "at": day(8), "store_id": "s1"},
                {**line, "coupon_id": "k1", "entry": "rollback", "spent_cents": -300, "at": day(8), "store_id": "s1"},
                {**line, "coupon_id": "k1", "entry": "redeem", "spent_cents": 300, "at": day(9), "store_id": "s2"},
            ],
        )
        connection.execute(
            exposures.insert(),
            [
                {**shown, "recommendation_id": f"r{n}", "position": p, "occurred_at": day(n)}
                | {"subject": "member:ann", "revenue_cents": 100 * n, "assisted_cents": 7}
                for n in (1, 2, 40)
                for p in (1, 2)
            ],
        )
        connection.execute(
            answers_table.insert(),
            [
                {"recommendation_id": f"r{n}", "subject": "member:ann", "occurred_at": day(n), "dropped": dropped}
                for n, dropped in ((1, '{"out_of_stock":3}'), (2, '{"cooled":1}'), (40, '{"out_of_stock":1}'))
            ],
        )
    put_rows(
        shop,
        "redemptions",
        {
            "redemption_id": "x",
            "member_id": "bob",
            "offer_id": "o",
            "redeemed_at": day(4),
            "store_id": "s2",
            "discount_cents": 50,
        },
    )
    report = read_kpis(shop, settings, MARCH, NOW)
    assert counted(report, "redemption") == (1, 2)
    assert counted(report, "discounts") == (350, 2)
    assert counted(report, "attributed_sales") == (600, 4)
    assert counted(report, "assisted_sales") == (28, 4)
    assert counted(report, "sold_out_avoided") == (1, 2)
    by_store = read_kpis(shop, settings, Asked(START, END, GroupBy.STORE), NOW)
    assert counted(by_store, "discounts", "s2") == (350, 2)
    assert counted(by_store, "sold_out_avoided", "s1") == (1, 2)


def test_what_campaigns_added(sqlite_database: Database, settings: CoreSettings) -> None:
    from recommender.campaigns.report import read_report
    from tests.factories import NOW as TODAY
    from tests.recommender.campaigns.report_world import CAMPAIGN

    write_rows(sqlite_database, settings, make_rows())
    asked = Asked(TODAY - timedelta(days=30), TODAY)
    found = figures(read_kpis(sqlite_database, settings, asked, TODAY))["incremental_sales"]
    campaign: Any = read_report(sqlite_database, settings, CAMPAIGN, TODAY)
    total = campaign["effects"]["sales"]["adjusted"]["total"]
    assert found["of"] == 1
    assert (found["value"], found["low"]) == (pytest.approx(total["value"]), pytest.approx(total["low"]))
    before = Asked(TODAY - timedelta(days=300), TODAY - timedelta(days=200))
    assert figures(read_kpis(sqlite_database, settings, before, TODAY))["incremental_sales"] is None


def test_an_empty_installation_says_so(sqlite_database: Database, settings: CoreSettings) -> None:
    report = read_kpis(sqlite_database, settings, MARCH, NOW)
    found = figures(report)
    assert (found["sales"]["value"], found["repurchase"]["value"], found["nps"]) == (0, None, None)
    assert report["notes"] == ["no_survey", "no_fulfilment", "no_campaign"]
    with pytest.raises(InputError, match="no time"):
        read_kpis(sqlite_database, settings, Asked(END, START), NOW)
