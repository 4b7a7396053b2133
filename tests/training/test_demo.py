"""The demo's steps, each on its own; the whole of it runs in continuous integration."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from recommender.errors import ConflictError, MemberwiseError, SettingsError
from recommender.settings import CoreSettings, read_settings
from recommender.storage.keys import list_keys
from recommender.storage.loads import Load, record_load
from tests.training.shops import NOW, SETTINGS, environ_of
from training import complete_journey, demo
from training.demo import Made, fresh_key, make_tables, prepare_home, train_if_changed
from training.demo_service import Service, interrupt, serving
from training.place import Place
from training.progress import Silent
from training.train import Trained, train

MADE = Made(1, "0.1.0", 0.5)


def test_home_is_prepared_once(tmp_path: Path) -> None:
    environ = {"MEMBERWISE_HOME": str(tmp_path / "var")}
    folder = prepare_home(environ)
    assert folder == tmp_path / "var" / "demo"
    settings = read_settings(CoreSettings, environ)
    assert (settings.time_zone, settings.currency) == ("America/New_York", "USD")
    (tmp_path / "var" / "memberwise.toml").write_text('currency = "EUR"\n')
    prepare_home(environ)
    assert read_settings(CoreSettings, environ).currency == "EUR"


def test_an_own_settings_file_is_respected(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text('currency = "CNY"\n')
    prepare_home({"MEMBERWISE_HOME": str(tmp_path / "var"), "MEMBERWISE_SETTINGS": str(own)})
    assert not (tmp_path / "var" / "memberwise.toml").exists()


def test_tables_are_made_again_only_when_something_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[float] = []
    monkeypatch.setattr(complete_journey, "package_data", lambda: tmp_path)
    monkeypatch.setattr(complete_journey, "write_tables", lambda data, folder, share, step: made.append(share))
    make_tables(tmp_path, MADE, Silent())
    make_tables(tmp_path, MADE, Silent())
    make_tables(tmp_path, Made(1, "0.1.0", 1.0), Silent())
    assert made == [0.5, 1.0]


@pytest.mark.parametrize("share", ["0", "2", "half", "-1", "nan"])
def test_a_wrong_share_is_told(share: str) -> None:
    with pytest.raises(SettingsError, match=r"DEMO_SHARE.*above 0, at most 1"):
        demo.run_demo({"DEMO_SHARE": share}, Silent())


def test_other_data_is_not_mixed_with(fresh_shop: Place, tmp_path: Path) -> None:
    load = Load("1", "pos", "sales.csv", "sum", 1, 1, 0, 0, NOW, NOW)
    with fresh_shop.database.write() as connection:
        record_load(connection, load)
    with pytest.raises(ConflictError, match="MEMBERWISE_HOME"):
        demo._refuse_other_data(fresh_shop, tmp_path)
    (tmp_path / "tables.json").write_text("{}")
    demo._refuse_other_data(fresh_shop, tmp_path)


def test_nothing_is_trained_while_the_bundle_holds_everything(shop: tuple[Place, Trained]) -> None:
    place, trained = shop
    assert train_if_changed(place, Silent()).bundle_id == trained.bundle_id


def test_each_run_has_one_valid_key(fresh_shop: Place) -> None:
    first, second = fresh_key(fresh_shop), fresh_key(fresh_shop)
    assert first != second
    with fresh_shop.database.read() as connection:
        keys = list_keys(connection)
    assert [key.revoked_at is None for key in keys].count(True) == 1


@pytest.mark.slow
def test_the_service_answers_and_stops(fresh_shop: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(fresh_shop, SETTINGS, None, True, NOW, Silent())
    with serving(environ_of(fresh_shop), tmp_path / "service.log") as service:
        demo._show_recommendations(service, "m05", token := fresh_key(fresh_shop))
        demo._show_address(service, "m05", token)
    assert service.process.poll() is not None
    shown = capsys.readouterr().out
    assert "Recommended to member m05" in shown
    assert "Item i05" in shown
    assert "curl -s -H 'Authorization: Bearer mw_" in shown


def test_an_interrupt_ends_serving_and_an_end_by_itself_is_told(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("bye\n")
    ended = subprocess.Popen([sys.executable, "-c", "pass"])
    with pytest.raises(MemberwiseError, match=r"ended by itself.*bye"):
        demo._serve_on(Service(ended, "http://127.0.0.1:1", tmp_path / "log"))
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        signal.signal(signal.SIGALRM, interrupt)
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        began = time.monotonic()
        demo._serve_on(Service(process, "http://127.0.0.1:1", tmp_path / "log"))
        process.kill()
    assert time.monotonic() - began < 20


def test_notes_are_json(tmp_path: Path) -> None:
    demo._note(tmp_path / "note.json", MADE)
    noted: Any = json.loads((tmp_path / "note.json").read_text())
    assert noted == {"version": 1, "package": "0.1.0", "share": 0.5}
