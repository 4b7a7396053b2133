"""The trainer for notebooks: a few functions that do what the commands do, and give data frames.

`import training as mw` offers them all, and loads each when it is first used; docs/data-scientists.md shows them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from recommender.errors import InputError
from recommender.events import member_subject
from recommender.pipeline import Recommender
from recommender.query import Query, Scenario
from recommender.reasons import explain
from recommender.settings import CoreSettings, read_settings
from recommender.storage.catalog import read_items
from recommender.storage.database import open_database
from training.compare import paired
from training.course import Course
from training.dataset import Dataset
from training.evaluate import panel_for, replay
from training.evaluation import Evaluation
from training.gate import Gate
from training.panel import most_recent
from training.place import Place
from training.progress import Bars, Progress
from training.settings import TrainingSettings
from training.train import evaluate_windows, split_of, tune
from training.unify import read_dataset
from training.windows import Split

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Learned:
    """What learn() made: models fitted on what the test window may see, and what they reached there."""

    settings: TrainingSettings
    split: Split
    gate: Gate
    model: Recommender
    evaluation: Evaluation


def open_shop(home: str | Path | None = None, models: str | Path | None = None) -> Place:
    """Open the state and bundles of an installation.

    Args:
        home, models: folders; by default what MEMBERWISE_HOME and MEMBERWISE_MODELS say, else var and models.
    """
    named = {"MEMBERWISE_HOME": home, "MEMBERWISE_MODELS": models}
    environ = {**os.environ, **{name: str(path) for name, path in named.items() if path is not None}}
    settings = read_settings(CoreSettings, environ)
    settings.home.mkdir(parents=True, exist_ok=True)
    database = open_database(settings)
    database.migrate()
    return Place(database, settings)


def history(shop: Place, until: datetime | None = None) -> Dataset:
    """Read the history of a shop, all of it or what lies before a time."""
    if until is not None and until.tzinfo is None:
        until = until.replace(tzinfo=shop.settings.zone)
    return read_dataset(shop.database, shop.settings, until, datetime.now(UTC))


def overview(data: Dataset) -> pd.Series:
    """Return the size of a history: people, items, stores, entries, first and last day."""
    import pandas as pd

    entries = data.entries
    days = entries.minute.astype("int64").astype("datetime64[m]")
    return pd.Series(
        {
            "people": len(np.unique(entries.person_row)),
            "items": len(data.items),
            "items with events": len(np.unique(entries.item_row)),
            "stores": len(data.stores),
            "entries": len(entries),
            "first": str(days.min())[:10] if len(days) else "",
            "last": str(days.max())[:10] if len(days) else "",
        }
    )


def learn(data: Dataset, settings: TrainingSettings | None = None, progress: Progress | None = None) -> Learned:
    """Fit, tune, judge and test as `memberwise train` does; nothing is written.

    Raises: TrainingDataError if the history cannot be learned from.
    """
    chosen, shown = settings or TrainingSettings(), progress or Bars()
    with threadpool_limits(1, "blas"):
        split = split_of(data, chosen)
        course = Course(data, chosen, shown)
        course.study(split.ranker)
        tuned, gate = tune(course, split.validation)
        evaluations, newest = evaluate_windows(course, split, tuned)
    return Learned(chosen, split, gate, newest, evaluations[-1])


def figures(evaluation: Evaluation) -> pd.DataFrame:
    """Return all measures: a row per subset and method; columns by measure, with the ends of the 95 % interval."""
    import pandas as pd

    rows = [
        {"subset": row.subset, "method": row.method, "measure": row.measure, **_interval(row.interval)}
        for row in evaluation.measures
    ]
    table = pd.DataFrame(rows)
    return table.pivot(index=["subset", "method"], columns="measure", values=["mean", "low", "high"]).swaplevel(axis=1)


def by_group(evaluation: Evaluation) -> pd.DataFrame:
    """Return NDCG@10 by group of members or items: a row per group, value and method."""
    import pandas as pd

    return pd.DataFrame(
        [
            {"group": row.group, "value": row.value, "method": row.method, **_interval(row.interval)}
            for row in evaluation.groups
        ]
    )


def difference(data: Dataset, first: Learned, second: Learned) -> pd.DataFrame:
    """Return what the second models reach more than the first on the test window, paired by member.

    Raises: InputError if the two were tested on different windows.
    """
    import pandas as pd

    window, other = first.split.test, second.split.test
    if window.fit_minute != other.fit_minute or not np.array_equal(window.truth.person_row, other.truth.person_row):
        raise InputError("The two were tested on different windows.", accepted="the same data and split settings")
    panel = panel_for(data, window, first.settings, first.settings.evaluation.members)
    lists = [replay(one.model, panel, processes=one.settings.thread_count) for one in (first, second)]
    return pd.DataFrame(
        [
            {"subset": row.subset, "measure": row.measure, "first": row.promoted.mean, "second": row.new.mean}
            | _interval(row.difference)
            for row in paired(lists[0], lists[1], panel, first.settings)
        ]
    ).rename(columns={"mean": "difference"})


def slate(
    shop: Place,
    data: Dataset,
    model: Recommender,
    member_id: str,
    scenario: str = "home",
    count: int = 10,
    at: datetime | None = None,
) -> pd.DataFrame:
    """Return what models show a member, with titles, the retriever that did most, and the reason.

    Args:
        shop: where titles are.
        data: the history; what happened before `at` is used.
        model: fitted on this data, or on a part of it.
        member_id: an unknown member has no history.
        scenario: the placement.
        count: items wanted.
        at: the present; by default the end of the data.
    """
    import pandas as pd

    minute = data.until_minute if at is None else int(at.timestamp() // 60)
    person = data.people.row(member_subject(member_id))
    known = data.histories(minute)
    past = known.of(person) if person is not None else known.of(0).where(np.zeros(int(known.indptr[1]), bool))
    query = Query(Scenario(scenario), count, minute, most_recent(past, TrainingSettings().history_entries))
    (found,) = model.recommend([query])
    ids = data.items.ids(found.row)
    with shop.database.read() as connection:
        titles = {item.item_id: item.title or "" for item in read_items(connection, ids, None, datetime.now(UTC))}
    reasons = [parts[0].text("en", titles) for parts in explain(found, query, model)]
    columns: Mapping[str, Any] = {
        "item_id": ids,
        "title": [titles.get(item_id, "") for item_id in ids],
        "score": found.score,
        "source": found.source,
        "reason": reasons,
    }
    return pd.DataFrame(columns, index=pd.RangeIndex(1, len(ids) + 1, name="position"))


def _interval(found: Any) -> dict[str, float]:
    return {"mean": found.mean, "low": found.low, "high": found.high}
