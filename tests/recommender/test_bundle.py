"""A bundle is written whole, opened as it was written, and refused otherwise."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from recommender.bundle import (
    Array,
    BundleFacts,
    bundle_id_of,
    history_arrays,
    is_bundle_id,
    open_bundle,
    write_bundle,
)
from recommender.errors import BundleError
from recommender.history import Histories
from recommender.ids import IdIndex

FACTS = BundleFacts(
    trained_until=datetime(2024, 3, 1, tzinfo=UTC),
    last_sequence=12,
    seed=7,
    threads=2,
    created_at=datetime(2024, 3, 2, 8, 30, tzinfo=UTC),
    versions={"numpy": "2.0"},
)
DESCRIPTION = {"retrievers": ["repeat"], "depth": 3}
TEXTS = {"report.json": "{}", "report.html": "<html></html>", "ranker.txt": "tree"}


def arrays() -> dict[str, Array]:
    histories = Histories(
        np.array([0, 2, 3]),
        np.array([1, 0, 1], np.int32),
        np.array([10, 20, 15], np.int32),
        np.array([5, 5, 0], np.uint8),
        np.array([0, 0, 1], np.uint8),
        np.array([1, 1, 3], np.uint8),
    )
    return history_arrays(IdIndex.of(["member:b", "member:a"]), histories) | {
        "repeat.interval": np.array([1.5, 2.5], np.float32),
        "factors.item": np.arange(6, dtype=np.float32).reshape(2, 3),
        "nothing": np.empty((0, 3), np.float32),
    }


def write(folder: Path, **changes: object) -> str:
    given: dict[str, object] = {
        "arrays": arrays(),
        "description": DESCRIPTION,
        "settings_text": "seed = 7\n",
        "facts": FACTS,
        "texts": TEXTS,
    }
    return write_bundle(folder, **(given | changes))  # type: ignore[arg-type]


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    bundle_id = write(tmp_path)
    bundle = open_bundle(tmp_path / bundle_id)
    assert bundle.bundle_id == bundle_id
    assert is_bundle_id(bundle_id)
    assert bundle_id.startswith("20240301-")
    assert bundle.manifest.facts == FACTS
    assert bundle.manifest.description == DESCRIPTION
    assert (bundle.trained_until, bundle.last_sequence) == (FACTS.trained_until, 12)
    for name, array in arrays().items():
        assert bundle.arrays[name].dtype == array.dtype
        assert np.array_equal(bundle.arrays[name], array)
    assert bundle.text("settings.toml") == "seed = 7\n"
    assert bundle.text("report.json") == "{}"


def test_arrays_are_read_only_memory_maps(tmp_path: Path) -> None:
    array = open_bundle(tmp_path / write(tmp_path)).arrays["factors.item"]
    assert isinstance(array.base, np.memmap)
    assert type(array) is np.ndarray
    assert not array.flags.writeable


def test_subjects_and_histories(tmp_path: Path) -> None:
    bundle = open_bundle(tmp_path / write(tmp_path))
    assert bundle.subjects.row("member:b") == 1
    assert bundle.histories.of(1).item_row.tolist() == [1]
    assert bundle.histories.of(0).minute.tolist() == [10, 20]


def test_the_folder_holds_nothing_but_json_toml_text_and_arrays(tmp_path: Path) -> None:
    folder = tmp_path / write(tmp_path)
    assert {path.suffix for path in folder.iterdir()} == {".json", ".toml", ".html", ".txt", ".npy"}
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".writing")] == []


def test_the_same_content_has_the_same_id_whatever_the_report_and_the_clock(tmp_path: Path) -> None:
    first = write(tmp_path)
    later = replace(FACTS, created_at=datetime(2025, 1, 1, tzinfo=UTC), versions={})
    assert write(tmp_path, facts=later, texts=TEXTS | {"report.json": "[]"}) == first
    assert open_bundle(tmp_path / first).manifest.facts.created_at == FACTS.created_at


@pytest.mark.parametrize(
    "change",
    [
        {"settings_text": "seed = 8\n"},
        {"description": {"retrievers": ["repeat"], "depth": 4}},
        {"texts": TEXTS | {"ranker.txt": "another tree"}},
        {"arrays": arrays() | {"repeat.interval": np.array([1.5, 2.0], np.float32)}},
        {"arrays": arrays() | {"repeat.interval": np.array([1.5, 2.5], np.float64)}},
        {"arrays": arrays() | {"nothing": np.empty((0, 4), np.float32)}},
    ],
)
def test_other_content_has_another_id(tmp_path: Path, change: dict[str, object]) -> None:
    assert write(tmp_path, **change) != write(tmp_path)


def test_the_id_does_not_depend_on_memory_layout() -> None:
    matrix = np.arange(6, dtype=np.float32).reshape(2, 3)
    ids = {
        bundle_id_of({"a": array}, {}, "", {}, FACTS.trained_until)
        for array in (matrix, np.asfortranarray(matrix), np.repeat(matrix, 2, axis=0)[::2])
    }
    assert len(ids) == 1


def test_a_damaged_bundle_of_the_same_id_is_replaced(tmp_path: Path) -> None:
    bundle_id = write(tmp_path)
    (tmp_path / bundle_id / "ranker.txt").write_text("cut off")
    assert write(tmp_path) == bundle_id
    assert open_bundle(tmp_path / bundle_id).text("ranker.txt") == "tree"


def test_leftovers_of_a_killed_run_are_cleared(tmp_path: Path) -> None:
    leftover = tmp_path / ".writing-0011"
    leftover.mkdir(parents=True)
    (leftover / "a.npy").write_text("half")
    write(tmp_path)
    assert not leftover.exists()


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("factors.item.npy", flip_a_byte),
        ("factors.item.npy", lambda path: path.write_bytes(path.read_bytes()[:-4])),
        ("factors.item.npy", Path.unlink),
        ("settings.toml", flip_a_byte),
        ("report.html", Path.unlink),
        ("surprise.npy", lambda path: path.write_bytes(b"")),
        ("manifest.json", Path.unlink),
        ("manifest.json", lambda path: path.write_bytes(path.read_bytes()[:100])),
        ("manifest.json", lambda path: path.write_text("[]")),
        ("manifest.json", lambda path: path.write_text(path.read_text().replace('"seed": 7', '"seed": 8'))),
    ],
)
def test_damage_is_refused_by_name(tmp_path: Path, name: str, damage: object) -> None:
    folder = tmp_path / write(tmp_path)
    damage(folder / name)  # type: ignore[operator]
    with pytest.raises(BundleError, match=name.replace(".", r"\.")):
        open_bundle(folder)


def test_a_flipped_byte_needs_verification_to_be_seen(tmp_path: Path) -> None:
    folder = tmp_path / write(tmp_path)
    flip_a_byte(folder / "factors.item.npy")
    assert open_bundle(folder, verify=False).arrays["factors.item"].shape == (2, 3)


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / write(tmp_path)
    document = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(document | {"format_version": 1}))
    with pytest.raises(BundleError, match=r"format_version; value: '1'; accepted: 2"):
        open_bundle(folder)


def test_a_file_that_is_not_an_array_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / write(tmp_path, texts=TEXTS | {"odd.npy": "text"})
    with pytest.raises(BundleError, match=r"odd\.npy"):
        open_bundle(folder)


def test_pickled_objects_and_odd_names_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="objects"):
        write(tmp_path, arrays={"a": np.array([{}], object)})
    with pytest.raises(BundleError, match="file's name"):
        write(tmp_path, arrays={"../a": np.zeros(1)})


def test_a_missing_text_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"no file missing\.txt"):
        open_bundle(tmp_path / write(tmp_path)).text("missing.txt")
