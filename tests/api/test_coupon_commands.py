"""`memberwise coupons`, and what the worker does for coupons by itself."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from api.coupon_rules import wallet_rules
from api.settings import ServiceSettings
from api.worker import follow_coupons, prune_coupons, tend_coupons
from recommender.cli import main
from recommender.coupons.codes import make_code
from recommender.coupons.counters import Count, take, used
from recommender.coupons.coupon_rows import read_coupons
from recommender.coupons.issuing import IssueRequest, issue
from recommender.coupons.using import lock, redeem
from recommender.coupons.wallet import RiskQuestion, Status, Turn, WalletRules
from recommender.errors import SettingsError
from recommender.settings import CoreSettings
from recommender.storage.database import Database, open_database
from recommender.storage.statements import execute, fetch
from recommender.storage.upserts import upsert
from tests.recommender.coupons.world import ITEMS, MEMBERS, TEN_OFF, buy, coupon_of, use

NOW = datetime.now(UTC).replace(microsecond=0)
HEADER = "redemption_id,coupon_id,order_id,discount_cents,redeemed_at,store_id\n"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MEMBERWISE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MEMBERWISE_MODELS", str(tmp_path / "models"))
    return tmp_path / "home"


@pytest.fixture
def shop(home: Path) -> Iterator[Database]:
    database = open_database(CoreSettings(home=home))
    with database.write() as connection:
        for table, rows in (("items", ITEMS), ("members", MEMBERS), ("offers", [TEN_OFF])):
            upsert(connection, table, rows, NOW)
    yield database
    database.dispose()


def given(database: Database, count: int = 1, expires_at: datetime | None = None) -> list[str]:
    with database.write() as connection:
        requests = [IssueRequest("ten", "m1", expires_at=expires_at)] * count
        return [coupon_of(one) for one in issue(Turn(connection, WalletRules(), NOW, "test"), requests)]


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ["coupons", *words])


def test_coupons_are_listed_shown_and_withdrawn(shop: Database) -> None:
    first, second = given(shop, 2)
    listed = run("list", "--member", "m1")
    assert listed.stdout.count("issued ") >= 2
    assert first in listed.stdout
    assert run("list", "--offer", "nothing").stdout == ""
    voided = run("void", first, "nothing", "--reason", "fraud")
    assert voided.exit_code == 1
    assert voided.stdout == f"{first}  voided\nnothing  unknown_coupon\n"
    shown = run("show", first).stdout
    assert "voided" in shown
    assert "command line  fraud" in shown
    assert run("show", "nothing").exit_code == 2
    balanced = run("balance")
    assert balanced.exit_code == 0
    assert "issued 1  locked 0  redeemed 0  expired 0  voided 1  breaches 0" in balanced.stdout
    assert second in run("list").stdout


def test_books_that_do_not_balance_are_told(shop: Database) -> None:
    (coupon_id,) = given(shop)
    with shop.write() as connection:
        execute(connection, "UPDATE wallet_coupons SET status = 'redeemed' WHERE coupon_id = ?", (coupon_id,))
    found = run("balance")
    assert found.exit_code == 1
    assert "wrong: 1 coupons stand otherwise than their last line says" in found.stdout


def test_offline_redemptions_are_imported_once_and_breaches_listed(shop: Database, tmp_path: Path) -> None:
    (coupon_id,) = given(shop)
    file = tmp_path / "offline.csv"
    file.write_text(HEADER + f"t1,{coupon_id},o1,1000,{NOW.isoformat()},s1\n")
    done = run("import", str(file))
    assert done.exit_code == 0, done.output
    assert "1 redemptions recorded, 0 known before, 0 breaches." in done.stderr
    file.write_text(file.read_text() + f"t2,{coupon_id},o2,1000,{NOW.isoformat()},s1\n")
    again = run("import", str(file))
    assert (again.exit_code, again.stdout) == (1, "t2  already_redeemed\n")
    assert "1 redemptions recorded, 1 known before, 1 breaches." in again.stderr
    assert run("balance").exit_code == 0


def test_a_settlement_is_compared_line_by_line(shop: Database, tmp_path: Path) -> None:
    first, second = given(shop, 2)
    with shop.write() as connection:
        for number, coupon_id in enumerate((first, second)):
            redeem(Turn(connection, WalletRules(), NOW, "test"), use(coupon_id, order_id=f"o{number}", purchase=buy()))
    file, out = tmp_path / "till.csv", tmp_path / "differences.csv"
    lines = [f"t1,{first},o0,1000,{NOW.isoformat()},s1", f"t2,forged,o9,5,{NOW.isoformat()},s1"]
    file.write_text(HEADER + "\n".join(lines) + "\n")
    found = run("reconcile", str(file), "--out", str(out))
    assert found.exit_code == 1
    assert "2 lines settled, 2 redemptions here, 2 differences (-995 cents settled more than granted)." in found.stderr
    assert out.read_text().splitlines() == [
        "kind,coupon_id,status,till_order_id,till_cents,order_id,cents,store_id",
        "unknown_coupon,forged,,o9,5,,,s1",
        f"not_settled,{second},redeemed,,,o1,1000,s1",
    ]
    file.write_text(HEADER + "\n".join([lines[0], f"t3,{second},o1,1000,{NOW.isoformat()},s1"]) + "\n")
    assert run("reconcile", str(file)).exit_code == 0
    assert run("reconcile", str(file), "--store", "s2").exit_code == 1


def test_the_worker_ends_what_is_over(shop: Database, home: Path) -> None:
    long, short = given(shop)[0], given(shop, expires_at=NOW + timedelta(minutes=20))[0]
    with shop.write() as connection:
        turn = Turn(connection, WalletRules(), NOW, "test")
        make_code(turn, short)
        lock(turn, use(long, purchase=buy()))
    assert tend_coupons(shop, WalletRules(), NOW) == 0
    assert tend_coupons(shop, WalletRules(), NOW + timedelta(hours=2)) == 2
    with shop.read() as connection:
        found = read_coupons(connection, [long, short])
        assert [found[one].status for one in (long, short)] == [Status.ISSUED, Status.EXPIRED]
        assert fetch(connection, "SELECT 1 FROM coupon_codes") == []


def test_the_worker_follows_other_systems_and_forgets_claims(shop: Database) -> None:
    row = {"redemption_id": "x", "member_id": "m1", "offer_id": "o", "campaign_id": "c1", "redeemed_at": NOW}
    with shop.write() as connection:
        upsert(connection, "redemptions", [row | {"discount_cents": 70}], NOW)
        take(connection, Count.PHONE, "ten", "h1:x", 1, None, NOW)
    follow_coupons(shop, NOW)
    assert prune_coupons(shop, NOW) == 0
    assert prune_coupons(shop, NOW + timedelta(seconds=1)) == 1
    with shop.read() as connection:
        assert used(connection, Count.EXTERNAL, "c1") == 70


def cautious(question: RiskQuestion) -> bool:
    return question.device != "bad"


def test_a_risk_hook_is_named_by_a_setting() -> None:
    settings = ServiceSettings(coupon_risk_hook=f"{__name__}:cautious", coupon_lock_seconds=60)
    rules = wallet_rules(settings)
    assert rules.lock == timedelta(minutes=1)
    assert not rules.risk(RiskQuestion("issue", "m1", "ten", device="bad"))
    for place in ("nowhere:at_all", f"{__name__}:nothing", "x"):
        with pytest.raises(SettingsError, match="COUPON_RISK_HOOK"):
            wallet_rules(ServiceSettings(coupon_risk_hook=place))
