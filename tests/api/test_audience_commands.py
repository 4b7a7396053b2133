"""`memberwise audiences`, and what worker and erasure do about the features behind them."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from api.children import Child
from api.settings import ServiceSettings
from api.worker import renew_features
from recommender.campaigns.feature_files import current_generation, read_features
from recommender.cli import main
from recommender.storage.database import open_database
from recommender.storage.upserts import upsert
from tests.shop import NOW


@pytest.fixture
def settings(shop_settings: ServiceSettings, monkeypatch: pytest.MonkeyPatch) -> ServiceSettings:
    monkeypatch.setenv("MEMBERWISE_HOME", str(shop_settings.home))
    monkeypatch.setenv("MEMBERWISE_MODELS", str(shop_settings.models))
    monkeypatch.setenv("MEMBERWISE_HASH_KEY", shop_settings.hash_key)
    return shop_settings


def run(*words: str, text: str | None = None) -> Result:
    return CliRunner().invoke(main, ["audiences", *words], input=text)


def test_from_features_to_a_saved_audience(settings: ServiceSettings, tmp_path: Path) -> None:
    assert "memberwise audiences refresh" in run("preview").stderr
    assert run("refresh").stdout == "40 members, 400 orders, 3,200 rows of acts.\n"
    expression = tmp_path / "buyers.json"
    expression.write_text('{"and": [{"home_store_id": "s1"}, {"orders": {"within_days": 30, "min": 1}}]}')
    shown = run("preview", str(expression), "--purpose", "", "--sample", "1")
    assert shown.stdout.startswith("40 members in 40 households; 40 match\n")
    assert "expression.and[1]" in shown.stdout
    assert run("save", "buyers", str(expression), "--name", "Buyers").stdout == "buyers  version 1\n"
    found = json.loads(run("preview", "--audience", "buyers", "--language", "zh", "--json").stdout)
    assert (found["count"], found["left_out"]["no_consent"]) == (0, 40)
    assert "全部被排除" in found["notes"][1]["text"]
    assert run("preview", "-", text="{").exit_code == 2
    assert "expression.tier" in run("preview", "-", text='{"tier": 1}').stderr


def test_a_list_is_uploaded(settings: ServiceSettings, tmp_path: Path) -> None:
    file, unknown = tmp_path / "vip.csv", tmp_path / "unknown.csv"
    file.write_text("member_id\nm01\nm99\n")
    done = run("upload", str(file), "--id", "vip", "--name", "VIP", "--unknown", str(unknown))
    assert done.stdout == "vip  2 rows of member, 1 members\n"
    assert unknown.read_text() == "line,reason\n3,unknown\n"
    assert run("upload", str(file), "--id", "vip").exit_code == 2
    assert run("list").stdout.startswith("card list  vip  2 rows, 1 unknown")
    run("refresh")
    found = json.loads(run("preview", "-", "--purpose", "", "--json", text='{"card_list": "vip"}').stdout)
    assert [one["member_id"] for one in found["sample"]] == ["m01"]


def test_the_worker_has_features_made_in_a_process_of_its_own(settings: ServiceSettings) -> None:
    database = open_database(settings)
    child = Child(("audiences", "refresh", "--quiet"))
    renew_features(database, settings, child, datetime.now(UTC))
    assert child.is_running()
    deadline = time.monotonic() + 60
    while child.is_running() and time.monotonic() < deadline:
        time.sleep(0.1)
    first = current_generation(settings.home)
    assert first is not None
    renew_features(database, settings, child, datetime.now(UTC))
    assert not child.is_running()
    with database.write() as connection:
        upsert(connection, "members", [{"member_id": "new"}], NOW)
    renew_features(database, settings, child, datetime.now(UTC) + timedelta(hours=2))
    assert child.is_running()
    child.stop()
    assert not child.is_running()
    database.dispose()


def test_a_child_that_fails_is_told(settings: ServiceSettings, caplog: pytest.LogCaptureFixture) -> None:
    child = Child(("no-such-command",))
    child.start()
    deadline = time.monotonic() + 60
    while child.is_running() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert "child_failed command=no-such-command code=2" in caplog.text


def test_erasure_clears_the_features(settings: ServiceSettings) -> None:
    run("refresh")
    assert "m05" in read_features(settings.home).index
    runner = CliRunner()
    assert runner.invoke(main, ["erase", "--member", "m05"]).exit_code == 0
    done = runner.invoke(main, ["erase", "--apply"])
    assert "features of members made anew" in done.stderr
    features = read_features(settings.home)
    assert "m05" not in features.index
    assert len(features.orders.member_row) == 390
    left = b"".join(path.read_bytes() for path in (settings.home / "member_features").rglob("*") if path.is_file())
    assert b"m05" not in left
    assert b"m06" in left
    assert "made anew" not in runner.invoke(main, ["erase", "--apply"]).stderr
