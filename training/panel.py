"""Panel: the people whom a window asks about, with all that may be known of them then."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from recommender.history import MINUTES_PER_DAY, Histories
from recommender.interactions import PURCHASE_CODE
from recommender.query import Query, Scenario
from training.baselines import POPULARITY_DAYS, Past, past_of, popularity_counts
from training.dataset import Dataset, Entries
from training.windows import Truth, Window

IntVector = npt.NDArray[np.int64]
RowVector = npt.NDArray[np.int32]
MinuteVector = npt.NDArray[np.int32]
BoolVector = npt.NDArray[np.bool_]

CHUNK = 256
"""Queries answered at once."""
HISTORY_DAYS = (0, 1, 5, 10, 20, 50)
"""Lower bounds of the groups of people by days with a purchase."""
STORES_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Panel:
    """People asked about in one window, in the order of their person rows.

    truth: what they then bought.  histories: what serving would know, one segment per person.
    past: what they bought before, however long ago.  as_of: int32, (n,), minute of asking.
    store_row: int32, (n,), the store they bought in most; has_store: bool, False where there is none.
    groups: per kind of group, the name of each person's group.
    popularity: int64, (n_items,), everybody's member-days with a purchase lately.
    buyers: int64, (n_items,), how many of everybody ever bought the item.
    """

    truth: Truth
    histories: Histories
    past: Past
    as_of: MinuteVector
    store_row: RowVector
    has_store: BoolVector
    groups: dict[str, tuple[str, ...]]
    popularity: IntVector
    buyers: IntVector

    def __len__(self) -> int:
        return len(self.as_of)

    def queries(self, counts: Mapping[Scenario, int], chunk: int = CHUNK) -> Iterator[Sequence[Query]]:
        """Yield queries, some people at a time: all of the first scenario, then all of the next.

        The scenarios of one person share the history, so that it is scored once.

        Args:
            counts: items wanted by scenario.
            chunk: people at a time; > 0.
        """
        for start in range(0, len(self), chunk):
            people = range(start, min(start + chunk, len(self)))
            histories = [self.histories.of(i) for i in people]
            yield [
                Query(
                    scenario=scenario,
                    count=count,
                    as_of=int(self.as_of[i]),
                    history=history,
                    store_row=int(self.store_row[i]) if self.has_store[i] else None,
                )
                for scenario, count in counts.items()
                for i, history in zip(people, histories, strict=True)
            ]


def panel_of(
    dataset: Dataset, window: Window, members: int, history_entries: int, half_life_days: float, seed: int
) -> Panel:
    """Gather the people of a window, or a random part of them.

    Args:
        dataset: the whole history.
        window: whose truth is asked.
        members: most people taken, drawn by the seed; 0 = all.
        history_entries: entries that serving keeps of a history.
        half_life_days: decay of the personal baseline.
        seed: of the draw.
    """
    truth = window.truth
    if 0 < members < len(truth.person_row):
        drawn = np.random.default_rng(seed).choice(len(truth.person_row), members, replace=False)
        truth = truth.select(np.sort(drawn))
    seen = window.cut(dataset)
    everybody = seen.histories(int(np.iinfo(np.int32).max))
    whole = select(everybody, truth.person_row)
    as_of = window.as_of[truth.person_row]
    n_people = len(dataset.people)
    main_store = main_stores(seen.entries, n_people, len(dataset.stores))[truth.person_row]
    by_channel = replace(seen.entries, store_row=seen.entries.channel.astype(np.int32))
    main_channel = main_stores(by_channel, n_people, len(dataset.channels))[truth.person_row]
    stores = (*dataset.stores.ids(np.arange(len(dataset.stores))), "none")
    channels = (*dataset.channels, "none")
    # Where everybody is asked at a time of their own, no period is recent for all.
    days = POPULARITY_DAYS if len(np.unique(window.as_of)) == 1 else np.inf
    popularity, buyers = popularity_counts(everybody, window.fit_minute, days, len(dataset.items))
    return Panel(
        truth=truth,
        histories=most_recent(whole, history_entries),
        past=past_of(whole, as_of, half_life_days),
        as_of=as_of,
        store_row=np.where(main_store < len(dataset.stores), main_store, 0).astype(np.int32),
        has_store=main_store < len(dataset.stores),
        groups={
            "channel": tuple(channels[code] for code in main_channel),
            "store": _largest([stores[row] for row in main_store], STORES_SHOWN),
            "history": _history_groups(whole),
        },
        popularity=popularity,
        buyers=buyers,
    )


def main_stores(entries: Entries, n_people: int, n_stores: int) -> RowVector:
    """Return the store with most of each person's entries, ties to the lower row; n_stores where there is none.

    Args:
        entries: history entries.
        n_people, n_stores: sizes of the row spaces.
    Returns: int32, (n_people,).
    """
    named = entries.store_row < n_stores
    key = entries.person_row[named].astype(np.int64) * max(n_stores, 1) + entries.store_row[named]
    visited, visits = np.unique(key, return_counts=True)
    person, store = np.divmod(visited, max(n_stores, 1))
    order = np.lexsort((-store, visits, person))
    main = np.full(n_people, n_stores, np.int32)
    main[person[order]] = store[order]
    return main


def select(histories: Histories, rows: npt.NDArray[np.integer]) -> Histories:
    """Return some segments, in the order given."""
    sizes = np.diff(histories.indptr)[rows]
    indptr = np.concatenate(([0], np.cumsum(sizes))).astype(np.int64)
    at = np.arange(int(indptr[-1])) + np.repeat(histories.indptr[:-1][rows] - indptr[:-1], sizes)
    return _take(histories, indptr, at)


def most_recent(histories: Histories, entries: int) -> Histories:
    """Keep the last entries of every segment.

    Args:
        histories: ordered by rising minute within a segment.
        entries: most entries kept per segment; > 0.
    """
    sizes = np.diff(histories.indptr)
    kept = np.minimum(sizes, entries)
    indptr = np.concatenate(([0], np.cumsum(kept))).astype(np.int64)
    at = np.arange(int(indptr[-1])) + np.repeat(histories.indptr[1:] - indptr[1:], kept)
    return _take(histories, indptr, at)


def _take(histories: Histories, indptr: IntVector, at: IntVector) -> Histories:
    return replace(
        histories,
        indptr=indptr,
        item_row=histories.item_row[at],
        minute=histories.minute[at],
        kind=histories.kind[at],
        channel=histories.channel[at],
        times=histories.times[at],
    )


def _largest(names: Sequence[str], count: int) -> tuple[str, ...]:
    """Keep the names of the largest groups, and put all others together."""
    distinct, sizes = np.unique(np.array(names, dtype=object), return_counts=True)
    kept = set(distinct[np.lexsort((distinct, -sizes))][:count]) if len(distinct) > count + 1 else set(distinct)
    return tuple(name if name in kept else "other" for name in names)


def _history_groups(histories: Histories) -> tuple[str, ...]:
    """Name each person's group by days with a purchase, such as "5-9 days"."""
    purchase = histories.kind == PURCHASE_CODE
    person = np.repeat(np.arange(len(histories)), np.diff(histories.indptr))[purchase]
    day = histories.minute[purchase] // MINUTES_PER_DAY
    pairs = np.unique(np.stack((person, day)), axis=1)
    days = np.bincount(pairs[0], minlength=len(histories))
    bounds = (*HISTORY_DAYS, None)
    labels = [_range(low, high) for low, high in pairwise(bounds)]
    return tuple(labels[i] for i in np.searchsorted(HISTORY_DAYS, days, side="right") - 1)


def _range(low: int | None, high: int | None) -> str:
    if high is None:
        return f"{low}+ days"
    return f"{low} days" if high - 1 == low else f"{low}-{high - 1} days"
