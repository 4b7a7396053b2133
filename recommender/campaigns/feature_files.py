"""Files of member features: a folder per generation in HOME, of which `current` names the one that holds.

A generation appears whole or not at all: it is written aside, renamed, and then named. Readers map its arrays into
memory; those of a generation that was removed meanwhile stay readable for who has them open.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from recommender.campaigns.member_columns import LABELS, MemberAttribute, MemberColumns
from recommender.campaigns.member_features import (
    Acts,
    CouponActs,
    Days,
    FeatureFacts,
    Lately,
    MemberFeatures,
    Orders,
    Overlay,
    Rhythms,
)
from recommender.errors import ConflictError, InputError
from recommender.ids import IdIndex
from recommender.item_facts import Labels, Values

FOLDER = "member_features"
CURRENT = "current"
MANIFEST = "manifest.json"
FORMAT = 2
_PLAIN = ("household", "birth_day", "registered_day", "adult", "points")
_PARTS: dict[str, type[Any]] = {"acts": Acts, "orders": Orders, "coupons": CouponActs}
_WHOLE: dict[str, type[Any]] = {"rhythms": Rhythms, "lately": Lately}
Arrays = dict[str, npt.NDArray[Any]]


def write_features(home: Path, features: MemberFeatures) -> Path:
    """Write features as a new generation, make it the current one and remove the others; return its folder."""
    folder = home / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    aside = folder / f".writing-{os.getpid()}"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    arrays, description = _to_parts(features)
    for name, array in arrays.items():
        np.save(aside / f"{name}.npy", np.ascontiguousarray(array), allow_pickle=False)
    sizes = {name: [len(array), str(array.dtype)] for name, array in arrays.items()}
    (aside / MANIFEST).write_bytes(orjson.dumps({"format": FORMAT, "arrays": sizes, **description}))
    target = folder / features.facts.generation
    aside.rename(target)
    _name_current(folder, target.name)
    remove_others(home, target.name)
    return target


def current_generation(home: Path) -> str | None:
    """Return the name of the generation that holds, None if there is none."""
    try:
        return (home / FOLDER / CURRENT).read_text("ascii").strip() or None
    except FileNotFoundError:
        return None


def read_features(home: Path) -> MemberFeatures:
    """Open the current generation; its arrays are read-only memory maps.

    Raises: ConflictError if there is none yet; InputError if it is damaged.
    """
    for last_try in (False, True):
        name = current_generation(home)
        if name is None:
            break
        try:
            return _read(home / FOLDER / name)
        except FileNotFoundError as error:
            # Another process has replaced it in between; once more, and it is damaged.
            if last_try:
                raise _damaged(name) from error
    raise ConflictError(
        "Member features were not made yet: the worker makes them, or `memberwise audiences refresh`.",
        field="member_features",
    )


def remove_others(home: Path, kept: str | None) -> None:
    """Remove every generation but one, and what a killed process left aside."""
    folder = home / FOLDER
    for path in folder.glob("*") if folder.is_dir() else ():
        if path.is_dir() and path.name != kept:
            shutil.rmtree(path, ignore_errors=True)
    if kept is None:
        (folder / CURRENT).unlink(missing_ok=True)


@contextmanager
def refreshing(home: Path, wait: bool = True) -> Iterator[bool]:
    """Hold the folder for one writer of this host; give whether it is held.

    Args:
        wait: until another writer is done.
    """
    folder = home / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
        else:
            yield True


def _name_current(folder: Path, name: str) -> None:
    part = folder / f".{CURRENT}.{os.getpid()}"
    part.write_text(name + "\n", "ascii")
    part.replace(folder / CURRENT)


def _to_parts(features: MemberFeatures) -> tuple[Arrays, dict[str, Any]]:
    columns, facts = features.columns, features.facts
    arrays: Arrays = {"members": features.index.keys, "mix": features.mix, "items": features.items.keys}
    arrays["margin_cents"] = features.margin_cents
    arrays |= {name: getattr(columns, name) for name in _PLAIN}
    labels = {name: getattr(columns, name) for name in LABELS}
    labels |= {"category": features.category, "brand": features.brand}
    arrays |= {name: one.code for name, one in labels.items()}
    for number, one in enumerate(columns.attributes.values()):
        arrays |= {f"attribute{number}.text_row": one.texts.row, f"attribute{number}.text": one.texts.value}
        arrays |= {f"attribute{number}.number_row": one.numbers.row, f"attribute{number}.number": one.numbers.value}
    arrays |= {f"consent{number}": stamps for number, stamps in enumerate(columns.consents.values())}
    for name in (*_PARTS, *_WHOLE):
        part = getattr(features, name)
        for field in part.__slots__:
            value = getattr(part, field)
            arrays[f"{name}.{field}"] = value.start if isinstance(value, Days) else value
    return arrays, {
        "built_at": facts.built_at.isoformat(),
        "sequence": facts.sequence,
        "day_offset": facts.day_offset,
        "labels": {name: list(one.names) for name, one in labels.items()},
        "attributes": [[key, list(one.names)] for key, one in columns.attributes.items()],
        "consents": [list(key) for key in columns.consents],
        "channels": list(features.channels),
        "offers": list(features.offers),
        "first_days": {name: getattr(features, name).days.first for name in _PARTS},
    }


def _read(folder: Path) -> MemberFeatures:
    try:
        document = orjson.loads((folder / MANIFEST).read_bytes())
        if document["format"] != FORMAT:
            raise _damaged(folder.name)
        arrays: Arrays = {
            name: np.load(folder / f"{name}.npy", mmap_mode="r" if size else None, allow_pickle=False)
            for name, (size, _) in document["arrays"].items()
        }
        if any([len(arrays[name]), str(arrays[name].dtype)] != told for name, told in document["arrays"].items()):
            raise _damaged(folder.name)
        return _from_parts(folder.name, arrays, document)
    except FileNotFoundError:
        raise
    except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
        raise _damaged(folder.name) from error


def _from_parts(name: str, arrays: Arrays, document: Mapping[str, Any]) -> MemberFeatures:
    labels = {name: Labels(arrays[name], tuple(names)) for name, names in document["labels"].items()}
    attributes = {
        key: MemberAttribute(
            tuple(names),
            Values(arrays[f"attribute{number}.text_row"], arrays[f"attribute{number}.text"]),
            Values(arrays[f"attribute{number}.number_row"], arrays[f"attribute{number}.number"]),
        )
        for number, (key, names) in enumerate(document["attributes"])
    }
    consents = {
        (purpose, channel): arrays[f"consent{number}"] for number, (purpose, channel) in enumerate(document["consents"])
    }
    parts: dict[str, Any] = {}
    for part, kind in (_PARTS | _WHOLE).items():
        found: dict[str, Any] = {field: arrays[f"{part}.{field}"] for field in kind.__slots__}
        if part in _PARTS:
            found["days"] = Days(document["first_days"][part], found["days"])
        parts[part] = kind(**found)
    plain: dict[str, Any] = {name: arrays[name] for name in _PLAIN} | {name: labels[name] for name in LABELS}
    columns = MemberColumns(**plain, attributes=attributes, consents=consents)
    facts = FeatureFacts(
        name, datetime.fromisoformat(document["built_at"]), document["sequence"], document["day_offset"]
    )
    return MemberFeatures(
        facts=facts,
        overlay=Overlay(facts.sequence),
        index=IdIndex(arrays["members"]),
        extra=IdIndex.of([]),
        columns=columns,
        erased=np.zeros(len(columns), bool),
        mix=arrays["mix"],
        items=IdIndex(arrays["items"]),
        category=labels["category"],
        brand=labels["brand"],
        margin_cents=arrays["margin_cents"],
        channels=tuple(document["channels"]),
        offers=tuple(document["offers"]),
        **parts,
    )


def _damaged(name: str) -> InputError:
    return InputError("Member features cannot be read: run `memberwise audiences refresh`.", value=name)
