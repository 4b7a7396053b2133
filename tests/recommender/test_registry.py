"""The registry promotes, rolls back and removes bundles."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from recommender.bundle import BundleFacts, write_bundle
from recommender.errors import BundleError, ConflictError, NotFoundError
from recommender.registry import Registry

NOW = datetime(2024, 5, 1, tzinfo=UTC)


def add(folder: Path, day: int, sequence: int = 5) -> str:
    facts = BundleFacts(datetime(2024, 3, day, tzinfo=UTC), sequence, 7, 2, NOW)
    return write_bundle(folder, {"a": np.arange(day)}, {}, "", facts, {})


@pytest.fixture
def three(tmp_path: Path) -> tuple[Registry, str, str, str]:
    return (Registry(tmp_path), *(add(tmp_path, day, sequence=day * 10) for day in (1, 2, 3)))


def test_nothing_there(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "models")
    assert registry.list() == ()
    assert registry.current_id() is None
    assert registry.oldest_sequence() is None
    with pytest.raises(NotFoundError, match="memberwise train"):
        registry.open()
    with pytest.raises(ConflictError):
        Registry(tmp_path).rollback(NOW)


def test_the_list_is_newest_first_and_marks_the_current(three: tuple[Registry, str, str, str]) -> None:
    registry, first, second, third = three
    registry.promote(second, NOW)
    entries = registry.list()
    assert [entry.bundle_id for entry in entries] == [third, second, first]
    assert [entry.current for entry in entries] == [False, True, False]
    assert all(entry.problem is None for entry in entries)
    assert registry.open().bundle_id == second
    assert registry.open(first).bundle_id == first
    assert registry.oldest_sequence() == 10


def test_current_is_one_line(three: tuple[Registry, str, str, str]) -> None:
    registry, first, *_ = three
    registry.promote(first, NOW)
    assert (registry.models_dir / "current").read_text() == first + "\n"


def test_rolling_back_goes_step_by_step(three: tuple[Registry, str, str, str]) -> None:
    registry, first, second, third = three
    for number, bundle_id in enumerate((first, second, third)):
        registry.promote(bundle_id, NOW + timedelta(hours=number))
    assert registry.rollback(NOW) == second
    assert registry.rollback(NOW) == first
    assert registry.current_id() == first
    with pytest.raises(ConflictError):
        registry.rollback(NOW)
    registry.promote(third, NOW)
    assert registry.rollback(NOW) == first


def test_rolling_back_skips_removed_bundles(three: tuple[Registry, str, str, str]) -> None:
    registry, first, second, third = three
    for bundle_id in (first, second, third):
        registry.promote(bundle_id, NOW)
    registry.remove(second)
    assert registry.rollback(NOW) == first


def test_promoting_twice_is_one_promotion(three: tuple[Registry, str, str, str]) -> None:
    registry, first, second, _ = three
    for bundle_id in (first, second, second):
        registry.promote(bundle_id, NOW)
    assert registry.rollback(NOW) == first


def test_a_half_written_line_of_the_log_does_not_count(three: tuple[Registry, str, str, str]) -> None:
    registry, first, second, third = three
    registry.promote(first, NOW)
    registry.promote(second, NOW)
    with (registry.models_dir / "promotions.jsonl").open("a") as log:
        log.write('{"bundle_id": "' + third)
    assert registry.rollback(NOW) == first


def test_a_damaged_bundle_is_not_promoted(three: tuple[Registry, str, str, str]) -> None:
    registry, first, second, _ = three
    registry.promote(first, NOW)
    (registry.path(second) / "a.npy").write_bytes(b"")
    with pytest.raises(BundleError, match=r"a\.npy"):
        registry.promote(second, NOW)
    assert registry.current_id() == first


def test_a_damaged_manifest_is_listed_with_its_problem(three: tuple[Registry, str, str, str]) -> None:
    registry, first, *_ = three
    (registry.path(first) / "manifest.json").write_text("{")
    assert registry.list()[-1].manifest is None
    assert "manifest.json" in (registry.list()[-1].problem or "")
    assert registry.oldest_sequence() == 0


def test_the_current_bundle_is_not_removed(three: tuple[Registry, str, str, str]) -> None:
    registry, first, second, _ = three
    registry.promote(first, NOW)
    with pytest.raises(ConflictError, match="promoted"):
        registry.remove(first)
    registry.remove(second)
    assert second not in [entry.bundle_id for entry in registry.list()]


@pytest.mark.parametrize("name", ["20240301-000000000000", "..", "../secret", ""])
def test_unknown_ids_are_refused(three: tuple[Registry, str, str, str], name: str) -> None:
    registry, first, *_ = three
    with pytest.raises(NotFoundError, match=first):
        registry.path(name)


def test_an_open_bundle_survives_its_removal(three: tuple[Registry, str, str, str]) -> None:
    registry, first, second, _ = three
    registry.promote(first, NOW)
    bundle = registry.open(second)
    registry.remove(second)
    assert bundle.arrays["a"].tolist() == [0, 1]


def test_nonsense_in_current_is_named(tmp_path: Path) -> None:
    (tmp_path / "current").write_text("latest\n")
    with pytest.raises(BundleError, match="latest"):
        Registry(tmp_path).current_id()
