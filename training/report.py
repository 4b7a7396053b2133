"""The report of a training run or an evaluation: everything found out, as one JSON document; page.py draws it."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np

from recommender.events import EventKind
from recommender.history import MINUTES_PER_DAY
from recommender.ranking import Blend, LearnedRanker
from recommender.storage.loads import LedgerGap
from training.coupon_report import CouponReport
from training.dataset import Dataset
from training.evaluate import MEMBERWISE
from training.evaluation import Evaluation
from training.gate import Gate
from training.insights import Insights
from training.settings import TrainingSettings
from training.windows import Split

Document = dict[str, Any]
"""A report as JSON; `format_version` counts changes of its shape."""

FORMAT_VERSION = 2


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What a run was: bundle_id is empty where no bundle came of it; seconds by stage."""

    title: str
    bundle_id: str
    created_at: datetime
    settings: TrainingSettings
    seconds: Mapping[str, float]


def report_document(
    facts: RunFacts,
    dataset: Dataset,
    split: Split | None,
    gate: Gate | None,
    evaluations: Sequence[Evaluation],
    ranker: object,
    gaps: Sequence[LedgerGap],
    insights: Insights | None = None,
    coupons: CouponReport | None = None,
) -> Document:
    """Put everything a run found out into one JSON document.

    Args:
        facts: what the run was.
        dataset: what it learned from.
        split: its windows; None for an evaluation on later events.
        gate: the verdict; None where nothing was published.
        evaluations: of the test windows, oldest first; the last one leads the page.
        ranker: a Blend, or a learned ranker on top of one: its weights are shown.
        gaps: missing and thin days of the ledger.
        insights: the closer look at the last test window; None where nobody took it.
        coupons: what was found out about coupons; None where nothing was sent.
    """
    return _plain(
        {
            "format_version": FORMAT_VERSION,
            "title": facts.title,
            "bundle_id": facts.bundle_id,
            "created_at": facts.created_at.astimezone(UTC).isoformat(),
            "trained_until": dataset.until.astimezone(UTC).isoformat(),
            "data": _data(dataset),
            "split": None if split is None else _split(split),
            "gate": None if gate is None else {"passed": gate.passed, "rows": gate.rows},
            "evaluations": evaluations,
            "insights": insights,
            "coupons": coupons,
            "blend": _blend_weights(ranker),
            "days": _days(dataset),
            "gaps": gaps,
            "settings": facts.settings,
            "threads": facts.settings.thread_count,
            "seconds": dict(facts.seconds),
        }
    )


def to_json(document: Document) -> str:
    """Write a report as JSON text."""
    return json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def find_measure(evaluation: Document, method: str, subset: str, measure: str) -> Document | None:
    """Return the interval of one measure in a report's evaluation, or None if it has no such row."""
    for row in evaluation["measures"]:
        if (row["method"], row["subset"], row["measure"]) == (method, subset, measure):
            return dict(row["interval"])
    return None


@dataclass(frozen=True, slots=True)
class Comparison:
    """One measure of Memberwise in two reports; None where a report lacks it."""

    subset: str
    measure: str
    first: float | None
    second: float | None


def compare_reports(first: Document, second: Document) -> tuple[bool, list[Comparison]]:
    """Set the figures of two reports side by side.

    Returns: whether both were tested on the same window and number of members, without which the figures of
        two reports say little about each other; and one line per subset and measure.
    """
    left, right = first["evaluations"][-1], second["evaluations"][-1]
    same = all(left[name] == right[name] for name in ("cut", "members", "asked"))
    keys = [
        (row["subset"], row["measure"])
        for row in left["measures"]
        if row["method"] == MEMBERWISE and row["measure"].endswith("@10")
    ]
    lines = []
    for subset, measure in keys:
        found = [find_measure(part, MEMBERWISE, subset, measure) for part in (left, right)]
        means = [None if interval is None else interval["mean"] for interval in found]
        lines.append(Comparison(subset, measure, means[0], means[1]))
    return same, lines


def _blend_weights(ranker: object) -> Document:
    blend = ranker.blend if isinstance(ranker, LearnedRanker) else ranker
    return {str(name): weights for name, weights in blend.weights.items()} if isinstance(blend, Blend) else {}


def _data(dataset: Dataset) -> Document:
    entries = dataset.entries
    names = [kind.value for kind in EventKind]
    kinds, kind_counts = np.unique(entries.kind, return_counts=True)
    channels, channel_counts = np.unique(entries.channel, return_counts=True)
    return {
        "people": len(np.unique(entries.person_row)),
        "not_learned": int((~dataset.learned).sum()),
        "catalogue": len(dataset.items),
        "items_touched": len(np.unique(entries.item_row)),
        "stores": len(dataset.stores),
        "entries": len(entries),
        "anonymous_sales": len(dataset.sales.minute),
        "by_kind": {names[code]: int(count) for code, count in zip(kinds, kind_counts, strict=True)},
        "by_channel": {
            dataset.channels[code]: int(count) for code, count in zip(channels, channel_counts, strict=True)
        },
    }


def _split(split: Split) -> Document:
    windows = [*split.ranker, split.validation, *split.origins]
    return {
        "protocol": split.protocol,
        "reason": split.reason,
        "window_days": split.window_days,
        "windows": [
            {"name": part.name, "from": _day(part.fit_minute), "members": len(part.truth.person_row)}
            for part in windows
        ],
    }


def _days(dataset: Dataset) -> list[Document]:
    """Count entries and sales per local day, days without any included."""
    minute = np.concatenate((dataset.entries.minute, dataset.sales.minute)).astype(np.int64)
    if len(minute) == 0:
        return []
    day = (minute + dataset.day_offset_minutes) // MINUTES_PER_DAY
    first = int(day.min())
    counts = np.bincount(day - first)
    return [{"day": _day((first + i) * MINUTES_PER_DAY), "events": int(count)} for i, count in enumerate(counts)]


def _day(minute: int) -> str:
    return (date(1970, 1, 1) + timedelta(days=minute // MINUTES_PER_DAY)).isoformat()


def _plain(value: object) -> Any:
    """Turn dataclasses, enumerations, dates and numbers that JSON lacks into what it has; NaN becomes null."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {entry.name: _plain(getattr(value, entry.name)) for entry in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, float):
        return None if math.isnan(value) else float(value)
    if isinstance(value, date | datetime):
        return value.isoformat()
    return str(value) if isinstance(value, str) else value
