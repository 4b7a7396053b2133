"""Exposure: what was served; ExposureLog: the spool that a web worker appends to before it replies.

Each process writes a file of its own, one JSON line per answer, and holds a shared lock on it while it
lives. The background worker moves whole lines into the database by (file, offset), see storage/exposures.py,
and removes a file that has been moved whole and that nobody holds any more.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson

from recommender.errors import InputError

logger = logging.getLogger(__name__)

NARROWED = "narrowed"
"""Flag of an exposure whose request said more than who, where and how many: it cannot be asked again later."""
SPOOL_SUFFIX = ".jsonl"
FILE_BYTES = 32 << 20
"""A file that has grown to this size is left for a new one."""
PART_BYTES = 1 << 20
"""Most bytes read from a spool file at once."""
FULL_SPOOL_BYTES = 256 << 20
"""With more than this in its folder nobody seems to move exposures into the database."""
RETRY_AFTER = timedelta(seconds=1)
"""How long a process waits before it tries a failing disk again."""


@dataclass(frozen=True, slots=True)
class CouponShown:
    """A coupon or an offer of an answer, or one that was left out of a member's list.

    item_id: beside which item it stands; None: in a list.  coupon_id: None for an offer to be claimed.
    origin: held, plan, online or public; left_out.  reason: the code of the first one, or why it is left out.
    propensity: chance with which a plan or an online decision gave it; None where no such decision was made.
    """

    offer_id: str
    origin: str
    item_id: str | None = None
    coupon_id: str | None = None
    campaign_id: str | None = None
    reason: str | None = None
    propensity: float | None = None


@dataclass(frozen=True, slots=True)
class Exposure:
    """One answer: the items of a slate in order (position 1 first), and where they came from.

    subject: whose slate, as in events; None for unknown customers.  retriever: the one that ranked it
    highest, and reason: the code of the first one shown, per item.
    propensity: chance with which exploration puts each item at its position; None without exploration.
    experiment, experiment_group, experiment_unit: the comparison that the customer takes part in, the arm, and
    the salted hash that decided.  flags: what was not known or done, beside NARROWED.
    dropped: how many candidates each rule refused.  coupons: shown beside items, or alone.
    """

    recommendation_id: str
    occurred_at: datetime
    scenario: str
    bundle_id: str
    strategy: str
    subject: str | None
    store_id: str | None
    channel: str | None
    item_id: tuple[str, ...]
    score: tuple[float, ...]
    source: tuple[str, ...]
    reason: tuple[str | None, ...]
    propensity: tuple[float, ...] | None = None
    experiment: str | None = None
    experiment_group: str | None = None
    experiment_unit: int | None = None
    flags: tuple[str, ...] = ()
    dropped: Mapping[str, int] = field(default_factory=dict)
    coupons: tuple[CouponShown, ...] = ()

    def line(self) -> bytes:
        """Return the exposure as one line of the spool."""
        return orjson.dumps(
            {
                "recommendation_id": self.recommendation_id,
                "occurred_at": self.occurred_at.isoformat(),
                "scenario": self.scenario,
                "bundle_id": self.bundle_id,
                "strategy": self.strategy,
                "subject": self.subject,
                "store_id": self.store_id,
                "channel": self.channel,
                "item_id": self.item_id,
                "score": self.score,
                "source": self.source,
                "reason": self.reason,
                "propensity": self.propensity,
                "experiment": self.experiment,
                "experiment_group": self.experiment_group,
                "experiment_unit": self.experiment_unit,
                "flags": self.flags,
                "dropped": self.dropped,
                "coupons": self.coupons,
            },
            option=orjson.OPT_APPEND_NEWLINE,
        )

    @classmethod
    def of_line(cls, line: bytes) -> Exposure:
        """Read a line of the spool. Raises: InputError if it is not one."""
        try:
            values = orjson.loads(line)
            values["occurred_at"] = datetime.fromisoformat(values["occurred_at"])
            for name in ("item_id", "score", "source", "reason"):
                values[name] = tuple(values[name])
            values["flags"] = tuple(values.get("flags", ()))
            values["coupons"] = tuple(CouponShown(**one) for one in values.get("coupons", ()))
            if values["propensity"] is not None:
                values["propensity"] = tuple(values["propensity"])
            return cls(**values)
        except (ValueError, TypeError, KeyError):
            raise InputError("A line of the exposure spool is damaged.", value=line[:80]) from None


class ExposureLog:
    """Appends exposures to this process's spool file; safe to share between threads, opened at the first
    record.

    `failed` counts the exposures that could not be written.
    """

    def __init__(self, folder: Path, file_bytes: int = FILE_BYTES) -> None:
        self._folder = folder
        self._file_bytes = file_bytes
        self._lock = threading.Lock()
        self._handle: int | None = None
        self._size = 0
        self._retry_at = datetime.min.replace(tzinfo=UTC)
        self.failed = 0

    def record(self, exposure: Exposure) -> bool:
        """Append one exposure; False, counted and logged, if the disk does not take it."""
        line = exposure.line()
        with self._lock:
            if exposure.occurred_at < self._retry_at:
                self.failed += 1
                return False
            try:
                self._append(line, exposure.occurred_at)
            except OSError as error:
                self.failed += 1
                self._retry_at = exposure.occurred_at + RETRY_AFTER
                self._close()
                logger.error("exposure_not_recorded reason=%s", error.strerror)
                return False
            return True

    def close(self) -> None:
        """Let go of the spool file, so that the background worker may remove it."""
        with self._lock:
            self._close()

    def _append(self, line: bytes, now: datetime) -> None:
        if self._handle is None or self._size >= self._file_bytes:
            self._close()
            self._handle = _open_spool_file(self._folder, now)
            self._size = 0
        written = os.write(self._handle, line)
        self._size += written
        if written < len(line):
            # The disk is full. A later line must not be glued to this half; the next record starts a new
            # file.
            raise OSError(errno.ENOSPC, "no space left for the whole line")

    def _close(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


@dataclass(frozen=True, slots=True)
class SpoolPart:
    """Whole lines read from a spool file: their exposures, the offset behind them, and how many were
    damaged.
    """

    exposures: tuple[Exposure, ...]
    next_offset: int
    damaged: int


def spool_files(folder: Path) -> list[Path]:
    """Return the spool files, oldest first; none if there is no folder."""
    return sorted(folder.glob(f"*{SPOOL_SUFFIX}"))


def read_spool(path: Path, offset: int, size: int = PART_BYTES) -> SpoolPart:
    """Read whole lines from an offset on; a line without its end is left for later.

    Args:
        path: the spool file.
        offset: where the last part ended; 0 at first.
        size: about how many bytes to read; longer lines are read all the same.
    """
    with path.open("rb") as file:
        file.seek(offset)
        data = file.read(size)
        if b"\n" not in data:
            data += file.readline()
    whole = data[: data.rfind(b"\n") + 1]
    exposures: list[Exposure] = []
    damaged = 0
    for line in whole.splitlines():
        try:
            exposures.append(Exposure.of_line(line))
        except InputError:
            damaged += 1
    return SpoolPart(tuple(exposures), offset + len(whole), damaged)


def remove_finished(path: Path, offset: int) -> bool:
    """Remove a spool file if no process holds it and nothing whole lies behind `offset`; tell whether it is
    gone.
    """
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if read_spool(path, offset).next_offset > offset:
            return False
        path.unlink()
        return True
    except BlockingIOError:
        return False
    finally:
        os.close(handle)


def _open_spool_file(folder: Path, now: datetime) -> int:
    """Make a spool file of our own and hold it; tries again where it was removed before it was held."""
    folder.mkdir(parents=True, exist_ok=True)
    while True:
        name = f"{now:%Y%m%dT%H%M%S%f}-{os.getpid()}-{secrets.token_hex(4)}{SPOOL_SUFFIX}"
        handle = os.open(folder / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
        fcntl.flock(handle, fcntl.LOCK_SH)
        if os.fstat(handle).st_nlink:
            return handle
        os.close(handle)
