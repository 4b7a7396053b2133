"""Sample slates: what a few real members bought, what they would have been shown, and what of it they then bought."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from recommender.candidates import Slate
from recommender.history import MINUTES_PER_DAY
from recommender.interactions import PURCHASE_CODE
from recommender.pipeline import Recommender
from recommender.query import Query, Scenario
from recommender.reasons import Reason, explain
from training.dataset import Dataset
from training.panel import Panel

MEMBERS = 4
SHOWN = {Scenario.HOME: 10, Scenario.DISCOVER: 10}
PAST_ITEMS = 8
Titles = Callable[[Sequence[str]], Mapping[str, str]]
"""Finds the titles of items by id; an item without one is left out."""


@dataclass(frozen=True, slots=True)
class PastItem:
    """An item of a history: how often it was bought or met, and the day of the last time."""

    item_id: str
    title: str
    times: int
    last_on: str


@dataclass(frozen=True, slots=True)
class ShownItem:
    """An item of a slate: which retriever did most for it, the reason given, and whether it was then bought."""

    item_id: str
    title: str
    source: str
    reason: str
    bought: bool


@dataclass(frozen=True, slots=True)
class Sample:
    """One member: the last items of the history, and slates by scenario, as of the beginning of the window.

    person: the pseudonymous id.  purchases, days: of the history.  truth: distinct items bought in the window.
    """

    person: str
    purchases: int
    days: int
    truth: int
    past: tuple[PastItem, ...]
    slates: dict[str, tuple[ShownItem, ...]]


def sample_slates(
    recommender: Recommender, dataset: Dataset, panel: Panel, titles: Titles, seed: int
) -> tuple[Sample, ...]:
    """Show what members of short and of long histories get.

    Args:
        recommender: asked.
        dataset: whose ids and days are shown.
        panel: from whom MEMBERS are drawn: one from each part when ordered by length of history.
        titles: looks up what items are called.
        seed: of the draw.
    """
    return tuple(_sample(recommender, dataset, panel, i, titles) for i in _drawn(panel, seed))


def _drawn(panel: Panel, seed: int) -> list[int]:
    """Draw one person from each quarter of the panel, by rising length of history."""
    rng = np.random.default_rng(seed)
    order = np.argsort(np.diff(panel.histories.indptr), kind="stable")
    return [int(rng.choice(part)) for part in np.array_split(order, MEMBERS) if len(part)]


def _sample(recommender: Recommender, dataset: Dataset, panel: Panel, i: int, titles: Titles) -> Sample:
    history = panel.histories.of(i)
    store = int(panel.store_row[i]) if panel.has_store[i] else None
    queries = [Query(scenario, count, int(panel.as_of[i]), history, store) for scenario, count in SHOWN.items()]
    slates = recommender.recommend(queries)
    truth = panel.truth.items.row[panel.truth.items.indptr[i] : panel.truth.items.indptr[i + 1]]
    purchase = history.kind == PURCHASE_CODE
    day = (history.minute.astype(np.int64) + dataset.day_offset_minutes) // MINUTES_PER_DAY
    rows, last = _recent(history.item_row, day)
    reasons = [explain(slate, query, recommender) for query, slate in zip(queries, slates, strict=True)]
    named = {
        str(part.evidence["item_id"])
        for found in reasons
        for each in found
        for part in each
        if "item_id" in part.evidence
    }
    shown = dataset.items.ids(np.unique(np.concatenate([rows, *(slate.row for slate in slates)])))
    names = titles(sorted({*shown, *named}))
    return Sample(
        person=dataset.people.id(int(panel.truth.person_row[i])),
        purchases=int(purchase.sum()),
        days=len(np.unique(day[purchase])),
        truth=len(truth),
        past=tuple(
            PastItem(item_id, names.get(item_id, item_id), int((history.item_row == row).sum()), _day(at))
            for row, item_id, at in zip(rows, dataset.items.ids(rows), last, strict=True)
        ),
        slates={
            query.scenario.value: _shown(dataset, slate, found, truth, names)
            for query, slate, found in zip(queries, slates, reasons, strict=True)
        },
    )


def _recent(item_row: np.ndarray, day: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the PAST_ITEMS distinct items met last, latest first, and the day of each."""
    backwards = item_row[::-1]
    _, first = np.unique(backwards, return_index=True)
    at = np.sort(first)[:PAST_ITEMS]
    return backwards[at], day[::-1][at]


def _shown(
    dataset: Dataset, slate: Slate, reasons: Sequence[Sequence[Reason]], truth: np.ndarray, names: Mapping[str, str]
) -> tuple[ShownItem, ...]:
    bought = np.isin(slate.row, truth)
    ids = dataset.items.ids(slate.row)
    return tuple(
        ShownItem(item_id, names.get(item_id, item_id), source, found[0].text("en", names), bool(hit))
        for item_id, source, found, hit in zip(ids, slate.source, reasons, bought, strict=True)
    )


def _day(number: int) -> str:
    return (date(1970, 1, 1) + timedelta(days=int(number))).isoformat()
