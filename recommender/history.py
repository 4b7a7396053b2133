"""Histories: what subjects did, as aligned arrays that training, bundles and live requests share.

A history keeps one entry per item, day and kind, with how often that happened on the day, in rising time. It never
holds ids, only rows of the bundle's item index.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

IntVector = npt.NDArray[np.int64]
RowVector = npt.NDArray[np.int32]
MinuteVector = npt.NDArray[np.int32]
CodeVector = npt.NDArray[np.uint8]

MINUTES_PER_DAY = 1440
MOST_TIMES = 255
"""More of the same on one day is counted as so many."""


@dataclass(frozen=True, slots=True)
class Histories:
    """Ragged histories: segment i is indptr[i]:indptr[i + 1], ordered by rising minute.

    indptr: int64, (n + 1,).  item_row: int32.  minute: int32, minutes since 1970-01-01 UTC.
    kind: uint8, codes of events.KIND_CODES.  channel: uint8, position in the bundle's list of channels.
    times: uint8, how often on that day, 1 to MOST_TIMES.
    """

    indptr: IntVector
    item_row: RowVector
    minute: MinuteVector
    kind: CodeVector
    channel: CodeVector
    times: CodeVector

    def __len__(self) -> int:
        return len(self.indptr) - 1

    @classmethod
    def empty(cls, count: int) -> Histories:
        """Return `count` histories without entries."""
        return cls(
            np.zeros(count + 1, np.int64),
            np.empty(0, np.int32),
            np.empty(0, np.int32),
            np.empty(0, np.uint8),
            np.empty(0, np.uint8),
            np.empty(0, np.uint8),
        )

    def of(self, subject: int) -> Histories:
        """Return one segment as a batch of one."""
        start, stop = int(self.indptr[subject]), int(self.indptr[subject + 1])
        part = slice(start, stop)
        return Histories(
            np.array([0, stop - start], np.int64),
            self.item_row[part],
            self.minute[part],
            self.kind[part],
            self.channel[part],
            self.times[part],
        )

    def before(self, minute: int) -> Histories:
        """Return the histories without entries at or after `minute`."""
        return self.where(self.minute < minute)

    def where(self, kept: npt.NDArray[np.bool_]) -> Histories:
        """Return the histories with only the entries where `kept` is True."""
        sizes = np.concatenate(([0], np.cumsum(kept)))
        return Histories(
            sizes[self.indptr].astype(np.int64),
            self.item_row[kept],
            self.minute[kept],
            self.kind[kept],
            self.channel[kept],
            self.times[kept],
        )


def stack(parts: Sequence[Histories]) -> Histories:
    """Put batches of histories one after the other: segments are kept apart."""
    offsets = np.cumsum([0, *(int(part.indptr[-1]) for part in parts)])
    indptr = [
        parts[0].indptr[:1],
        *(part.indptr[1:] + offset for part, offset in zip(parts, offsets, strict=False)),
    ]
    return Histories(
        np.concatenate(indptr),
        np.concatenate([part.item_row for part in parts]),
        np.concatenate([part.minute for part in parts]),
        np.concatenate([part.kind for part in parts]),
        np.concatenate([part.channel for part in parts]),
        np.concatenate([part.times for part in parts]),
    )


def merge(parts: Sequence[Histories], day_offset_minutes: int) -> Histories:
    """Merge all segments of all parts into one history, as one person's subjects are.

    Args:
        parts: batches of histories.
        day_offset_minutes: what to add to a minute to make local days begin at multiples of a day.
    Returns: one segment in rising time; of entries of one item, day and kind the first remains, with all their times.
    """
    whole = stack(parts)
    day = (whole.minute.astype(np.int64) + day_offset_minutes) // MINUTES_PER_DAY
    order = np.lexsort((whole.kind, whole.item_row, whole.minute))
    # One number per item, day and kind; a day of int32 minutes has at most 22 bits.
    key = ((whole.item_row.astype(np.int64) << 22) + day + (1 << 21) << 8) + whole.kind
    _, first, group = np.unique(key[order], return_index=True, return_inverse=True)
    times = np.minimum(np.bincount(group, whole.times[order]), MOST_TIMES).astype(np.uint8)
    in_time = np.argsort(first)
    kept = order[first[in_time]]
    return Histories(
        np.array([0, len(kept)], np.int64),
        whole.item_row[kept],
        whole.minute[kept],
        whole.kind[kept],
        whole.channel[kept],
        times[in_time],
    )
