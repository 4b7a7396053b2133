from __future__ import annotations

from datetime import UTC, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.coupons.reconcile import Kind, Settled, named_coupons, reconcile, redemptions_between
from recommender.coupons.settlement_file import read_offline, read_settlement
from recommender.coupons.using import redeem
from recommender.coupons.wallet import Coupon, Status
from recommender.errors import InputError
from recommender.storage.database import Database
from tests.factories import NOW
from tests.recommender.coupons.world import buy, coupon_of, give, settle_in, turn, use

HEADER = "coupon_id,order_id,discount_cents,redeemed_at,store_id\n"


def line(coupon_id: str, order_id: str = "o1", cents: int = 100) -> Settled:
    return Settled(coupon_id, order_id, cents, NOW)


def coupon(coupon_id: str, status: Status) -> Coupon:
    return Coupon(coupon_id, "ten", "m1", None, status, False, NOW, None)


def test_every_difference_is_listed() -> None:
    coupons = {"returned": coupon("returned", Status.ISSUED), "same": coupon("same", Status.REDEEMED)}
    settled = [
        line("same"),
        line("same"),
        line("dearer", cents=130),
        line("elsewhere", "o2"),
        line("returned"),
        line("forged"),
    ]
    redeemed = [line("same"), line("dearer"), line("elsewhere"), line("forgotten")]
    found = reconcile(settled, redeemed, coupons)
    assert [(one.kind, one.coupon_id, one.cents) for one in found] == [
        (Kind.SETTLED_TWICE, "same", 100),
        (Kind.OTHER_DISCOUNT, "dearer", 30),
        (Kind.OTHER_ORDER, "elsewhere", 0),
        (Kind.NOT_REDEEMED_HERE, "returned", 100),
        (Kind.UNKNOWN_COUPON, "forged", 100),
        (Kind.NOT_SETTLED, "forgotten", -100),
    ]
    assert found[3].status is Status.ISSUED


LINES = st.lists(st.builds(line, st.sampled_from("abc"), st.sampled_from(["o1", "o2"]), st.integers(1, 3)), max_size=8)


@given(LINES, LINES)
def test_the_cents_of_the_differences_are_the_difference_of_the_sums(
    settled: list[Settled], redeemed: list[Settled]
) -> None:
    found = reconcile(settled, redeemed, {})
    assert sum(one.cents for one in found) == (
        sum(one.discount_cents for one in settled) - sum(one.discount_cents for one in redeemed)
    )
    assert reconcile(settled, settled, {}) == []


def test_redemptions_are_chosen_by_time_and_store(database: Database) -> None:
    settle_in(database)
    coupon_id = coupon_of(give(database))
    with database.write() as connection:
        redeem(turn(connection), use(coupon_id, purchase=buy()))
    later, day = NOW + timedelta(microseconds=1), NOW + timedelta(days=1)
    with database.read() as connection:
        expected = [Settled(coupon_id, "o1", 1000, NOW, "s1")]
        assert redemptions_between(connection, NOW, day, frozenset({"s1"})) == expected
        assert redemptions_between(connection, NOW, day) == expected
        assert redemptions_between(connection, later, day) == []
        assert redemptions_between(connection, NOW, day, frozenset({"s2"})) == []
        assert named_coupons(connection, [line(coupon_id), line("nothing")]).keys() == {coupon_id}


def test_files_are_read(tmp_path: Path) -> None:
    file = tmp_path / "till.csv"
    file.write_text("\ufeff" + HEADER + "c1,o1,100,2026-03-02T09:30:00,s1\nc2,o2,0,2026-03-02T17:30:00+08:00,\n")
    assert read_settlement(file, UTC) == [Settled("c1", "o1", 100, NOW, "s1"), Settled("c2", "o2", 0, NOW, "")]
    file.write_text("redemption_id," + HEADER + "t1,c1,o1,100,2026-03-02T09:30:00Z,\n")
    assert read_offline(file, UTC)[0].redeemed_at == NOW


@pytest.mark.parametrize(
    ("field", "row"),
    [
        ("discount_cents", "c1,o1,1.5,2026-03-02T09:30:00Z,"),
        ("discount_cents", "c1,o1,-1,2026-03-02T09:30:00Z,"),
        ("discount_cents", "c1,o1,9999999999999999999,2026-03-02T09:30:00Z,"),
        ("discount_cents", "c1,o1"),
        ("redeemed_at", "c1,o1,5,yesterday,"),
        ("coupon_id", ",o1,5,2026-03-02T09:30:00Z,"),
    ],
)
def test_a_file_that_cannot_be_read_names_line_and_column(tmp_path: Path, field: str, row: str) -> None:
    file = tmp_path / "till.csv"
    file.write_text(HEADER + row + "\n")
    with pytest.raises(InputError, match=r"Line 2 of till\.csv") as caught:
        read_settlement(file, UTC)
    assert caught.value.field == field


def test_a_file_without_a_column_or_of_another_encoding(tmp_path: Path) -> None:
    file = tmp_path / "till.csv"
    file.write_text("coupon_id,order_id\n")
    with pytest.raises(InputError, match="discount_cents"):
        read_settlement(file, UTC)
    file.write_bytes(HEADER.encode() + "优惠券,o1,5,2026-03-02,".encode("gb18030"))
    with pytest.raises(InputError, match="cannot be read"):
        read_settlement(file, UTC)
