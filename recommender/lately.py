"""Lately: candidates found for customers of whom the bundle does not know everything, until more is heard of them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

from recommender.query import Ready

LATELY_KEPT = 3_000
"""Most lists of candidates remembered, those asked for last."""
LATELY_MINUTES = 10
"""How long they hold; after that other items may be due."""


@dataclass(slots=True, eq=False)
class Slot:
    """The place of one customer's candidates in one placement.

    heard: tells apart what is known of the customer.  minute: as of which the candidates were asked for.
    ready: the candidates, None until they are found.
    """

    heard: Hashable
    minute: int
    ready: Ready | None = None


class Lately:
    """Slots by customer and placement, the least used let go; safe to share between threads."""

    def __init__(self, kept: int = LATELY_KEPT) -> None:
        self._kept = kept
        self._slots: OrderedDict[Hashable, Slot] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._slots)

    def slot(self, key: Hashable, heard: Hashable, minute: int) -> Slot:
        """Return the slot of a customer in a placement; an empty one if the last does not hold any more.

        Args:
            key: names both.
            heard: differs where something else is known of the customer.
            minute: as of which candidates are wanted.
        """
        with self._lock:
            slot = self._slots.get(key)
            if slot is None or slot.heard != heard or not 0 <= minute - slot.minute < LATELY_MINUTES:
                self._slots[key] = slot = Slot(heard, minute)
            self._slots.move_to_end(key)
            if len(self._slots) > self._kept:
                self._slots.popitem(last=False)
            return slot
