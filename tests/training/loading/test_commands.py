"""The commands ingest, profile and members, as a person runs them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from recommender.cli import main
from recommender.storage.audit import read_audit
from recommender.storage.database import Database
from tests.training.loading.intake import Intake, write

EXAMPLES = Path(__file__).parents[3] / "docs" / "mappings"
HEADER = "event_id,occurred_at,kind,channel,member_id,store_id,order_id,item_id,quantity"


@pytest.fixture
def home(tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MEMBERWISE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MEMBERWISE_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("MEMBERWISE_DATABASE_URL", sqlite_url)
    monkeypatch.setenv("MEMBERWISE_TIME_ZONE", "Asia/Shanghai")
    return tmp_path / "home"


def run(*words: object) -> Result:
    group: click.Group = main  # type: ignore[assignment]
    return CliRunner().invoke(group, [str(word) for word in words])


def intake_of(home: Path) -> Intake:
    return Intake(home, Database(f"sqlite:///{home.parent / 'memberwise.db'}"))


def test_ingest_prints_tables_and_exit_codes(home: Path, tmp_path: Path) -> None:
    text = "event_id,occurred_at,kind,channel\ne1,2026-02-01,view,app\ne2,when?,view,app"
    path = write(tmp_path / "events.csv", text)
    first = run("ingest", path)
    assert first.exit_code == 0
    assert "not_a_time" in first.output
    assert str(home / "rejects") in first.output
    assert run("ingest", path, "--strict").exit_code == 1
    assert intake_of(home).events("occurred_at") == [datetime(2026, 1, 31, 16, tzinfo=UTC)]


def test_ingest_as_json(home: Path, tmp_path: Path) -> None:
    write(tmp_path / "export" / "items.csv", "item_id\ni1")
    write(tmp_path / "export" / "stores.csv", "name\nno id")
    done = run("ingest", tmp_path / "export", "--json", "--dry-run")
    report = json.loads(done.stdout)
    assert done.exit_code == 1
    assert report["failed"] == [str(tmp_path / "export" / "stores.csv")]
    assert report["files"][0]["tables"][0]["added"] == 1
    assert intake_of(home).rows("items", "item_id") == []


def test_errors_are_one_line(home: Path, tmp_path: Path) -> None:
    for words in (
        ("ingest", tmp_path / "none.csv"),
        ("ingest", EXAMPLES / "erp.csv", "--time-zone", "Mars/Olympus", "--mapping", EXAMPLES / "erp.toml"),
        ("ingest", EXAMPLES / "till.csv", "--mapping", EXAMPLES / "erp.toml"),
        ("profile", tmp_path / "none.csv"),
    ):
        done = run(*words)
        assert done.exit_code == 2
        assert done.stderr.strip().splitlines()[-1].startswith("Error: ")
        assert done.stderr.count("Error") == 1


@pytest.mark.parametrize(
    ("name", "table", "added", "rejected"),
    [
        ("till.csv", "events", 5, 5),
        ("erp.csv", "inventory", 7, 0),
        ("shop-orders.csv", "events", 4, 1),
        ("mini-program.jsonl", "events", 6, 3),
    ],
)
def test_a_drafted_mapping_loads_the_export(
    home: Path, tmp_path: Path, name: str, table: str, added: int, rejected: int
) -> None:
    draft = tmp_path / "draft.toml"
    done = run("profile", EXAMPLES / name, "--out", draft)
    assert done.exit_code == 0, done.output
    assert intake_of(home).events() == []
    done = run("ingest", EXAMPLES / name, "--mapping", draft, "--json")
    counts = {one["table"]: one for one in json.loads(done.stdout)["files"][0]["tables"]}
    assert (counts[table]["added"], counts[table]["rejected"]) == (added, rejected)
    assert run("profile", EXAMPLES / name, "--out", draft).exit_code == 2


def test_a_draft_finds_times_money_words_and_levels(home: Path) -> None:
    till = run("profile", EXAMPLES / "till.csv").stdout
    assert 'encoding = "gb18030"' in till
    assert "skip_lines = 2" in till
    assert 'occurred_at = { join = ["销售日期", "销售时间"], formats = ["%Y/%m/%d %H:%M:%S"] }' in till
    assert '"退货" = "return"' in till
    assert "rows with other words are rejected: 挂单" in till
    erp = run("profile", EXAMPLES / "erp.csv").stdout
    assert 'category = { join = ["大类", "中类", "小类"], separator = " > " }' in erp
    assert 'delimiter = "|"' in erp
    assert "the cost of 0 of 5 items is not known" in erp
    logs = run("profile", EXAMPLES / "mini-program.jsonl").stdout
    assert 'occurred_at = { column = "ts", origin = "1970-01-01T00:00:00Z", unit = "millisecond" }' in logs
    assert 'namespace = { constant = "wechat_openid" }' in logs
    assert "83.3% of 6 events name a customer, 0.0% a member who is known" in logs


def test_a_draft_says_what_it_cannot_know(home: Path, tmp_path: Path) -> None:
    numbered = write(tmp_path / "orders.csv", "user_id,product_id,order_no,day\nu1,p1,o1,12\nu1,p2,o2,15\n")
    done = run("profile", numbered)
    assert 'occurred_at = { column = "day", origin = "???", unit = "day" }' in done.stdout
    assert "not complete" in done.stderr
    strange = write(tmp_path / "strange.csv", "x,y\n1,2\n")
    done = run("profile", strange, "--json")
    drafted = json.loads(done.stdout)
    assert "No canonical table was recognised" in drafted["mapping"]
    assert drafted["report"] is None


def test_profile_with_a_mapping_reports_shares(home: Path, tmp_path: Path) -> None:
    write(tmp_path / "a" / "members.csv", "member_id\n80001")
    write(tmp_path / "a" / "items.csv", "item_id,cost_cents\n00801,800\n6922222000016,")
    run("ingest", tmp_path / "a")
    done = run("profile", EXAMPLES / "till.csv", "--mapping", EXAMPLES / "till.toml", "--json")
    (counts,) = json.loads(done.stdout)["report"]["files"][0]["tables"]
    assert counts["shares"] == {"events": 5, "named": 4, "known": 3, "items": 4, "without_cost": 3}
    assert counts["unknown_items"] == 2


def purchases() -> str:
    """Thirty ordinary members, a lent till card, a reseller, a night owl and an employee."""
    start, lines, number = datetime(2026, 1, 1, tzinfo=UTC), [HEADER], 0

    def buy(member: str, moment: datetime, store: str = "s1", quantity: int = 1) -> None:
        nonlocal number
        number += 1
        time = moment.isoformat()
        lines.append(f"e{number},{time},purchase,pos,{member},{store},o{number},i1,{quantity}")

    for day in range(0, 28, 2):
        for member in range(30):
            buy(f"m{member:02d}", start + timedelta(days=day, hours=4))
    for order in range(40):
        moment = start + timedelta(days=3, hours=1, minutes=10 * order)
        buy("card", moment, store=f"s{order % 5}")
        buy("staff", moment, store=f"s{order % 5}")
    buy("reseller", start + timedelta(days=5, hours=3), quantity=600)
    for day in range(25):
        buy("owl", start + timedelta(days=day, hours=18))
    return "\n".join(lines)


def test_members_audit_lists_suspects_with_evidence(home: Path, tmp_path: Path) -> None:
    write(tmp_path / "a" / "events.csv", purchases())
    write(tmp_path / "a" / "members.csv", "member_id,kind\nstaff,employee")
    run("ingest", tmp_path / "a")
    suspects = {one["member_id"]: one for one in json.loads(run("members", "audit", "--json").stdout)["suspects"]}
    assert set(suspects) == {"card", "reseller", "owl"}
    assert [one["suggests"] for one in suspects.values()] == ["shared_card", "business", "test"]
    evidence = {one["signal"]: (one["value"], one["usual"], one["day"]) for one in suspects["card"]["evidence"]}
    assert evidence == {"orders_per_day": (40, 1, "2026-01-04"), "stores_per_day": (5, 1, "2026-01-04")}
    (bought,) = suspects["reseller"]["evidence"]
    assert (bought["signal"], bought["value"], bought["day"]) == ("pieces_of_one_item", 600, "2026-01-06")
    assert suspects["owl"]["evidence"][0]["signal"] == "night_share"
    assert "memberwise members set-kind" in run("members", "audit").output


def test_only_a_person_changes_a_kind(home: Path, tmp_path: Path) -> None:
    write(tmp_path / "a" / "events.csv", purchases())
    run("ingest", tmp_path / "a")
    assert "consumer -> shared_card" in run("members", "set-kind", "card", "shared_card").output
    assert intake_of(home).rows("members", "member_id", "kind") == [("card", "shared_card")]
    with intake_of(home).database.read() as connection:
        (entry,) = read_audit(connection)
    assert (entry.action, entry.target) == ("members.set_kind", "card")
    suspects = json.loads(run("members", "audit", "--json").stdout)["suspects"]
    assert {one["member_id"] for one in suspects} == {"staff", "reseller", "owl"}
    assert run("members", "set-kind", "card", "ghost").exit_code == 2
