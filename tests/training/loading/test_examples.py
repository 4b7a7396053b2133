"""The example mappings in docs/mappings, each with its export: what they load, worked out by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.training.loading.intake import Intake
from tests.training.loading.test_rejects import rejected
from training.sources.mapping_file import read_mapping

EXAMPLES = Path(__file__).parents[3] / "docs" / "mappings"


def example(intake: Intake, name: str, suffix: str = "csv") -> list[tuple[int, str, str, str]]:
    """Load an example and return its rejects; loading it again must add nothing."""
    export, mapping = EXAMPLES / f"{name}.{suffix}", EXAMPLES / f"{name}.toml"
    report = intake.load(export, mapping=mapping)
    assert report.failed == ()
    again = intake.load(export, mapping=mapping)
    assert all(counts.added == counts.changed == 0 for file in again.files for counts in file.tables)
    return rejected(report)


def at(month: int, day: int, hour: int, minute: int, second: int = 0, micros: int = 0) -> datetime:
    return datetime(2024, month, day, hour, minute, second, micros, tzinfo=UTC)


def test_till(intake: Intake) -> None:
    assert example(intake, "till") == [
        (9, "销售日期 + 销售时间", "2024/13/31 20:20:00", "not_a_time"),
        (10, "单价", "8.005", "not_money"),
        (11, "交易类型", "挂单", "unknown_value"),
        (12, "", "", "wrong_columns"),
    ]
    names = ("event_id", "occurred_at", "kind", "subject", "item_id", "quantity", "unit_price_cents", "discount_cents")
    assert intake.events(*names) == [
        ("S01-00012345-1", at(5, 31, 1, 5, 12), "purchase", "member:80001", "6901234567892", 2.0, 1250, 100),
        ("S01-00012345-2", at(5, 31, 1, 5, 12), "purchase", "member:80001", "00801", 0.752, 1580, None),
        ("S01-00012346-1", at(5, 31, 1, 30), "purchase", None, "6901234000016", 1.0, 100660, 0),
        ("S02-00022001-1", at(5, 31, 12, 15), "return", "member:80002", "6922222000016", 1.0, 800, None),
        ("S02-00022002-1", at(5, 31, 12, 16, 30), "purchase", "member:80001", "6922222000016", 3.0, 800, 240),
    ]
    assert intake.events("channel", "store_id", "order_id", "order_line", "fulfilment", "source")[1] == (
        ("pos", "S01", "S01-00012345", "2", "in_store", "till")
    )


def test_erp(intake: Intake) -> None:
    assert example(intake, "erp") == [(8, "进价", "待定", "not_money")]
    names = ("item_id", "title", "category", "brand", "price_cents", "cost_cents", "sale_unit", "restricted_class")
    assert intake.rows("items", *names) == [
        ("00801", "红富士苹果", "生鲜 > 水果", None, 1580, 800, "千克", None),
        ("6901234567892", "纯牛奶 1L", "食品 > 乳品 > 牛奶", "晨光牧场", 1250, 920, "盒", None),
        ("6922222000016", "酸奶 200g", "食品 > 乳品 > 酸奶", "晨光牧场", 800, 500, "杯", None),
        ("6955555000013", "金叶香烟", "烟酒 > 香烟", "金叶", 4500, 3800, "包", "tobacco"),
        ("6966666000010", "老窖白酒", "烟酒 > 白酒", "老窖", 12800, 8800, "瓶", "alcohol"),
    ]
    assert intake.rows("inventory", "store_id", "item_id", "on_hand", "as_of") == [
        ("S01", "00801", 35.5, at(5, 31, 14, 0)),
        ("S01", "6901234567892", 120.0, at(5, 31, 14, 0)),
        ("S01", "6955555000013", 50.0, at(5, 31, 14, 0)),
        ("S01", "6977777000017", 24.0, at(5, 31, 14, 0)),
        ("S02", "6901234567892", 0.0, at(5, 31, 14, 5)),
        ("S02", "6922222000016", 64.0, at(5, 31, 14, 5)),
        ("S02", "6966666000010", 12.0, at(5, 31, 14, 5)),
    ]


def test_shop_orders(intake: Intake) -> None:
    assert example(intake, "shop-orders") == [(6, "收货手机", "", "not_an_identity")]
    names = ("event_id", "occurred_at", "kind", "order_id", "status", "quantity", "unit_price_cents", "discount_cents")
    first, second, third = "186900000000001", "186900000000002", "186900000000003"
    assert intake.events(*names) == [
        (f"{first}001", at(5, 31, 2, 0), "purchase", first, "completed", 6.0, 1200, 600),
        (f"{first}002", at(5, 31, 2, 0), "purchase", first, "completed", 2.0, 750, 0),
        (f"{second}001", at(5, 31, 3, 20), "purchase", second, "unpaid", 1.0, 100660, 10000),
        (f"{third}001", at(6, 1, 0, 5), "purchase", third, "部分发货", 1.0, 800, None),
        (f"refund-{first}002", at(6, 2, 1, 30), "return", first, None, 2.0, 750, None),
    ]
    one, same, other, again, refunded = intake.events("subject")
    assert one == same == again == refunded != other
    assert one.startswith("phone:h1:")
    assert [found for digits in ("13800138000", "138-0013-8000", "139001") for found in intake.holds(digits)] == []


def test_mini_program(intake: Intake) -> None:
    assert example(intake, "mini-program", "jsonl") == [(8, "", "", "malformed_json")]
    names = ("occurred_at", "kind", "channel", "subject", "item_id", "store_id", "attributes")
    view = ("view", "mini_program", "wechat_openid:oA1", "6901234567892", "S01", '{"page":"pages/goods"}')
    assert sorted(intake.events(*names), key=lambda row: row[0]) == [
        (at(5, 31, 2, 0, 1), *view),
        (at(5, 31, 2, 0, 1), *view),
        (at(5, 31, 2, 0, 15, 500_000), "search", *view[1:3], None, None, '{"search":"酸奶","page":"pages/search"}'),
        (at(5, 31, 2, 0, 30), "basket_add", *view[1:3], "6922222000016", "S01", '{"page":"pages/goods"}'),
        (at(5, 31, 2, 0, 40), "favorite", "mini_program", "wechat_openid:oB2", "00801", None, None),
        (at(5, 31, 2, 0, 45), "view", "mini_program", None, "00801", None, None),
    ]


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.toml")), ids=lambda path: path.stem)
def test_every_example_has_an_export(path: Path) -> None:
    read_mapping(path)
    assert [export for export in EXAMPLES.glob(f"{path.stem}.*") if export != path]
