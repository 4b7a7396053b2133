"""How much events count: defaults by kind, and weights by kind and channel learned from what was bought later."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recommender.events import EventKind
from recommender.history import MINUTES_PER_DAY
from recommender.interactions import PURCHASE_CODE, Weights
from training.dataset import Entries, Snapshot

IntVector = npt.NDArray[np.int64]
DoubleVector = npt.NDArray[np.float64]
DoubleMatrix = npt.NDArray[np.float64]

KIND_WEIGHTS: dict[EventKind, float] = {
    EventKind.PURCHASE: 1.0,
    EventKind.VIEW: 1.0,
    EventKind.FAVORITE: 3.0,
    EventKind.BASKET_ADD: 4.0,
    EventKind.SHARE: 3.0,
    EventKind.RATING: 2.0,
}
"""Weight of one event of a kind; kinds that are not named weigh nothing. Purchases and browsing decay apart."""

WINDOWS = 3
"""Periods at the end of the history whose purchases show what earlier events were worth."""
LONGEST_SHARE = 0.2
"""A period is at most this part of the history."""
MOST_PEOPLE = 20_000
"""People looked at; more would not change what is learned."""
PRIOR_PAIRS = 200.0
"""Pairs of a member and an item that the default of a kind, or of a channel, is worth."""
LARGEST_CHANGE = 5.0
"""A learned weight is at most this many times its default, or this part of it."""
STEPS = 3
"""Times that kinds and channels are solved in turn."""


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What pairs of a member and an item had been through, and whether they ended in a purchase, as sums over pairs.

    A column stands for one kind of event in one channel, and holds decayed events.

    kind, channel: int64, (n,), of each column.
    square: float64, (n, n), products of columns.  bought: float64, (n,), of columns and the purchase.
    volume: float64, (n,), sums of columns.  pairs: float64, (n,), how many pairs have any.
    """

    kind: IntVector
    channel: IntVector
    square: DoubleMatrix
    bought: DoubleVector
    volume: DoubleVector
    pairs: DoubleVector


def weights_of(purchase_half_life_days: float, browse_half_life_days: float, n_channels: int) -> Weights:
    """Return the default weights for given half-lives; all channels count the same."""
    return Weights(
        purchase_half_life_days,
        browse_half_life_days,
        tuple(KIND_WEIGHTS.get(kind, 0.0) for kind in EventKind),
        (1.0,) * n_channels,
    )


def learn_weights(data: Snapshot, default: Weights, horizon_days: float) -> Weights:
    """Learn what an event of each kind in each channel is worth, by the purchases that followed.

    The chance of a purchase is modelled as a sum over earlier events of weight by kind times factor by channel,
    solved by least squares with the defaults as a prior. The weights of browsing kinds are relative to one
    another: what browsing is worth beside purchases is a setting. The most frequent channel counts 1.

    Args:
        data: the history.
        default: half-lives, and the weights that few events cannot change.
        horizon_days: the period after an event in which a purchase counts; > 0.
    Returns: weights with the half-lives of `default`; the default where there is nothing to learn from.
    """
    outcomes = _outcomes(data, default, horizon_days)
    if outcomes is None:
        return default
    kind, channel = np.array(default.by_kind), np.array(default.by_channel)
    for _ in range(STEPS):
        kind = _solve(outcomes, outcomes.kind, channel[outcomes.channel], np.array(default.by_kind))
        channel = _solve(outcomes, outcomes.channel, kind[outcomes.kind], np.array(default.by_channel))
    return replace(default, by_kind=_relative(kind, default, outcomes), by_channel=_to_most_frequent(channel, outcomes))


