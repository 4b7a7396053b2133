"""Training settings: read from TOML, written whole, wrong values named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from recommender.errors import SettingsError
from recommender.settings import describe
from training.settings import (
    FactorSettings,
    RetrieverSettings,
    SplitSettings,
    TrainingSettings,
    read_training_settings,
    settings_text,
)


def write(folder: Path, text: str) -> Path:
    (folder / "training.toml").write_text(text, "utf-8")
    return folder / "training.toml"


def test_defaults_without_a_file() -> None:
    assert read_training_settings(None) == TrainingSettings()


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    settings = replace(
        TrainingSettings(),
        seed=3,
        factors=FactorSettings(alpha=2.5),
        split=SplitSettings(protocol="last_order"),
        retrievers=RetrieverSettings(off=("linear", "peers")),
    )
    text = settings_text(settings)
    assert read_training_settings(write(tmp_path, text)) == settings
    assert text == settings_text(settings)


def test_every_setting_is_written() -> None:
    text = settings_text(TrainingSettings())
    for row in describe(TrainingSettings):
        assert f"{row.name.split('.')[-1]} = " in text
        assert row.meaning.endswith((".", ")"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed = -1", "seed.*at least 0"),
        ("[factors]\nfactors = 'many'", "factors.*whole number"),
        ("[split]\nprotocol = 'random'", "protocol.*leave_one_out"),
        ("[retrievers]\noff = ['popularity']", "off.*names among arrivals, "),
        ("sede = 1", "sede.*seed|Did you mean seed"),
        ("[weights", "not TOML"),
    ],
)
def test_wrong_values_are_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        read_training_settings(write(tmp_path, text))


def test_threads_default_to_the_cores_of_the_machine() -> None:
    assert TrainingSettings(threads=3).thread_count == 3
    assert TrainingSettings().thread_count >= 1
