"""Features: what the learned ranker sees of a candidate, computed by the same code for training and serving.

Everything a feature says was known when the query was asked: the query's own history, the retrievers' scores, and
facts about items as they were when the models were fitted. NaN means that nothing is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from recommender.candidates import Pool
from recommender.errors import BundleError
from recommender.history import MINUTES_PER_DAY
from recommender.interactions import Arranged, Pairs, Weights
from recommender.query import Batch
from recommender.retrievers.base import State, as_list, as_table, as_texts, weights_from, weights_to
from recommender.retrievers.repeat import due_ratio

BoolVector = npt.NDArray[np.bool_]
FloatVector = npt.NDArray[np.float32]
FloatMatrix = npt.NDArray[np.float32]
IntVector = npt.NDArray[np.int64]
RowVector = npt.NDArray[np.int32]

ITEM_FEATURES = (
    "item_buyers",
    "item_sales",
    "item_trend",
    "item_repeat_rate",
    "item_repeat_soon",
    "item_interval_days",
    "item_age_days",
    "item_price",
    "item_browsed_rate",
)
"""Facts about items as of the fit: logarithms of shares and prices, rates, days."""

PAIR_FEATURES = (
    "pair_times",
    "pair_recall",
    "pair_fresh",
    "pair_share",
    "pair_days_since",
    "pair_days_known",
    "pair_due_ratio",
    "pair_rate",
    "pair_browsed",
    "pair_days_since_event",
    "pair_views_since",
)
"""What the history says of the candidate itself."""

GROUPS = ("category", "section", "brand")
"""Contents by which a taste is summed up: the leaf category, the category above it, the brand."""

GROUP_FEATURES = ("share", "browsed_share", "times", "items", "days_since")
"""What the history says of the candidate's category, section and brand."""

MEMBER_FEATURES = (
    "member_days",
    "member_days_since",
    "member_gap_days",
    "member_basket",
    "member_distinct",
    "member_repeat_share",
    "member_browsed_share",
    "member_online_share",
    "member_price",
)
"""What the history says of the member."""

MATCH_FEATURES = ("price_match", "store_lift")
"""How the candidate's price compares with what the member pays; how much likelier the store sells it."""


