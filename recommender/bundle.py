"""Bundle: everything one training run hands to serving, as JSON, TOML, text and one .npy file per array.

A bundle is a folder that appears whole or not at all, and never changes afterwards. Nothing in it can run.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from recommender.errors import BundleError
from recommender.history import Histories
from recommender.ids import IdIndex

if TYPE_CHECKING:
    from recommender.pipeline import Recommender
    from recommender.prepared import Prepared
    from recommender.retrievers.base import Json

Array = npt.NDArray[np.generic]

FORMAT_VERSION = 2
MANIFEST = "manifest.json"
SETTINGS = "settings.toml"
REPORT_PREFIX = "report."
"""Files named so belong to the bundle but not to its identity: the same models always have the same id."""
_RANKER_TEXT = re.compile(r"ranker\..+\.txt")
_ARRAY_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_BUNDLE_ID = re.compile(r"\d{8}-[0-9a-f]{12}")
_SUBJECTS = "subjects.keys"
_HISTORIES = ("indptr", "item_row", "minute", "kind", "channel", "times")
_BYTES_AT_ONCE = 1 << 20


@dataclass(frozen=True, slots=True)
class BundleFacts:
    """Where a bundle comes from.

    trained_until: events before this time are included.  last_sequence: the last event sequence included.
    seed, threads: what the fit was run with.  created_at: when.  versions: of the libraries that fitted it.
    """

    trained_until: datetime
    last_sequence: int
    seed: int
    threads: int
    created_at: datetime
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Manifest:
    """What manifest.json says: facts, the recommender's description, size and checksum of each file."""

    bundle_id: str
    facts: BundleFacts
    description: Mapping[str, Json]
    files: Mapping[str, tuple[int, str]]


@dataclass(frozen=True, slots=True)
class Bundle:
    """An open bundle; its arrays are read-only memory maps that processes share."""

    path: Path
    manifest: Manifest
    arrays: Mapping[str, Array]
    _built: list[Recommender] = field(default_factory=list, repr=False, compare=False)

    @property
    def bundle_id(self) -> str:
        """The bundle's id, which is also the name of its folder."""
        return self.manifest.bundle_id

    @property
    def last_sequence(self) -> int:
        """The last event sequence that the bundle's histories include."""
        return self.manifest.facts.last_sequence

    @property
    def trained_until(self) -> datetime:
        """The time before which events are included."""
        return self.manifest.facts.trained_until

    @property
    def subjects(self) -> IdIndex:
        """The raw subjects whose histories are included."""
        return IdIndex(np.asarray(self.arrays[_SUBJECTS], np.bytes_))

    @property
    def histories(self) -> Histories:
        """The histories, one segment per subject row."""
        return Histories(*(self.arrays[f"histories.{name}"] for name in _HISTORIES))  # type: ignore[arg-type]

    def recommender(self) -> Recommender:
        """Return the recommender, built at the first call."""
        # Commands that only look at bundles start faster without the pipeline.
        from recommender.pipeline import Recommender

        if not self._built:
            trees = (name for name in self.manifest.files if _RANKER_TEXT.fullmatch(name))
            texts = {name: self.text(name) for name in trees}
            self._built.append(Recommender.from_parts(self.arrays, self.manifest.description, texts))
        return self._built[0]

    @property
    def prepared(self) -> Prepared | None:
        """What was ranked in advance, None if nothing was."""
        from recommender.prepared import Prepared

        return Prepared.from_arrays(self.arrays, tuple(part.name for part in self.recommender().retrievers))

    def text(self, name: str) -> str:
        """Return the content of one of the bundle's text files.

        Raises: BundleError if the bundle has no such file.
        """
        if name not in self.manifest.files:
            raise BundleError(f"Bundle {self.bundle_id} has no file {name}.", value=name)
        return (self.path / name).read_text("utf-8")


def history_arrays(subjects: IdIndex, histories: Histories) -> dict[str, Array]:
    """Return subjects and histories as the arrays that `Bundle.subjects` and `Bundle.histories` read."""
    arrays: dict[str, Array] = {_SUBJECTS: subjects.keys}
    return arrays | {f"histories.{name}": getattr(histories, name) for name in _HISTORIES}


