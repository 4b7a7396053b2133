"""The commands about models, as typed: what they print, what they write, how they fail."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from recommender.cli import main
from recommender.storage.retrain import list_requests, request_retrain
from tests.training.shops import END, NOW, SETTINGS, open_shop, purchase, put_events
from training.place import Place
from training.progress import Silent
from training.settings import settings_text
from training.train import train


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A shop with two bundles, the first of them trained on less; the second is promoted."""
    opened = open_shop(tmp_path_factory.mktemp("commands"))
    train(opened, SETTINGS, END - timedelta(days=15), True, NOW, Silent())
    train(opened, SETTINGS, None, True, NOW, Silent())
    yield opened
    opened.database.dispose()


def run(place: Place, *words: str) -> Result:
    own = {name: None for name in os.environ if name.startswith("MEMBERWISE_")}
    own |= {"MEMBERWISE_HOME": str(place.settings.home), "MEMBERWISE_MODELS": str(place.settings.models)}
    return CliRunner(env=own).invoke(main, list(words))


def succeed(place: Place, *words: str) -> str:
    result = run(place, *words)
    assert result.exit_code == 0, result.output
    return result.stdout


def settings_file(folder: Path) -> str:
    (folder / "training.toml").write_text(settings_text(SETTINGS), "utf-8")
    return str(folder / "training.toml")


def ids(place: Place) -> list[str]:
    return [entry.bundle_id for entry in place.registry.list()]


def test_train_prints_one_json_document(place: Place, tmp_path: Path) -> None:
    arguments = ["train", "--settings", settings_file(tmp_path), "--test-members", "2500", "--no-promote", "--json"]
    document = json.loads(succeed(place, *arguments))
    assert document["bundle_id"] == ids(place)[0]
    assert document["promoted"] is False
    assert document["report"]["split"]["protocol"] == "time"


def test_train_tells_people_what_it_did(place: Place, tmp_path: Path) -> None:
    before = set(ids(place))
    output = succeed(place, "train", "--settings", settings_file(tmp_path), "--seed", "9", "--no-promote")
    (new,) = set(ids(place)) - before
    assert "personal_decayed" in output
    assert f"memberwise bundles promote {new}" in " ".join(output.split())
    assert "report.html" in output
    place.registry.remove(new)


def test_until_without_offset_is_local_and_split_can_be_chosen(place: Place, tmp_path: Path) -> None:
    arguments = ["--until", "2024-03-01", "--split", "rolling", "--window-days", "8", "--no-promote", "--json"]
    document = json.loads(succeed(place, "train", "--settings", settings_file(tmp_path), *arguments))
    assert document["report"]["trained_until"] == "2024-03-01T00:00:00+00:00"
    assert [part["window"] for part in document["report"]["evaluations"]] == ["test 1", "test 2", "test 3"]
    place.registry.remove(document["bundle_id"])


def test_requests_to_retrain_are_taken_once(place: Place, tmp_path: Path) -> None:
    arguments = ["train", "--requested", "--settings", settings_file(tmp_path), "--no-promote"]
    assert "No request" in succeed(place, *arguments)
    with place.database.write() as connection:
        request_retrain(connection, "api", "new season", NOW)
    assert "is written" in succeed(place, *arguments)
    with place.database.read() as connection:
        (request,) = list_requests(connection)
    assert request.bundle_id == ids(place)[0]
    assert request.finished_at is not None
    assert "No request" in succeed(place, *arguments)


def test_a_failed_request_keeps_its_error(tmp_path: Path) -> None:
    place = open_shop(tmp_path, until=END - timedelta(days=100))
    with place.database.write() as connection:
        request_retrain(connection, "api", "", NOW)
    result = run(place, "train", "--requested")
    assert result.exit_code == 2
    assert "memberwise ingest" in result.output
    with place.database.read() as connection:
        assert "memberwise ingest" in str(list_requests(connection)[0].error)
    place.database.dispose()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--until", "soon"), "ISO 8601"),
        (("--settings", "missing.toml"), "cannot be read"),
        (("--split", "random"), "leave_one_out"),
        (("--until", "2020-01-01"), "memberwise ingest"),
    ],
)
def test_wrong_arguments_of_train_are_told(place: Place, words: tuple[str, str], message: str) -> None:
    result = run(place, "train", *words)
    assert result.exit_code == 2
    assert message in result.output
    assert "Traceback" not in result.output


def test_unknown_training_settings_are_named(place: Place, tmp_path: Path) -> None:
    (tmp_path / "odd.toml").write_text("[factors]\nfactor = 8\n")
    result = run(place, "train", "--settings", str(tmp_path / "odd.toml"))
    assert result.exit_code == 2
    assert "factors.factor" in result.output


def test_evaluate_without_later_events_replays_the_recipe(place: Place, tmp_path: Path) -> None:
    output = succeed(place, "evaluate", "--out", str(tmp_path / "report.html"))
    assert "recipe" in output
    assert (tmp_path / "report.html").read_text("utf-8").startswith("<!doctype html>")


