"""Registry: the folder of bundles, which of them is promoted, and what was promoted before."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from recommender.bundle import (
    Bundle,
    Manifest,
    is_bundle_id,
    models_lock,
    open_bundle,
    read_manifest,
    sync_folder,
)
from recommender.errors import BundleError, ConflictError, NotFoundError

CURRENT = "current"
PROMOTIONS = "promotions.jsonl"


@dataclass(frozen=True, slots=True)
class BundleEntry:
    """One line of the list of bundles; `manifest` is None and `problem` says why if it cannot be read."""

    bundle_id: str
    current: bool
    manifest: Manifest | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class Registry:
    """The bundles in one folder.

    `current` holds one line, the id of the promoted bundle, and is replaced in one step. Every change of it
    is also appended to a log, from which a roll back knows the bundle before.
    """

    models_dir: Path

    def list(self) -> tuple[BundleEntry, ...]:
        """Return all bundles, newest data first."""
        current = self.current_id()
        entries = [self._entry(bundle_id, bundle_id == current) for bundle_id in self._ids()]
        return tuple(sorted(entries, key=_age, reverse=True))

    def current_id(self) -> str | None:
        """Return the id of the promoted bundle, or None if there is none yet.

        Raises: BundleError if the file holds something else.
        """
        try:
            text = (self.models_dir / CURRENT).read_text("utf-8").strip()
        except FileNotFoundError:
            return None
        if not is_bundle_id(text):
            raise BundleError("The file models/current does not hold a bundle id.", value=text)
        return text

    def path(self, bundle_id: str) -> Path:
        """Return the folder of a bundle.

        Raises: NotFoundError if there is none of that id.
        """
        path = self.models_dir / bundle_id
        if not is_bundle_id(bundle_id) or not path.is_dir():
            known = ", ".join(self._ids()) or "none: `memberwise train` makes one"
            raise NotFoundError("There is no such bundle.", field="bundle", value=bundle_id, accepted=known)
        return path

    def open(self, bundle_id: str | None = None, verify: bool = True) -> Bundle:
        """Open a bundle, the promoted one by default.

        Raises: NotFoundError if there is none; BundleError if it is damaged.
        """
        chosen = bundle_id or self.current_id()
        if chosen is None:
            raise NotFoundError("No bundle is promoted yet: `memberwise train` makes one.", field="bundle")
        return open_bundle(self.path(chosen), verify)

    def promote(self, bundle_id: str, now: datetime) -> None:
        """Make a bundle the one that is served, after verifying it.

        Raises: NotFoundError if there is none of that id; BundleError if it is damaged.
        """
        open_bundle(self.path(bundle_id))
        with models_lock(self.models_dir):
            self._replace_current(bundle_id, "promote", now)

    def rollback(self, now: datetime) -> str:
        """Go back to the bundle promoted before the current one, and return its id.

        Raises: ConflictError if there is none left.
        """
        with models_lock(self.models_dir):
            for bundle_id in reversed(self.promoted_before()):
                if (self.models_dir / bundle_id).is_dir():
                    open_bundle(self.models_dir / bundle_id)
                    self._replace_current(bundle_id, "rollback", now)
                    return bundle_id
        raise ConflictError("No bundle was promoted before the current one.", value=self.current_id())

    def remove(self, bundle_id: str) -> None:
        """Delete a bundle.

        Raises: ConflictError if it is the promoted one; NotFoundError if there is none of that id.
        """
        path = self.path(bundle_id)
        with models_lock(self.models_dir):
            if bundle_id == self.current_id():
                raise ConflictError("The promoted bundle cannot be removed; promote another first.", value=bundle_id)
            aside = path.with_name(f".writing-{secrets.token_hex(8)}")
            path.rename(aside)
            shutil.rmtree(aside)

    def oldest_sequence(self) -> int | None:
        """Return the smallest last event sequence of all bundles, or None if there are none.

        Later events must stay in SQL. A damaged bundle counts as one that needs every event.
        """
        manifests = [entry.manifest for entry in self.list()]
        return min((manifest.facts.last_sequence if manifest else 0 for manifest in manifests), default=None)

    def _readable_id(self) -> str | None:
        """Return the id of the promoted bundle, None also where the file that names it is damaged."""
        try:
            return self.current_id()
        except BundleError:
            return None

    def _ids(self) -> tuple[str, ...]:
        if not self.models_dir.is_dir():
            return ()
        folders = (path for path in self.models_dir.iterdir() if path.is_dir())
        return tuple(sorted(path.name for path in folders if is_bundle_id(path.name)))

    def _entry(self, bundle_id: str, current: bool) -> BundleEntry:
        try:
            return BundleEntry(bundle_id, current, read_manifest(self.models_dir / bundle_id), None)
        except BundleError as error:
            return BundleEntry(bundle_id, current, None, error.message)

    def _replace_current(self, bundle_id: str, action: str, now: datetime) -> None:
        """Log the change, then replace `current` in one step; both reach the disk before this returns."""
        line = {"bundle_id": bundle_id, "action": action, "at": now.astimezone(UTC).isoformat()}
        if self._readable_id() != bundle_id:
            with (self.models_dir / PROMOTIONS).open("a", encoding="utf-8") as log:
                log.write(json.dumps(line) + "\n")
                log.flush()
                os.fsync(log.fileno())
        fresh = self.models_dir / f".{CURRENT}-{secrets.token_hex(8)}"
        with fresh.open("w", encoding="utf-8") as file:
            file.write(bundle_id + "\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.models_dir / CURRENT)
        sync_folder(self.models_dir)

    def promoted_before(self) -> tuple[str, ...]:
        """Return the bundles that were promoted before the current one and not rolled back, the latest last."""
        # A promotion goes on a stack, a roll back takes those above its bundle off it.
        log = self.models_dir / PROMOTIONS
        lines = log.read_text("utf-8").splitlines() if log.exists() else []
        stack: deque[str] = deque()
        for line in lines:
            try:
                entry = json.loads(line)
            except ValueError:
                continue  # half a line, from a process killed before its promotion took effect
            if entry["action"] == "rollback":
                _pop_until(stack, entry["bundle_id"])
            else:
                stack.append(entry["bundle_id"])
        current = self._readable_id()
        if current is not None and current in stack:
            _pop_until(stack, current)
            stack.pop()
        return tuple(stack)


def _pop_until(stack: deque[str], last: str) -> None:
    while stack and stack[-1] != last:
        stack.pop()


def _age(entry: BundleEntry) -> tuple[datetime, datetime, str]:
    """Order bundles by the end of their data, then by when they were made; damaged ones are oldest."""
    if entry.manifest is None:
        oldest = datetime.min.replace(tzinfo=UTC)
        return oldest, oldest, entry.bundle_id
    facts = entry.manifest.facts
    return facts.trained_until, facts.created_at, entry.bundle_id
