"""The Complete Journey's files, in small, become canonical tables by the loading rules."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet
import pytest

from recommender.columns import TABLES, check_columns
from training.complete_journey import write_tables

PRODUCTS = """
    (1, 69, 'GROCERY', 'Private', 'FLUID MILK PRODUCTS', 'FLUID MILK WHITE ONLY', '1 GA'),
    (2, 1, 'DRUG GM', 'National', 'CIGARETTES', 'CIGARETTES', null),
    (3, 2, 'FUEL', 'Private', 'COUPON/MISC ITEMS', 'GASOLINE-REG UNLEADED', null),
    (4, 2, 'PRODUCE', 'National', 'TROPICAL FRUIT', 'BANANAS', '40 LB'),
    (5, 3, 'SPIRITS', 'National', 'LIQUOR', 'MISC LIQUOR (RU', null)
"""
# Household 11 buys on New Year's Eve in New York, which is the next day in UTC.
LINES = """
    (10, 300, 7001, 1, 2, 5.00, 0.50, 0.25, 0.25, 5, timestamp '2017-02-01 15:00:00'),
    (10, 300, 7001, 3, 9000, 20.00, 0, 0, 0, 5, timestamp '2017-02-01 15:00:00'),
    (10, 300, 7001, 4, 0, 0.00, 0, 0, 0, 5, timestamp '2017-02-01 15:00:00'),
    (10, 301, 7002, 4, 1, 0.99, 0, 0, 0, 5, timestamp '2017-02-02 15:00:00'),
    (10, 300, 7004, 4, 1, 0.99, 0, 0, 0, 6, timestamp '2017-02-08 15:00:00'),
    (11, 301, 7003, 1, 1, 2.75, 0, 1.00, 0, 53, timestamp '2018-01-01 04:00:00')
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("package")
    tables = {
        "products": (PRODUCTS, "product_id, manufacturer_id, department, brand, product_category, product_type, "
                     "package_size"),
        "transactions": (LINES, "household_id, store_id, basket_id, product_id, quantity, sales_value, retail_disc, "
                         "coupon_disc, coupon_match_disc, week, transaction_timestamp"),
        "demographics": ("(10, '45-54')", "household_id, age"),
        "campaign_descriptions": ("(18, 'Type A', timestamp '2017-10-30', timestamp '2018-02-24')",
                                  "campaign_id, campaign_type, start_date, end_date"),
        "campaigns": ("(18, 11), (18, 99)", "campaign_id, household_id"),
        "coupons": ("(55, 1, 18), (55, 1, 18), (55, 3, 18), (56, 4, 18)", "coupon_upc, product_id, campaign_id"),
        "coupon_redemptions": ("(11, 55, 18, timestamp '2017-12-31'), (11, 56, 18, timestamp '2017-12-30')",
                               "household_id, coupon_upc, campaign_id, redemption_date"),
        "promotions": ("(1, 300, '9', 'A', 53), (1, 300, '0', 'D', 53), (3, 300, '1', '0', 53), (1, 300, '1', '0', 9)",
                       "product_id, store_id, display_location, mailer_location, week"),
    }  # fmt: skip
    for name, (rows, columns) in tables.items():
        target = folder / f"{name}.parquet"
        duckdb.execute(f"copy (select * from (values {rows}) as t({columns})) to '{target}' (format parquet)")
    return folder