def test_evaluate_on_what_came_later(place: Place) -> None:
    document = json.loads(succeed(place, "evaluate", "--bundle", ids(place)[-1], "--json"))
    assert document["title"].endswith("on what happened since")
    assert document["split"] is None
    (evaluation,) = document["evaluations"]
    assert evaluation["window"] == "later"
    assert evaluation["asked"] == evaluation["members"] == 38
    means = {
        row["method"]: row["interval"]["mean"]
        for row in evaluation["measures"]
        if (row["subset"], row["measure"]) == ("all", "ndcg@10")
    }
    assert means["memberwise"] > means["popularity"]


def test_bundles_are_listed_shown_and_verified(place: Place) -> None:
    newest, *_, oldest = ids(place)
    output = succeed(place, "bundles", "list")
    assert output.index(newest) < output.index(oldest)
    entries = json.loads(succeed(place, "bundles", "list", "--json"))
    assert [entry["bundle_id"] for entry in entries] == ids(place)
    assert [entry["current"] for entry in entries].count(True) == 1
    assert "report.html" in succeed(place, "bundles", "show", newest)
    assert json.loads(succeed(place, "bundles", "show", newest, "--json"))["bundle_id"] == newest
    assert succeed(place, "bundles", "show", newest, "--markdown").count("| Memberwise |") >= 3
    assert "as they were written" in succeed(place, "bundles", "verify")


def test_bundles_are_compared(place: Place) -> None:
    newest, *_, oldest = ids(place)
    assert "not comparable" in succeed(place, "bundles", "compare", oldest, newest)
    document = json.loads(succeed(place, "bundles", "compare", newest, newest, "--json"))
    assert document["same_window"] is True
    assert all(row["first"] == row["second"] for row in document["rows"])


def test_bundles_are_promoted_rolled_back_and_kept(place: Place) -> None:
    newest, *_, oldest = ids(place)
    current = place.registry.current_id()
    succeed(place, "bundles", "promote", oldest)
    assert place.registry.current_id() == oldest
    result = run(place, "bundles", "remove", oldest)
    assert (result.exit_code, "cannot be removed" in result.output) == (2, True)
    assert f"{current} is promoted again" in succeed(place, "bundles", "rollback")
    assert newest in ids(place)


def test_an_unknown_bundle_lists_the_known_ones(place: Place) -> None:
    result = run(place, "bundles", "show", "20200101-000000000000")
    assert result.exit_code == 2
    assert ids(place)[0] in result.output


def test_recommend_writes_and_says_how_fast(place: Place, tmp_path: Path) -> None:
    out = tmp_path / "lists.csv"
    output = succeed(
        place, "recommend", "--members", "all", "--scenario", "buy_again", "--count", "3", "--out", str(out)
    )
    assert "40 lists, 120 rows" in output
    assert "lists/s" in output
    assert len(out.read_text("utf-8").splitlines()) == 121


def test_recommend_is_told_what_its_lists_are_about(place: Place, tmp_path: Path) -> None:
    out = tmp_path / "lists.csv"
    words = ("recommend", "--members", "all", "--scenario", "substitutes", "--out", str(out))
    result = run(place, *words)
    assert result.exit_code == 2
    assert "--item ID" in result.output
    assert not out.exists()
    assert "substitutes" in run(place, *words, "--item", "i03").output + result.output
    assert out.exists()


def test_recommend_counts_flags_and_early_times(place: Place, tmp_path: Path) -> None:
    asked = tmp_path / "asked.csv"
    asked.write_text("member_id,at\nm00,2024-02-01\nnobody,2030-01-01\n", "utf-8")
    output = succeed(place, "recommend", "--members", str(asked), "--out", str(tmp_path / "lists.parquet"))
    assert "unknown_member: 1" in output
    assert "later than `at` of 1 lists" in output


def test_recommend_without_members_or_bundle_says_so(place: Place, tmp_path: Path) -> None:
    empty = tmp_path / "empty.csv"
    empty.write_text("member_id\n", "utf-8")
    result = run(place, "recommend", "--members", str(empty), "--out", str(tmp_path / "lists.csv"))
    assert (result.exit_code, "nobody to recommend to" in result.output) == (2, True)
    bare = Place(place.database, type(place.settings)(home=place.settings.home, models=tmp_path / "none"))
    result = run(bare, "recommend", "--members", "all", "--out", str(tmp_path / "lists.csv"))
    assert (result.exit_code, "memberwise train" in result.output) == (2, True)


def test_a_posted_purchase_changes_the_next_list(tmp_path: Path) -> None:
    place = open_shop(tmp_path)
    train(place, SETTINGS, None, True, NOW, Silent())
    arguments = ["recommend", "--members", "all", "--scenario", "buy_again", "--count", "30", "--out"]
    succeed(place, *arguments, str(tmp_path / "before.csv"))
    put_events(place.database, [purchase("m00", "i39", datetime.now(UTC) - timedelta(hours=1))])
    succeed(place, *arguments, str(tmp_path / "after.csv"))
    changed = [
        {line for line in (tmp_path / name).read_text("utf-8").splitlines() if line.startswith('"m00"')}
        for name in ("before.csv", "after.csv")
    ]
    assert not any("i39" in line and "bought" in line for line in changed[0])
    assert any("i39" in line and "bought" in line for line in changed[1])
    place.database.dispose()
