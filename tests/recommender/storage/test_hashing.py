"""Keyed hashes: what counts as the same number, and where the key comes from."""

from __future__ import annotations

import hashlib
import hmac
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from recommender.errors import InputError, SettingsError
from recommender.settings import CoreSettings
from recommender.storage.database import Database
from recommender.storage.hashing import HashKey, check_hash_key, hash_value, normalise, read_hash_key

KEY = b"0123456789abcdef"


@pytest.mark.parametrize(
    "written",
    [
        "13800138000",
        "138 0013 8000",
        "138-0013-8000",
        "+86 138 0013 8000",
        "+8613800138000",
        "008613800138000",
        "8613800138000",
        "(+86)138-0013-8000",
        "１３８００１３８０００",
        " 13800138000\n",
    ],
)
def test_one_chinese_mobile_number(written: str) -> None:
    assert normalise("phone", written) == "+8613800138000"
    assert hash_value("phone", written, KEY, 1) == hash_value("phone", "13800138000", KEY, 1)


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("+1 (380) 013-8000", "+13800138000"),
        ("+44 20 7946 0000", "+442079460000"),
        ("0044 20 7946 0000", "+442079460000"),
        ("010-62345678", "01062345678"),
        ("12800138000", "12800138000"),
        ("86123", "86123"),
    ],
)
def test_other_numbers_keep_what_was_dialled(written: str, normal: str) -> None:
    assert normalise("phone", written) == normal


def test_addresses_are_compared_in_lower_case() -> None:
    assert normalise("email", " Li.Wei@Example.COM ") == "li.wei@example.com"


def test_the_hash_is_the_documented_one() -> None:
    digest = hmac.new(KEY, b"phone:+8613800138000", hashlib.sha256).hexdigest()
    assert hash_value("phone", "138 0013 8000", KEY, 3) == f"h3:{digest}"
    assert hash_value("email", "a@b.c", KEY, 3) != hash_value("email", "a@b.c", b"another key 4567", 3)


def test_a_hash_is_not_hashed_again_and_cards_stay_as_they_are() -> None:
    once = hash_value("phone", "13800138000", KEY, 1)
    assert hash_value("phone", once, KEY, 2) == once
    assert hash_value("card", "622 848", KEY, 1) == "622 848"


@pytest.mark.parametrize(("namespace", "value"), [("phone", "none"), ("email", "nobody")])
def test_what_cannot_be_one_is_refused_without_repeating_it(namespace: str, value: str) -> None:
    with pytest.raises(InputError) as told:
        hash_value(namespace, value, KEY, 1)
    assert value not in str(told.value)


def test_the_key_of_the_settings_comes_first(tmp_path: Path) -> None:
    settings = CoreSettings(home=tmp_path, hash_key="a secret of the settings", hash_key_version=4)
    assert read_hash_key(settings) == HashKey(b"a secret of the settings", 4)
    assert list(tmp_path.iterdir()) == []


def test_a_key_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    settings = CoreSettings(home=tmp_path / "home")
    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(lambda _: read_hash_key(settings).secret, range(8)))
    assert len(set(keys)) == 1
    assert len(keys[0]) == 64
    assert [path.name for path in settings.home.iterdir()] == ["hash_key"]
    assert stat.S_IMODE((settings.home / "hash_key").stat().st_mode) == 0o600


def test_a_key_is_never_printed(tmp_path: Path) -> None:
    assert "secret" not in repr(HashKey(b"secret", 1))


def test_an_empty_key_file_is_a_wrong_setting(tmp_path: Path) -> None:
    (tmp_path / "hash_key").write_text("\n")
    with pytest.raises(SettingsError, match="holds no key"):
        read_hash_key(CoreSettings(home=tmp_path))
    (tmp_path / "hash_key").unlink()
    (tmp_path / "hash_key").mkdir()
    with pytest.raises(SettingsError, match="cannot be read"):
        read_hash_key(CoreSettings(home=tmp_path))


def test_a_database_knows_its_key(database: Database) -> None:
    for _ in range(2):
        with database.write() as connection:
            check_hash_key(connection, HashKey(KEY, 1))
    with database.write() as connection:
        check_hash_key(connection, HashKey(b"another key 4567", 2))
    with pytest.raises(SettingsError, match="another hash key"), database.write() as connection:
        check_hash_key(connection, HashKey(b"another key 4567", 1))