@pytest.fixture(scope="module")
def tables(data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("tables")
    written: list[str] = []
    counts = write_tables(data, folder, 1.0, written.append)
    rows = {path.stem: pyarrow.parquet.read_table(path).to_pylist() for path in folder.iterdir()}
    assert written == list(counts)
    assert counts == {name: len(found) for name, found in rows.items()}
    return rows


def test_every_table_keeps_the_contract(tables: dict[str, list[dict[str, Any]]]) -> None:
    for name, rows in tables.items():
        assert check_columns(TABLES[name], list(rows[0])) == []
        assert all(row[column] is not None for row in rows for column in TABLES[name].required)


def test_events_are_sold_goods(tables: dict[str, list[dict[str, Any]]]) -> None:
    events = tables["events"]
    assert [event["event_id"] for event in events] == ["7001-1", "7002-4", "7004-4", "7003-1"]
    first = events[0]
    assert first["occurred_at"] == datetime(2017, 2, 1, 15, tzinfo=UTC)
    # Two for 5.00 after 0.50 and 0.25 off: 2.875 each on the shelf, and a coupon of 0.25 at the till.
    assert (first["quantity"], first["unit_price_cents"], first["discount_cents"]) == (2.0, 288, 100)
    assert (first["member_id"], first["item_id"], first["store_id"]) == ("10", "1", "300")


def test_items(tables: dict[str, list[dict[str, Any]]]) -> None:
    items = {item["item_id"]: item for item in tables["items"]}
    assert set(items) == {"1", "2", "4", "5"}
    assert items["1"]["title"] == "Fluid milk white only, 1 GA"
    assert items["4"]["title"] == "Bananas"
    assert items["5"]["title"] == "Misc liquor"
    assert items["1"]["category"] == "GROCERY > FLUID MILK PRODUCTS > FLUID MILK WHITE ONLY"
    assert items["1"]["brand"] == "Private label"
    assert [items[key]["restricted_class"] for key in ("1", "2", "5")] == [None, "tobacco", "alcohol"]
    assert items["4"]["price_cents"] == 99
    assert items["2"]["price_cents"] is None


def test_members_are_at_home_where_they_shop_most_and_adult_where_the_age_is_known(
    tables: dict[str, list[dict[str, Any]]],
) -> None:
    assert [(row["member_id"], row["home_store_id"], row["adult"]) for row in tables["members"]] == [
        ("10", "300", "true"),
        ("11", "301", "unknown"),
    ]


def test_campaigns_run_over_whole_local_days(tables: dict[str, list[dict[str, Any]]]) -> None:
    (campaign,) = tables["campaigns"]
    assert campaign["starts_at"] == datetime(2017, 10, 30, 4, tzinfo=UTC)
    assert campaign["ends_at"] == datetime(2018, 2, 25, 5, tzinfo=UTC)
    assert campaign["offers"] == '["18-55","18-56"]'
    assert [row["member_id"] for row in tables["sends"]] == ["11"]


def test_offers_have_no_face_value_but_an_assumed_one(tables: dict[str, list[dict[str, Any]]]) -> None:
    offers = {row["offer_id"]: row for row in tables["offers"]}
    assert offers["18-55"]["value"] is None
    assert [offers[key]["assumed_value_cents"] for key in ("18-55", "18-56")] == [100, 100]
    assert offers["18-55"]["title"] == "Coupon on fluid milk products"
    assert [(row["offer_id"], row["item_id"]) for row in tables["offer_items"]] == [("18-55", "1"), ("18-56", "4")]


def test_redemptions_find_their_order_on_the_local_day(tables: dict[str, list[dict[str, Any]]]) -> None:
    found = {row["offer_id"]: row for row in tables["redemptions"]}
    assert found["18-55"]["order_id"] == "7003"
    assert found["18-55"]["redeemed_at"] == datetime(2018, 1, 1, 4, tzinfo=UTC)
    assert found["18-55"]["discount_cents"] == 100
    assert found["18-56"]["order_id"] is None
    assert found["18-56"]["redeemed_at"] == datetime(2017, 12, 30, 17, tzinfo=UTC)


def test_promotions_of_the_last_weeks(tables: dict[str, list[dict[str, Any]]]) -> None:
    placements = [row["placement"] for row in tables["promotions"]]
    assert placements == ["display: secondary location", "mailer: front page", "mailer: interior page"]
    assert {row["starts_at"] for row in tables["promotions"]} == {datetime(2017, 12, 25, 5, tzinfo=UTC)}


def test_a_share_keeps_whole_households(data: Path, tmp_path: Path) -> None:
    # 10 and 11 times 2654435761, modulo 2 ** 32, are 0.18 and 0.80 of 2 ** 32.
    counts = write_tables(data, tmp_path, 0.5, lambda name: None)
    assert (counts["members"], counts["events"], counts["redemptions"]) == (1, 3, 0)
