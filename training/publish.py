"""Publishes a model: checks the gate, writes the bundle, promotes it."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np

from recommender.bundle import Array, BundleFacts, bundle_id_of, history_arrays, write_bundle
from recommender.coupons.models import NAME as COUPONS
from recommender.coupons.models import CouponModels
from recommender.errors import GateError
from recommender.history import Histories
from recommender.pipeline import Recommender
from recommender.retrievers.base import Json
from training.dataset import Dataset
from training.gate import Gate
from training.page import to_html
from training.panel import most_recent
from training.report import Document, to_json
from training.settings import TrainingSettings, settings_text

LIBRARIES = ("memberwise", "numpy", "scipy", "implicit", "lightgbm", "duckdb")
"""Whose versions a bundle records."""


NOTHING_PREPARED: Mapping[str, Array] = {}


@dataclass(frozen=True, slots=True)
class Draft:
    """All of a bundle but its report; `bundle_id` is known before anything is written."""

    bundle_id: str
    arrays: dict[str, Array]
    description: dict[str, Json]
    settings_text: str
    texts: dict[str, str]
    facts: BundleFacts


def draft_bundle(
    recommender: Recommender,
    dataset: Dataset,
    settings: TrainingSettings,
    now: datetime,
    prepared: Mapping[str, Array] = NOTHING_PREPARED,
    coupons: CouponModels | None = None,
) -> Draft:
    """Put a recommender and the histories that serving needs together.

    Args:
        recommender: fitted on the whole dataset.
        dataset: whose subjects' histories go into the bundle.
        settings: as they were used; the bundle's id depends on them.
        now: the present.
        prepared: arrays of what was ranked in advance.
        coupons: models of response and profit, None where nothing was sent yet.
    """
    arrays, description = recommender.parts()
    arrays |= history_arrays(dataset.subjects, subject_histories(dataset, settings.history_entries)) | dict(prepared)
    text = settings_text(settings)
    facts = BundleFacts(
        trained_until=dataset.until,
        last_sequence=dataset.last_sequence,
        seed=settings.seed,
        threads=settings.thread_count,
        created_at=now,
        versions={"python": platform.python_version()} | {name: version(name) for name in LIBRARIES},
    )
    texts = dict(recommender.texts())
    if coupons is not None:
        own, described, files = coupons.parts()
        arrays, texts = arrays | own, texts | files
        description = description | {COUPONS: described}
    bundle_id = bundle_id_of(arrays, description, text, texts, dataset.until)
    return Draft(bundle_id, arrays, description, text, texts, facts)


def publish(draft: Draft, report: Document, models_dir: Path) -> str:
    """Write a draft and its report as a bundle, and return its id."""
    return write_bundle(
        models_dir,
        draft.arrays,
        draft.description,
        draft.settings_text,
        draft.facts,
        {**draft.texts, "report.json": to_json(report), "report.html": to_html(report)},
    )


def check_gate(gate: Gate) -> None:
    """Let a model through.

    Raises: GateError with the figures if it is significantly below the best single method anywhere.
    """
    failed = [row for row in gate.rows if not row.passed]
    if failed:
        raise GateError(
            "The model did not pass its gate and was not published. " + "; ".join(row.text for row in failed) + ".",
            accepted="not significantly below the best single method on the validation window",
        )


def subject_histories(dataset: Dataset, entries: int) -> Histories:
    """Return the most recent entries of every raw subject, one segment per subject row.

    Args:
        dataset: the whole history.
        entries: most entries kept per subject; > 0.
    """
    whole = dataset.entries
    # Entries lie in time order within a person, and so within each of a person's subjects.
    order = np.argsort(whole.subject_row, kind="stable")
    sizes = np.bincount(whole.subject_row, minlength=len(dataset.subjects))
    histories = Histories(
        np.concatenate(([0], np.cumsum(sizes))).astype(np.int64),
        whole.item_row[order],
        whole.minute[order],
        whole.kind[order],
        whole.channel[order],
        whole.times[order],
    )
    return most_recent(histories, entries)