@dataclass(frozen=True, slots=True)
class FeatureSource:
    """Makes the feature matrix of a pool of candidates.

    recall, fresh: weights of a slow and of a quick decay.
    prior_gaps: own intervals that an item's usual one is worth.
    retrievers: names of the retrievers whose scores are features, in order.
    online: bool, (n_channels,), which channel codes are online ones.
    item: float32, (n_items, len(ITEM_FEATURES)).
    content: int32, (len(GROUPS), n_items), the item's value; 0 = none.
    interval_days: float32, (n_items,), each product's usual days between two purchases.
    shelf_key: int64, (n,), rising: store_row * n_items + item_row of what stores sold lately.
    shelf_lift: float32, (n,), the item's share of that store's sales over its share of all sales.
    """

    recall: Weights
    fresh: Weights
    prior_gaps: float
    retrievers: tuple[str, ...]
    online: BoolVector
    item: FloatMatrix
    content: npt.NDArray[np.int32]
    interval_days: FloatVector
    shelf_key: IntVector
    shelf_lift: FloatVector

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns that build() makes, in order."""
        ranks = tuple(f"rank_{name}" for name in self.retrievers)
        groups = tuple(f"{group}_{what}" for group in GROUPS for what in GROUP_FEATURES)
        return ranks + ITEM_FEATURES + PAIR_FEATURES + groups + MEMBER_FEATURES + MATCH_FEATURES

    def build(self, pool: Pool, batch: Batch, kept: BoolVector | None = None) -> FloatMatrix:
        """Return the features of candidates.

        Args:
            pool: candidates of the batch.
            batch: the queries behind them.
            kept: bool, (len(pool.row),), whose features are wanted; None = all.
        Returns: float32, (number wanted, len(names)).
        """
        query, row = (pool.query, pool.row) if kept is None else (pool.query[kept], pool.row[kept])
        ranks = self._ranks(pool)
        history = batch.history_of[query]
        pairs = batch.pairs(self.recall)
        members = self._members(batch, pairs)
        columns = [
            ranks if kept is None else ranks[kept],
            np.asarray(self.item[row], np.float32),
            self._pair(batch, pairs, history, row),
            *(_group(content, batch, pairs, history, row) for content in self.content),
            members[history],
            self._match(batch, members, query, history, row),
        ]
        return np.concatenate(columns, axis=1)

    def state(self) -> State:
        """Return what from_state() needs."""
        arrays = ("online", "item", "content", "interval_days", "shelf_key", "shelf_lift")
        return State(
            {name: getattr(self, name) for name in arrays},
            {
                "recall": weights_to(self.recall),
                "fresh": weights_to(self.fresh),
                "prior_gaps": self.prior_gaps,
                "retrievers": list(self.retrievers),
                "names": list(self.names),
            },
        )

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Make the source from its state.

        Raises: BundleError if this version computes other features than those that the trees were grown on.
        """
        arrays, settings = state.arrays, state.settings
        source = cls(
            weights_from(as_table(settings["recall"])),
            weights_from(as_table(settings["fresh"])),
            state.number("prior_gaps"),
            as_texts(settings["retrievers"]),
            arrays["online"].astype(bool, copy=False),
            arrays["item"].astype(np.float32, copy=False),
            arrays["content"].astype(np.int32, copy=False),
            arrays["interval_days"].astype(np.float32, copy=False),
            arrays["shelf_key"].astype(np.int64, copy=False),
            arrays["shelf_lift"].astype(np.float32, copy=False),
        )
        if as_list(settings["names"]) != list(source.names):
            raise BundleError("The bundle's ranker uses features that this version does not compute. Train again.")
        return source

    def _ranks(self, pool: Pool) -> FloatMatrix:
        """Return the place in each retriever's list, in the order of `retrievers`; NaN where it is not in it."""
        found = np.full((len(pool.row), len(self.retrievers)), np.nan, np.float32)
        for number, name in enumerate(self.retrievers):
            if name in pool.retrievers:
                found[:, number] = pool.ranks[:, pool.retrievers.index(name)]
        return found

    def _pair(self, batch: Batch, pairs: Pairs, history: IntVector, row: RowVector) -> FloatMatrix:
        """Return PAIR_FEATURES of each candidate."""
        n_items = len(self.item)
        found = np.full((len(row), len(PAIR_FEATURES)), np.nan, np.float32)
        at, known = find(pairs.query * n_items + pairs.item_row, history * n_items + row)
        if not known.any():
            return found
        whose, at = history[known], at[known]
        as_of = batch.as_of[whose]
        bought = pairs.bought[at] > 0
        total = np.bincount(pairs.query, pairs.purchased, len(batch.histories))
        since = days(as_of - pairs.last[at])
        age = days(as_of - pairs.first[at])
        due = due_ratio(pairs, batch.as_of, self.interval_days, self.prior_gaps)[at]
        last_event, views_since = _browsing(batch.arranged, pairs)
        columns = (
            pairs.bought[at],
            pairs.purchased[at],
            batch.pairs(self.fresh).purchased[at],
            pairs.purchased[at] / np.maximum(total[whose], 1e-9),
            np.where(bought, since, np.nan),
            np.where(bought, age, np.nan),
            np.where(bought, due, np.nan),
            pairs.bought[at] / np.maximum(age, 1.0),
            pairs.browsed[at],
            days(as_of - last_event[at]),
            views_since[at],
        )
        found[known] = np.stack(columns, axis=1)
        return found

    def _members(self, batch: Batch, pairs: Pairs) -> FloatMatrix:
        """Return MEMBER_FEATURES of each history, float32, (n_histories, len(MEMBER_FEATURES))."""
        histories, arranged = batch.histories, batch.arranged
        n = len(histories)
        entries = np.diff(histories.indptr)
        is_bought = np.zeros(len(histories.minute), bool)
        is_bought[arranged.order] = arranged.is_purchase
        segment = np.repeat(np.arange(n), entries)
        who, minute = segment[is_bought], histories.minute[is_bought]
        day = minute // MINUTES_PER_DAY
        fresh_day = np.ones(len(day), bool)
        fresh_day[1:] = (np.diff(day) != 0) | (np.diff(who) != 0)
        purchases = np.bincount(who, minlength=n)
        shopping_days = np.bincount(who[fresh_day], minlength=n)
        first = np.full(n, np.iinfo(np.int32).max, np.int64)
        last = np.full(n, np.iinfo(np.int32).min, np.int64)
        np.minimum.at(first, who, minute)
        np.maximum.at(last, who, minute)
        distinct = np.bincount(pairs.query[pairs.bought > 0], minlength=n)
        online = np.bincount(segment, self.online[histories.channel], n)
        price = self.item[pairs.item_row, ITEM_FEATURES.index("item_price")]
        priced = (pairs.bought > 0) & ~np.isnan(price)
        paid = np.bincount(pairs.query[priced], price[priced], n)
        some, one = purchases > 0, np.maximum(purchases, 1)
        columns = (
            shopping_days,
            np.where(some, (batch.as_of - last) / MINUTES_PER_DAY, np.nan),
            np.where(some, (last - first) / MINUTES_PER_DAY / np.maximum(shopping_days - 1, 1), np.nan),
            purchases / np.maximum(shopping_days, 1),
            distinct,
            np.where(some, 1 - distinct / one, np.nan),
            np.where(entries > 0, 1 - purchases / np.maximum(entries, 1), np.nan),
            np.where(entries > 0, online / np.maximum(entries, 1), np.nan),
            _mean(np.asarray(paid, np.float64), np.bincount(pairs.query[priced], minlength=n)),
        )
        return np.stack(columns, axis=1).astype(np.float32)

    def _match(
        self, batch: Batch, members: FloatMatrix, query: IntVector, history: IntVector, row: RowVector
    ) -> FloatMatrix:
        """Return MATCH_FEATURES of each candidate."""
        price = self.item[row, ITEM_FEATURES.index("item_price")]
        paid = members[history, MEMBER_FEATURES.index("member_price")]
        at, known = find(self.shelf_key, batch.store_row[query].astype(np.int64) * len(self.item) + row)
        lift = np.where(batch.has_store[query], np.float32(0), np.float32(np.nan))
        known &= batch.has_store[query]
        lift[known] = self.shelf_lift[at[known]]
        return np.stack((price - paid, lift), axis=1)


