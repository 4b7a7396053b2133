"""The operator's commands: keys, doctor, compact, and what serve says when its settings are wrong."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from api.settings import ServiceSettings
from recommender.cli import main
from recommender.settings import CoreSettings, describe
from recommender.storage.audit import read_audit
from recommender.storage.database import open_database
from recommender.storage.keys import KEY_PREFIX


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Runner":
    monkeypatch.setenv("MEMBERWISE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MEMBERWISE_MODELS", str(tmp_path / "models"))
    return Runner(tmp_path / "home")


class Runner:
    """Runs commands on one installation."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def __call__(self, *words: str) -> Result:
        return CliRunner().invoke(main, list(words))


def test_a_key_is_shown_once_listed_and_revoked(run: Runner) -> None:
    made = run("keys", "create", "till 12", "--scopes", "recommend, events", "--days", "30")
    assert made.exit_code == 0, made.output
    token = made.stdout.strip()
    assert token.startswith(KEY_PREFIX)
    key_id = made.stderr.split()[1]
    listed = run("keys", "list")
    assert key_id in listed.stdout
    assert "valid until" in listed.stdout
    assert "till 12  events,recommend" in listed.stdout
    assert token not in listed.output
    assert run("keys", "revoke", key_id).exit_code == 0
    assert "revoked" in run("keys", "list").stdout
    assert run("keys", "revoke", key_id).exit_code == 0, "revoking again changes nothing"
    database = open_database(CoreSettings(home=run.home))
    with database.read() as connection:
        actions = [(entry.action, entry.target) for entry in read_audit(connection)]
    assert ("keys.create", key_id) in actions
    assert ("keys.revoke", key_id) in actions
    database.dispose()
    assert not any(token.encode() in path.read_bytes() for path in run.home.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("keys", "create", "x", "--scopes", "recomend"), "recommend, events"),
        (("keys", "create", "x", "--scopes", ""), "recommend, events"),
        (("keys", "create", "x"), "--scopes"),
        (("keys", "revoke", "nope"), "nope"),
        (("serve", "--port", "99999"), "MEMBERWISE_PORT"),
        (("serve", "--workers", "-1"), "MEMBERWISE_WORKERS"),
    ],
)
def test_mistakes_are_told_in_one_line(run: Runner, words: tuple[str, ...], told: str) -> None:
    result = run(*words)
    assert result.exit_code == 2
    assert told in result.stderr
    assert "Traceback" not in result.output


def test_doctor_fails_on_a_fresh_machine_and_says_what_to_do(run: Runner) -> None:
    result = run("doctor")
    assert result.exit_code == 1
    assert "fail  bundle" in result.stdout
    assert "-> Run `memberwise train`" in result.stdout


def test_compact_says_what_it_did(run: Runner) -> None:
    result = run("compact")
    assert result.exit_code == 0, result.output
    assert result.stdout == "0 events copied to 0 files, 0 pruned from the database.\n"


def test_no_keys_yet(run: Runner) -> None:
    assert "memberwise keys create" in run("keys", "list").stderr


def test_every_setting_says_what_it_means() -> None:
    for row in describe(ServiceSettings):
        assert row.meaning.endswith(".")


def test_a_key_is_replaced_with_an_overlap(run: Runner) -> None:
    run("keys", "create", "till 12", "--scopes", "events,recommend", "--rate", "50")
    old = run("keys", "list").stdout.split()[0]
    made = run("keys", "rotate", old, "--overlap-hours", "48")
    assert made.exit_code == 0, made.output
    assert made.stdout.startswith(KEY_PREFIX)
    lines = run("keys", "list").stdout.splitlines()
    assert [("until" in line, "till 12  events,recommend  50/s" in line) for line in lines] == [
        (True, True),
        (False, True),
    ]
    assert run("keys", "rotate", old, "--overlap-hours", "0").exit_code == 0
    assert run("keys", "rotate", old).exit_code == 2, "it has ended"
    assert run("keys", "rotate", "nothing").exit_code == 2


def test_keys_of_member_tokens_are_made_listed_and_retired(run: Runner) -> None:
    made = run("keys", "tokens", "create", "k1")
    assert made.exit_code == 0, made.output
    assert len(made.stdout.strip()) == 43
    run("keys", "tokens", "create", "k2")
    assert run("keys", "tokens", "retire", "k1", "--overlap-hours", "0").exit_code == 0
    listed = run("keys", "tokens", "list").stdout.splitlines()
    assert listed[0].startswith("k1  HS256  ended")
    assert listed[1] == "k2  HS256"
    assert made.stdout.strip() not in "".join(listed)
    assert run("keys", "tokens", "create", "k1").exit_code == 2