def _outcomes(data: Snapshot, default: Weights, horizon_days: float) -> Outcomes | None:
    """Sum up the pairs of some people as they were before each of the last periods; None if that tells nothing."""
    entries = _some_people(data.entries.where(np.array(default.by_kind)[data.entries.kind] > 0))
    code = entries.kind.astype(np.int64) * data.n_channels + entries.channel
    columns, column = np.unique(code, return_inverse=True)
    if len(columns) < 2:
        return None
    days = (data.as_of - int(entries.minute.min())) / MINUTES_PER_DAY
    length = max(round(min(horizon_days, LONGEST_SHARE * days) * MINUTES_PER_DAY), 1)
    starts = [data.as_of - (number + 1) * length for number in range(WINDOWS)]
    parts = [_one_period(entries, column, len(columns), data.n_items, default, start, length) for start in starts]
    square, bought, volume, pairs = (np.sum(part, axis=0) for part in zip(*parts, strict=True))
    if not bought.any():
        return None
    return Outcomes(columns // data.n_channels, columns % data.n_channels, square, bought, volume, pairs)


def _some_people(entries: Entries) -> Entries:
    """Return the entries of at most MOST_PEOPLE people, evenly spread over the rows."""
    people = np.unique(entries.person_row)
    step = -(-len(people) // MOST_PEOPLE)
    if step <= 1:
        return entries
    chosen = np.zeros(int(people[-1]) + 1, bool)
    chosen[people[::step]] = True
    return entries.where(chosen[entries.person_row])


def _one_period(
    entries: Entries, column: IntVector, n_columns: int, n_items: int, default: Weights, start: int, length: int
) -> tuple[DoubleMatrix, DoubleVector, DoubleVector, DoubleVector]:
    """Return square, bought, volume and pairs of Outcomes for one period of `length` minutes."""
    earlier = entries.minute < start
    before = entries.where(earlier)
    later = entries.where(~earlier & (entries.minute < start + length) & (entries.kind == PURCHASE_CODE))
    pair, place = np.unique(_keys(before, n_items), return_inverse=True)
    is_purchase = before.kind == PURCHASE_CODE
    half_life = np.where(is_purchase, default.purchase_half_life_days, default.browse_half_life_days)
    weight = np.exp2((before.minute - start) / MINUTES_PER_DAY / half_life)
    touched = sp.csr_matrix((weight, (place, column[earlier])), shape=(len(pair), n_columns))
    bought = np.isin(pair, _keys(later, n_items)).astype(np.float64)
    volume: DoubleVector = np.bincount(column[earlier], weight, n_columns).astype(np.float64)
    return (touched.T @ touched).toarray(), touched.T @ bought, volume, touched.getnnz(axis=0).astype(np.float64)


def _keys(entries: Entries, n_items: int) -> IntVector:
    return entries.person_row.astype(np.int64) * n_items + entries.item_row


def _solve(outcomes: Outcomes, group: IntVector, factor: DoubleVector, default: DoubleVector) -> DoubleVector:
    """Return the weights of groups of columns that predict purchases best, held to their defaults by PRIOR_PAIRS.

    Args:
        outcomes: of n columns.
        group: int64, (n,), the kind, or the channel, of each column: a position in `default`.
        factor: float64, (n,), what the other of the two says of the column.
        default: float64, (n_groups,), > 0 for groups that have columns.
    """
    used, place = np.unique(group, return_inverse=True)
    joined = np.zeros((len(group), len(used)))
    joined[np.arange(len(group)), place] = factor
    square, bought, given = joined.T @ outcomes.square @ joined, joined.T @ outcomes.bought, default[used]
    scale = float(given @ bought) / float(given @ square @ given)
    if scale <= 0:
        return default
    own = square.diagonal()
    # What nobody had been through before any of the periods keeps its default.
    hold = np.where(own > 0, PRIOR_PAIRS * own / np.maximum(np.bincount(place, outcomes.pairs), 1), 1.0)
    solved = np.linalg.solve(square + np.diag(hold), bought / scale + hold * given)
    found = default.copy()
    found[used] = np.clip(solved, given / LARGEST_CHANGE, given * LARGEST_CHANGE)
    return found


def _relative(kind: DoubleVector, default: Weights, outcomes: Outcomes) -> tuple[float, ...]:
    """Return kind weights under which purchases weigh what they did, and all browsing together as well."""
    before = np.array(default.by_kind)
    volume = np.bincount(outcomes.kind, outcomes.volume, len(kind))
    browsing = np.arange(len(kind)) != PURCHASE_CODE
    total = float((kind * volume)[browsing].sum())
    scale = float((before * volume)[browsing].sum()) / total if total > 0 else 1.0
    relative = np.where(browsing, kind * scale, before)
    return tuple(round(float(weight), 4) for weight in relative)


def _to_most_frequent(channel: DoubleVector, outcomes: Outcomes) -> tuple[float, ...]:
    """Return channel factors relative to the most frequent channel's."""
    main = int(np.bincount(outcomes.channel, outcomes.volume).argmax())
    relative = np.clip(channel / channel[main], 1 / LARGEST_CHANGE, LARGEST_CHANGE)
    return tuple(round(float(factor), 4) for factor in relative)
