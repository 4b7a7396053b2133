"""`memberwise erase`: asks, lists, carries through and proves."""

import json

import pytest
from click.testing import CliRunner, Result

from api.settings import ServiceSettings
from api.worker import compact_events
from recommender.cli import main
from recommender.storage.database import open_database
from tests.shop import NOW, train


@pytest.fixture
def run(shop_settings: ServiceSettings, monkeypatch: pytest.MonkeyPatch) -> "Runner":
    monkeypatch.setenv("MEMBERWISE_HOME", str(shop_settings.home))
    monkeypatch.setenv("MEMBERWISE_MODELS", str(shop_settings.models))
    monkeypatch.setenv("MEMBERWISE_HASH_KEY", shop_settings.hash_key)
    return Runner(shop_settings)


class Runner:
    """Runs commands on one shop."""

    def __init__(self, settings: ServiceSettings) -> None:
        self.settings = settings

    def __call__(self, *words: str) -> Result:
        return CliRunner().invoke(main, ["erase", *words])


def test_an_erasure_from_request_to_proof(run: Runner) -> None:
    database = open_database(run.settings)
    compact_events(database, run.settings, NOW)
    assert "finished" in run().stderr
    asked = run("--member", "m05", "--member", "m06")
    assert asked.exit_code == 0, asked.output
    first, second = (json.loads(line) for line in asked.stdout.splitlines())
    assert first["sql"]["members"]["rows"] == second["sql"]["members"]["rows"] == 1
    listed = run().stdout.splitlines()
    assert [line.split()[0] for line in listed] == [first["erasure_id"], second["erasure_id"]]
    waiting = run("--apply")
    assert waiting.exit_code == 1
    assert "memberwise train" in waiting.stderr
    train(database, run.settings, seed=11)
    done = run("--apply")
    assert done.exit_code == 0, done.output
    assert "2 erasures finished" in done.stderr
    assert [json.loads(line)["state"] for line in done.stdout.splitlines()] == ["finished", "finished"]
    assert run("--apply").stderr.startswith("0 erasures finished; 0 files")
    for name in (first["erasure_id"], "m05"):
        shown = json.loads(run("--proof", name).stdout)
        assert (shown["erasure_id"], set(shown["rows_left"].values())) == (first["erasure_id"], {0})
        assert sum(entry["rows"] for entry in shown["log_files"]) == 80
    assert run("--proof", "m07").exit_code == 2
    database.dispose()