def find(keys: IntVector, wanted: IntVector) -> tuple[IntVector, BoolVector]:
    """Look keys up.

    Args:
        keys: int64, (n,), distinct and rising.
        wanted: int64, (m,).
    Returns: int64, (m,), the place of each wanted key, or some place where it is missing; and bool, (m,), whether
        it is there.
    """
    if len(keys) == 0:
        return np.zeros(len(wanted), np.int64), np.zeros(len(wanted), bool)
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return at, keys[at] == wanted


def days(minutes: npt.NDArray[np.integer]) -> FloatVector:
    """Return minutes as days, float32."""
    return (minutes / MINUTES_PER_DAY).astype(np.float32)


def _mean(total: npt.NDArray[np.float64], count: npt.NDArray[np.integer]) -> npt.NDArray[np.float64]:
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _browsing(arranged: Arranged, pairs: Pairs) -> tuple[RowVector, FloatVector]:
    """Return per pair the minute of the last event of any kind, and how often it was browsed since last bought."""
    last_event = np.maximum.reduceat(arranged.minute, arranged.starts)
    sizes = np.diff(np.append(arranged.starts, len(arranged.minute)))
    never = np.iinfo(np.int32).min
    since = np.repeat(np.where(pairs.bought > 0, pairs.last, never), sizes)
    later = ~arranged.is_purchase & (arranged.minute > since)
    return last_event, np.add.reduceat(later.astype(np.float32), arranged.starts)


def _group(content: RowVector, batch: Batch, pairs: Pairs, history: IntVector, row: RowVector) -> FloatMatrix:
    """Return GROUP_FEATURES of each candidate for one kind of content."""
    found = np.full((len(row), len(GROUP_FEATURES)), np.nan, np.float32)
    n_values = int(content.max(initial=0)) + 1
    if n_values == 1:
        return found
    value = content[pairs.item_row]
    keys, group = np.unique(pairs.query * n_values + value, return_inverse=True)
    wanted = content[row]
    at, known = find(keys, history * n_values + wanted)
    n_groups, n = len(keys), len(batch.histories)
    bought = pairs.bought > 0
    last = np.full(n_groups, np.iinfo(np.int32).min, np.int64)
    np.maximum.at(last, group[bought], pairs.last[bought])
    purchased = np.bincount(group, pairs.purchased, n_groups)
    browsed = np.bincount(group, pairs.browsed, n_groups)
    whose = keys // n_values
    all_purchased, all_browsed = np.bincount(whose, purchased, n), np.bincount(whose, browsed, n)
    items = np.bincount(group[bought], minlength=n_groups)
    columns = (
        purchased / np.maximum(all_purchased[whose], 1e-9),
        browsed / np.maximum(all_browsed[whose], 1e-9),
        np.bincount(group, pairs.bought, n_groups),
        items,
        np.where(items > 0, (batch.as_of[whose] - last) / MINUTES_PER_DAY, np.nan),
    )
    summed = np.stack(columns, axis=1).astype(np.float32)
    has_value = wanted > 0
    found[has_value, :4] = 0
    known &= has_value
    found[known] = summed[at[known]]
    return found