def is_bundle_id(text: str) -> bool:
    """Tell whether a text can be a bundle's id (and so, safely, a folder's name)."""
    return _BUNDLE_ID.fullmatch(text) is not None


def bundle_id_of(
    arrays: Mapping[str, Array],
    description: Mapping[str, Json],
    settings_text: str,
    texts: Mapping[str, str],
    trained_until: datetime,
) -> str:
    """Return the id of this content: the UTC date of `trained_until` and 12 hex digits of a hash.

    The hash covers arrays, description, settings and every text that is not a report, and nothing else, so
    that the same data, settings and seed give the same id.
    """
    digest = hashlib.sha256(_canonical(description).encode())
    digest.update(settings_text.encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(array.view(np.uint8).data if array.size else b"")
    for name in sorted(texts):
        if not name.startswith(REPORT_PREFIX):
            digest.update(f"{name} {texts[name]}".encode())
    return f"{trained_until.astimezone(UTC):%Y%m%d}-{digest.hexdigest()[:12]}"


def write_bundle(
    models_dir: Path,
    arrays: Mapping[str, Array],
    description: Mapping[str, Json],
    settings_text: str,
    facts: BundleFacts,
    texts: Mapping[str, str],
) -> str:
    """Write a bundle so that it appears whole or not at all, also when the process is killed.

    Args:
        models_dir: the folder of bundles; made if it does not exist.
        arrays: the fitted state and the histories, by name.
        description: what Recommender.from_parts needs beside the arrays; JSON.
        settings_text: the training settings, TOML, kept as settings.toml.
        facts: where the bundle comes from.
        texts: further files by name, such as report.json.
    Returns: the bundle's id. An intact bundle with the same id is kept as it is.
    Raises: BundleError if an array cannot be kept without pickle, or its name cannot be a file's.
    """
    _check_arrays(arrays)
    bundle_id = bundle_id_of(arrays, description, settings_text, texts, facts.trained_until)
    with models_lock(models_dir):
        for stale in models_dir.glob(".writing-*"):
            shutil.rmtree(stale)
        folder = models_dir / f".writing-{secrets.token_hex(8)}"
        folder.mkdir()
        files = _write_files(folder, arrays, {SETTINGS: settings_text, **texts})
        manifest = _manifest_text(Manifest(bundle_id, facts, description, files))
        _write_text(folder / MANIFEST, manifest)
        sync_folder(folder)
        _move_into_place(folder, models_dir / bundle_id)
        sync_folder(models_dir)
    return bundle_id


def open_bundle(path: Path, verify: bool = True) -> Bundle:
    """Open a bundle's folder.

    Args:
        path: the folder.
        verify: also compare the checksum of every file, which reads the bundle once.
    Raises: BundleError that names the file if anything is missing, added, changed or cannot be read.
    """
    manifest = read_manifest(path)
    present = {entry.name for entry in path.iterdir()} - {MANIFEST}
    for name in sorted(set(manifest.files) - present):
        raise BundleError(f"Bundle {path.name} lacks its file {name}.", value=name)
    for name in sorted(present - set(manifest.files)):
        raise BundleError(f"Bundle {path.name} holds {name}, which its manifest does not list.", value=name)
    for name, (size, checksum) in manifest.files.items():
        file = path / name
        if file.stat().st_size != size or (verify and _file_checksum(file) != checksum):
            raise BundleError(f"File {name} of bundle {path.name} is not as it was written.", value=name)
    arrays = {name.removesuffix(".npy"): _open_array(path / name) for name in manifest.files if name.endswith(".npy")}
    return Bundle(path, manifest, arrays)


def read_manifest(path: Path) -> Manifest:
    """Read a bundle's manifest without opening its arrays.

    Raises: BundleError if it is missing, damaged, or of a format that this version cannot read.
    """
    try:
        document = json.loads((path / MANIFEST).read_text("utf-8"))
        checksum = document.pop("checksum")
        version = document["format_version"]
    except FileNotFoundError as error:
        raise BundleError(f"Bundle {path.name} lacks its file {MANIFEST}.", value=MANIFEST) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleError(f"File {MANIFEST} of bundle {path.name} is damaged.", value=MANIFEST) from error
    if version != FORMAT_VERSION:
        raise BundleError(
            f"Bundle {path.name} has a format that this version of Memberwise cannot read.",
            field="format_version",
            value=version,
            accepted=str(FORMAT_VERSION),
        )
    if checksum != hashlib.sha256(_canonical(document).encode()).hexdigest():
        raise BundleError(f"File {MANIFEST} of bundle {path.name} is not as it was written.", value=MANIFEST)
    facts = document["facts"]
    for name in ("trained_until", "created_at"):
        facts[name] = datetime.fromisoformat(facts[name])
    files = {name: (int(size), str(digest)) for name, (size, digest) in document["files"].items()}
    return Manifest(document["bundle_id"], BundleFacts(**facts), document["description"], files)


@contextmanager
def models_lock(models_dir: Path) -> Iterator[None]:
    """Hold the folder of bundles for one writer; readers need no lock."""
    models_dir.mkdir(parents=True, exist_ok=True)
    with (models_dir / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _check_arrays(arrays: Mapping[str, Array]) -> None:
    for name, array in arrays.items():
        if not _ARRAY_NAME.fullmatch(name):
            raise BundleError("An array's name cannot be a file's name.", value=name, accepted=_ARRAY_NAME.pattern)
        if array.dtype.hasobject:
            raise BundleError(f"Array {name} holds objects; a bundle keeps numbers and bytes only.", value=name)


def _write_files(folder: Path, arrays: Mapping[str, Array], texts: Mapping[str, str]) -> dict[str, tuple[int, str]]:
    """Write arrays and texts, flushed to the disk; return size and checksum by file name."""
    for name, array in arrays.items():
        with (folder / f"{name}.npy").open("wb") as file:
            np.save(file, np.ascontiguousarray(array), allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())
    for name, text in texts.items():
        _write_text(folder / name, text)
    return {file.name: (file.stat().st_size, _file_checksum(file)) for file in sorted(folder.iterdir())}


def _write_text(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _manifest_text(manifest: Manifest) -> str:
    facts = manifest.facts
    document = {
        "format_version": FORMAT_VERSION,
        "bundle_id": manifest.bundle_id,
        "facts": {
            "trained_until": facts.trained_until.astimezone(UTC).isoformat(),
            "last_sequence": facts.last_sequence,
            "seed": facts.seed,
            "threads": facts.threads,
            "created_at": facts.created_at.astimezone(UTC).isoformat(),
            "versions": dict(facts.versions),
        },
        "description": dict(manifest.description),
        "files": {name: list(entry) for name, entry in manifest.files.items()},
    }
    document["checksum"] = hashlib.sha256(_canonical(document).encode()).hexdigest()
    # Keys keep their order: the order of the retrievers is part of what the recommender is.
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _move_into_place(folder: Path, target: Path) -> None:
    """Rename the finished folder; an intact bundle of the same id wins, a damaged one is replaced."""
    if target.exists():
        try:
            open_bundle(target)
        except BundleError:
            aside = target.with_name(f".writing-{secrets.token_hex(8)}")
            target.rename(aside)
            folder.rename(target)
            shutil.rmtree(aside)
        else:
            shutil.rmtree(folder)
    else:
        folder.rename(target)


def _open_array(file: Path) -> Array:
    try:
        return np.asarray(np.load(file, mmap_mode="r", allow_pickle=False))
    except (OSError, ValueError, EOFError) as error:
        raise BundleError(f"File {file.name} of bundle {file.parent.name} is not an array.", value=file.name) from error


def _file_checksum(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while part := stream.read(_BYTES_AT_ONCE):
            digest.update(part)
    return digest.hexdigest()


def _canonical(document: Mapping[str, object]) -> str:
    return json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
