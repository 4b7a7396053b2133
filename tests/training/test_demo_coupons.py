"""The demo's coupons: planned by the command, once; a member's, with what was bought of their goods."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recommender.coupons.offers import Offer, OfferKind
from recommender.errors import MemberwiseError
from recommender.events import KIND_CODES, EventKind
from recommender.history import Histories
from tests.training.shops import environ_of
from training import demo_coupons
from training.demo_coupons import (
    PLAN,
    Bought,
    CouponPlan,
    PlannedCoupon,
    bought_of,
    busiest_member,
    plan_coupons,
    read_plan,
)
from training.place import Place
from training.progress import Silent
from training.train import Trained

NEW_YORK = ZoneInfo("America/New_York")
DAY = 24 * 60


def test_the_busiest_member_is_shown(shop: tuple[Place, Trained]) -> None:
    bundle = shop[0].registry.open()
    row = bundle.subjects.row(f"member:{busiest_member(bundle)}")
    assert row is not None
    sizes = [len(bundle.histories.of(i).item_row) for i in range(len(bundle.subjects))]
    assert sizes[row] == max(sizes)


def test_coupons_are_planned_once_within_the_budget(
    coupon_shop: tuple[Place, Trained], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place, bundle = coupon_shop[0], coupon_shop[0].registry.open()
    first, second, third = Silent(), Silent(), Silent()
    found = plan_coupons(environ_of(place), place, bundle, 50, tmp_path, first)
    again = plan_coupons(environ_of(place), place, bundle, 50, tmp_path, second)
    plan_coupons(environ_of(place), place, bundle, 51, tmp_path, third)
    assert [list(progress.seconds) for progress in (first, second, third)] == [["plan coupons"], [], ["plan coupons"]]
    assert (again.member_id, again.lines) == (found.member_id, found.lines)
    found.show()
    shown = capsys.readouterr().out
    assert "the 4 offers valid at the end of the data" in shown
    assert "of a budget of 0.50" in shown
    assert "Upper bound" in shown
    assert (tmp_path / "plan.curve.html").is_file()
    worth = {member: sum(one.profit_cents for one in own) for member, own in read_plan(tmp_path / PLAN).items()}
    assert found.member_id == (
        max(sorted(worth), key=lambda member: worth[member]) if worth else busiest_member(bundle)
    )


def test_a_coupon_is_shown_with_what_speaks_for_it(
    coupon_shop: tuple[Place, Trained], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place, bundle = coupon_shop[0], coupon_shop[0].registry.open()
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    coupons = [PlannedCoupon("new1", 12.3, 0.25)]
    CouponPlan("m05", demo_coupons._coupon_table(place, bundle, "m05", coupons), "And the plan.").show()
    shown = capsys.readouterr().out
    assert "Coupons for member m05" in shown
    assert "25.0%" in shown
    assert "0.12" in shown
    assert "0.20" in shown  # the face value
    assert re.search(r"买过 \d+ 天，最近一次是 2024-0[34]-\d\d：Item i0[234]", shown)
    assert shown.endswith("And the plan.\n")


def test_a_bundle_that_knows_no_coupons_is_told(shop: tuple[Place, Trained], tmp_path: Path) -> None:
    place, bundle = shop[0], shop[0].registry.open()
    found = plan_coupons(environ_of(place), place, bundle, 50, tmp_path, Silent())
    assert found.member_id == busiest_member(bundle)
    assert found.lines.startswith("No coupons")
    assert found.table is None
    assert not list(tmp_path.iterdir())


def test_a_command_that_fails_is_quoted(coupon_shop: tuple[Place, Trained], tmp_path: Path) -> None:
    place, bundle = coupon_shop[0], coupon_shop[0].registry.open()
    with pytest.raises(MemberwiseError, match=r"not planned.*budget"):
        plan_coupons(environ_of(place), place, bundle, -1, tmp_path, Silent())
    assert not (tmp_path / "plan.json").exists()


def test_the_last_day_of_an_offer_is_shown() -> None:
    midnight = datetime(2018, 1, 8, 5, tzinfo=UTC)
    offer = Offer("o", OfferKind.AMOUNT_OFF, title="Milk", assumed_value_cents=150, valid_until=midnight)
    assert demo_coupons._terms(offer, NEW_YORK) == ("Milk", "1.50", "2018-01-07")
    assert demo_coupons._terms(Offer("o", OfferKind.GIFT), NEW_YORK) == ("o", "", "")


def test_a_plan_is_read_by_member_the_most_profitable_first(tmp_path: Path) -> None:
    rows = {
        "member_id": ["a", "a", "b"],
        "offer_id": ["small", "large", ""],
        "expected_profit_cents": [1.0, 2.0, 0.0],
        "redemption_probability": [0.1, 0.2, 0.0],
    }
    pq.write_table(pa.table(rows), tmp_path / "plan.parquet")
    assert read_plan(tmp_path / "plan.parquet") == {
        "a": [PlannedCoupon("large", 2.0, 0.2), PlannedCoupon("small", 1.0, 0.1)]
    }


def test_what_was_bought_of_some_goods_is_counted_by_local_day() -> None:
    bought, viewed = KIND_CODES[EventKind.PURCHASE], KIND_CODES[EventKind.VIEW]
    # 1970-01-02 03:00 UTC is still the first in New York; the item 3 is not asked for, 2 was only viewed.
    rows = [(1, 20 * 60, bought), (5, DAY + 3 * 60, bought), (1, 2 * DAY, bought), (3, 3 * DAY, bought)]
    rows += [(2, 4 * DAY, viewed)]
    items, minutes, kinds = zip(*rows, strict=True)
    history = Histories(
        np.array([0, 5]),
        np.array(items, np.int32),
        np.array(minutes, np.int32),
        np.array(kinds, np.uint8),
        np.zeros(5, np.uint8),
        np.ones(5, np.uint8),
    )
    assert bought_of(history, [1, 2, 5], NEW_YORK) == Bought(2, 2, 1, date(1970, 1, 2))
    assert bought_of(history, [2, 4], NEW_YORK) is None
