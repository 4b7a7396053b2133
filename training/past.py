"""Past: histories as they were at any time, in the rows of a bundle."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import numpy as np

from recommender.bundle import SETTINGS, Bundle
from recommender.history import Histories
from training.panel import most_recent
from training.place import Place
from training.settings import read_training_settings
from training.unify import read_dataset


class Past:
    """Reads the log once, and cuts a customer's history at a minute.

    Args:
        place: where the log and recent events are.
        bundle: whose items and channels give the rows.
        until: the latest time that will be asked about.
        now: the present.
    """

    def __init__(self, place: Place, bundle: Bundle, until: datetime, now: datetime) -> None:
        recommender = bundle.recommender()
        dataset = read_dataset(place.database, place.settings, until, now)
        names = dataset.items.ids(np.arange(len(dataset.items)))
        rows, known = recommender.items.rows(names)
        item_row = np.zeros(len(names), np.int32)
        item_row[known] = rows
        codes = {name: code for code, name in enumerate(recommender.channels)}
        channel = np.array([codes.get(name, 0) for name in dataset.channels], np.uint8)
        entries = dataset.entries.where(known[dataset.entries.item_row])
        kept = replace(dataset, entries=entries).histories(int(np.iinfo(np.int32).max))
        self._histories = replace(kept, item_row=item_row[kept.item_row], channel=channel[kept.channel])
        self._people = dataset.people
        self._entries = read_training_settings(bundle.path / SETTINGS).history_entries
        self._empty = Histories.empty(1)

    def of(self, subject: str | None, at: datetime) -> tuple[Histories, int]:
        """Return a customer's history before a time, and the minute of that time.

        Args:
            subject: "member:ID", or of an identity that is linked to nobody; None for an unknown customer.
        """
        minute = int(at.timestamp() // 60)
        person = None if subject is None else self._people.row(subject)
        history = self._empty if person is None else self._histories.of(person).before(minute)
        return most_recent(history, self._entries), minute
