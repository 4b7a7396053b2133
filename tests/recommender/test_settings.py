"""The reader of settings: where values come from, and what it says of wrong ones."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from api.settings import ServiceSettings
from recommender.errors import SettingsError
from recommender.settings import (
    CoreSettings,
    SettingRow,
    describe,
    parse_channels,
    read_settings,
    setting,
    unknown_variables,
)


@dataclass(frozen=True, slots=True)
class Inner:
    depth: int = field(default=3, metadata=setting("How deep.", unit="steps", minimum=1, maximum=9))


@dataclass(frozen=True, slots=True)
class Example:
    """Every type a setting can have."""

    name: str = field(default="x", metadata=setting("A name.", choices=("x", "y")))
    share: float = field(default=0.5, metadata=setting("A share.", minimum=0, maximum=1))
    loud: bool = field(default=False, metadata=setting("Loud."))
    place: Path = field(default=Path("here"), metadata=setting("A place."))
    words: tuple[str, ...] = field(default=("a", "b"), metadata=setting("Words."))
    secret: str = field(default="", metadata=setting("Hidden.", secret=True, choices=("", "s")))
    inner: Inner = field(default_factory=Inner)


def toml(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "memberwise.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_defaults() -> None:
    assert read_settings(Example, {}) == Example()
    assert read_settings(CoreSettings, {"MEMBERWISE_HOME": "/nonexistent"}).home == Path("/nonexistent")


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    file = toml(tmp_path, 'name = "y"\nshare = 1\nloud = true\nwords = ["c"]\n[inner]\ndepth = 5\n')
    environ = {"MEMBERWISE_SHARE": " 0.25 ", "MEMBERWISE_WORDS": "d, e,", "MEMBERWISE_PLACE": "/there"}
    assert read_settings(Example, environ, file) == Example(
        name="y", share=0.25, loud=True, place=Path("/there"), words=("d", "e"), inner=Inner(5)
    )
    assert read_settings(Example, {"MEMBERWISE_INNER_DEPTH": "7"}, file).inner.depth == 7


@pytest.mark.parametrize(("text", "value"), [("yes", True), ("ON", True), ("0", False), ("false", False)])
def test_true_and_false(text: str, value: bool) -> None:
    assert read_settings(Example, {"MEMBERWISE_LOUD": text}).loud is value


@pytest.mark.parametrize(
    ("variable", "text", "accepted"),
    [
        ("MEMBERWISE_NAME", "z", "x, y"),
        ("MEMBERWISE_SHARE", "1.5", "at most 1"),
        ("MEMBERWISE_SHARE", "nan", "at least 0"),
        ("MEMBERWISE_SHARE", "half", "a number"),
        ("MEMBERWISE_LOUD", "perhaps", "true or false"),
        ("MEMBERWISE_INNER_DEPTH", "0", "at least 1 steps"),
        ("MEMBERWISE_INNER_DEPTH", "2.5", "a whole number"),
    ],
)
def test_a_wrong_variable_is_named_with_what_is_accepted(variable: str, text: str, accepted: str) -> None:
    with pytest.raises(SettingsError) as told:
        read_settings(Example, {variable: text})
    assert (told.value.field, told.value.value, told.value.accepted) == (variable, text, accepted)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("share = true", "share"),
        ("name = 3", "name"),
        ("words = [1]", "words"),
        ("inner = 3", "inner"),
        ("[inner]\ndepth = 1.5", "depth"),
        ("nmae = 'x'", "nmae"),
        ("[inner]\ndeep = 1", "inner.deep"),
    ],
)
def test_a_wrong_line_of_the_file_is_named(tmp_path: Path, text: str, name: str) -> None:
    with pytest.raises(SettingsError) as told:
        read_settings(Example, {}, toml(tmp_path, text))
    assert told.value.field == name
    assert "memberwise.toml" in str(told.value)


def test_a_misspelt_name_is_told_the_right_one(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="Did you mean name"):
        read_settings(Example, {}, toml(tmp_path, "nmae = 'x'"))


def test_a_secret_is_never_repeated() -> None:
    with pytest.raises(SettingsError) as told:
        read_settings(Example, {"MEMBERWISE_SECRET": "hunter2"})
    assert "hunter2" not in str(told.value)


def test_a_file_that_is_not_toml_or_not_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="not TOML"):
        read_settings(Example, {}, toml(tmp_path, "name ="))
    with pytest.raises(SettingsError, match="cannot be read"):
        read_settings(CoreSettings, {"MEMBERWISE_SETTINGS": str(tmp_path / "nothing.toml")})


def test_the_file_is_the_one_named_or_the_one_at_home(tmp_path: Path) -> None:
    toml(tmp_path, 'time_zone = "Asia/Shanghai"')
    home = {"MEMBERWISE_HOME": str(tmp_path)}
    assert read_settings(CoreSettings, home).zone == ZoneInfo("Asia/Shanghai")
    other = tmp_path / "other.toml"
    other.write_text('currency = "EUR"')
    named = read_settings(CoreSettings, home | {"MEMBERWISE_SETTINGS": str(other)})
    assert (named.currency, named.time_zone) == ("EUR", "UTC")


def test_processes_share_one_file(tmp_path: Path) -> None:
    port = next(row.name for row in describe(ServiceSettings) if row.name == "port")
    toml(tmp_path, f'{port} = 8123\ncurrency = "EUR"')
    home = {"MEMBERWISE_HOME": str(tmp_path)}
    assert read_settings(CoreSettings, home).currency == "EUR"
    assert read_settings(ServiceSettings, home).port == 8123


def test_unknown_variables_are_told(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    environ = {"MEMBERWISE_HOME": str(tmp_path), "MEMBERWISE_CURENCY": "EUR", "MEMBERWISE_PORT": "1"}
    assert unknown_variables(environ, CoreSettings) == ["MEMBERWISE_CURENCY"]
    with caplog.at_level(logging.WARNING):
        read_settings(CoreSettings, environ)
    assert "MEMBERWISE_CURENCY Did you mean MEMBERWISE_CURRENCY?" in caplog.text


def test_describe_lists_every_setting_in_order() -> None:
    rows = describe(Example)
    assert rows[1] == SettingRow("share", "MEMBERWISE_SHARE", 0.5, "", "A share.")
    assert rows[4].default == "a,b"
    assert rows[6] == SettingRow("inner.depth", "MEMBERWISE_INNER_DEPTH", 3, "steps", "How deep.")
    assert all(row.meaning.endswith(".") for row in describe(CoreSettings))


@pytest.mark.parametrize(
    ("name", "value", "accepted"),
    [
        ("TIME_ZONE", "Mars/Base", "an IANA time zone, such as UTC or Asia/Shanghai"),
        ("TIME_ZONE", "../../etc/passwd", "an IANA time zone, such as UTC or Asia/Shanghai"),
        ("CURRENCY", "yuan", "an ISO 4217 code of three capitals, such as CNY"),
        ("CHANNELS", "kiosk", "NAME=online or NAME=offline, separated by commas"),
        ("CHANNELS", "kiosk=both", "NAME=online or NAME=offline, separated by commas"),
        ("DEFAULT_MARGIN_SHARE", "25", "at most 1 share of the price"),
    ],
)
def test_wrong_core_settings(name: str, value: str, accepted: str) -> None:
    with pytest.raises(SettingsError) as told:
        read_settings(CoreSettings, {f"MEMBERWISE_{name}": value})
    assert told.value.accepted == accepted


def test_wrong_secrets_of_the_core_are_hidden() -> None:
    for name, value in (("HASH_KEY", "short"), ("DATABASE_URL", "mysql://u:pw@h/d")):
        with pytest.raises(SettingsError) as told:
            read_settings(CoreSettings, {f"MEMBERWISE_{name}": value})
        assert value not in str(told.value)
        assert told.value.accepted is not None


def test_what_follows_from_the_core_settings(tmp_path: Path) -> None:
    plain = CoreSettings(home=tmp_path)
    assert plain.database == f"sqlite:///{tmp_path / 'memberwise.db'}"
    assert plain.event_log_folder == tmp_path / "event_log"
    for short in ("postgres://u@h/d", "postgresql://u@h/d", "postgresql+psycopg://u@h/d"):
        assert CoreSettings(database_url=short).database == "postgresql+psycopg://u@h/d"
    assert CoreSettings(database_url="sqlite:////x/y.db").database == "sqlite:////x/y.db"
    kinds = CoreSettings(channels="kiosk=offline, app=offline").channel_kinds
    assert (kinds["kiosk"], kinds["app"], kinds["pos"]) == ("offline", "offline", "offline")
    assert parse_channels("") == {}
