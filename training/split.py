"""Every protocol that splits data; nothing else does.

A split says what a model may see and what it is then asked. Windows are tried in this order of time:

    |------ history ------| ranker ... | validation | test |
                            features     gate and     report
                            of the       tuning       only
                            ranker

The gate and every choice read the validation window; the test window is only reported.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from recommender.errors import TrainingDataError
from recommender.events import KIND_CODES, EventKind
from recommender.history import MINUTES_PER_DAY
from training.dataset import Dataset
from training.metrics import Ragged
from training.windows import Protocol, Split, Truth, Window

BoolVector = npt.NDArray[np.bool_]
IntVector = npt.NDArray[np.int64]

LONGEST_WINDOW_DAYS = 28
WINDOWS_PER_SPAN = 5
"""A window is at most this part of the history: two of them leave most of it to learn from."""
SAME_GAP_SHARE = 0.95
FEWEST_GAPS = 10
FEWEST_PEOPLE = 2
_PURCHASE = KIND_CODES[EventKind.PURCHASE]
_NOT_RANKED = int(np.iinfo(np.int64).max)


def split_dataset(
    dataset: Dataset,
    protocol: Protocol | None = None,
    window_days: float | None = None,
    ranker_windows: int = 0,
    rolling_origins: int = 3,
) -> Split:
    """Split a dataset into ranker, validation and test windows.

    Args:
        dataset: the whole history.
        protocol: None lets the data choose; see choose_protocol.
        window_days: length of a time window; None: LONGEST_WINDOW_DAYS, or a fifth of a shorter history.
        ranker_windows: windows wanted before the validation window; fewer if the history is too short.
        rolling_origins: test windows of the ROLLING protocol.
    Raises: TrainingDataError if the history cannot be split, saying why.
    """
    check_history(dataset)
    if protocol is not None:
        return _split(dataset, protocol, "asked for", window_days, ranker_windows, rolling_origins)
    protocol, reason = choose_protocol(dataset)
    try:
        return _split(dataset, protocol, reason, window_days, ranker_windows, rolling_origins)
    except TrainingDataError as thin:
        if protocol is not Protocol.TIME:
            raise
        try:
            reason = f"no usable time windows ({thin.message})"
            return _split(dataset, Protocol.LAST_ORDER, reason, None, ranker_windows, rolling_origins)
        except TrainingDataError:
            raise thin from None


def check_history(dataset: Dataset) -> None:
    """Refuse a history from which nothing can be learned.

    Raises: TrainingDataError if there are no events, fewer than two people, or only one time.
    """
    target = _target(dataset)
    if not target.any():
        raise TrainingDataError(
            "There are no events of known customers to learn from. Load a purchase history with "
            "`memberwise ingest`, and check that its rows name members and items.",
            accepted="purchase events with member_id (or namespace and identity_value) and item_id",
        )
    n_people = len(np.unique(dataset.entries.person_row[target]))
    if n_people < FEWEST_PEOPLE:
        raise TrainingDataError(
            "The history holds only one customer; nothing can be learned from one.",
            value=n_people,
            accepted=f"at least {FEWEST_PEOPLE} members (members of kinds other than consumer do not count)",
        )
    minute = dataset.entries.minute[target]
    if minute.min() == minute.max():
        raise TrainingDataError(
            "All events happened at one time, so no later window is left to evaluate on. Check the time "
            "column; an order number can be mapped to a time.",
            field="occurred_at",
            value=str(np.datetime64(int(minute[0]), "m")),
            accepted="events at several times",
        )


def choose_protocol(dataset: Dataset) -> tuple[Protocol, str]:
    """Choose by the data: time windows, unless times only number each person's orders.

    Times that come from an order index put a person's orders at equal distances; nobody shops like that.
    """
    target = _target(dataset)
    minute = dataset.entries.minute[target].astype(np.int64)
    minute -= minute.min(initial=0)
    width = int(minute.max(initial=0)) + 1
    person, time = np.divmod(np.unique(dataset.entries.person_row[target] * np.int64(width) + minute), width)
    gaps = np.diff(time)[np.diff(person) == 0]
    if len(gaps) >= FEWEST_GAPS:
        sizes = np.unique(gaps, return_counts=True)[1]
        if sizes.max() >= SAME_GAP_SHARE * len(gaps):
            return Protocol.LAST_ORDER, "times only number each member's orders: they lie at equal distances"
    return Protocol.TIME, "events have real times"


def choose_window_days(first_minute: int, last_minute: int) -> float:
    """Return the length of a window: LONGEST_WINDOW_DAYS, or a fifth of a shorter history, in whole days."""
    days = (last_minute - first_minute + 1) / MINUTES_PER_DAY / WINDOWS_PER_SPAN
    return float(min(LONGEST_WINDOW_DAYS, np.floor(days) if days >= 1 else days))


def time_windows(dataset: Dataset, days: float, names: Sequence[str]) -> list[Window]:
    """Cut consecutive windows of equal length off the end of the history; those of a day or longer at local midnight.

    Args:
        dataset: the whole history.
        days: length of each window.
        names: names of the windows, newest first.
    Returns: the windows, newest first, without those that would leave no history before them.
    """
    target = _target(dataset)
    minute = dataset.entries.minute
    first, last = int(minute[target].min()), int(minute[target].max())
    length = max(1, round(days * MINUTES_PER_DAY))
    end = last + 1
    if days >= 1:
        offset = dataset.day_offset_minutes
        end = ((last + offset) // MINUTES_PER_DAY + 1) * MINUTES_PER_DAY - offset
    windows = []
    for number, name in enumerate(names):
        stop = end - number * length
        cut = stop - length
        if cut <= first:
            break
        history = minute < cut
        as_of = np.full(len(dataset.people), cut, np.int32)
        truth = build_truth(dataset, history, target & (minute >= cut) & (minute < stop))
        windows.append(Window(name, as_of, history, cut, truth, stop))
    return windows


def later_window(dataset: Dataset, cut: int) -> Window:
    """Return the window of everything from a minute on, for models that were fitted before it."""
    target = _target(dataset)
    minute = dataset.entries.minute
    history = minute < cut
    as_of = np.full(len(dataset.people), cut, np.int32)
    truth = build_truth(dataset, history, target & (minute >= cut))
    return Window("later", as_of, history, cut, truth, int(minute.max(initial=cut)) + 1)


def person_windows(dataset: Dataset, protocol: Protocol, names: Sequence[str]) -> list[Window]:
    """Cut each person's last orders (or last purchases) off, one per window.

    An order is all that a person bought on one local day, or at one minute where times only number orders.

    Args:
        dataset: the whole history.
        protocol: LAST_ORDER or LEAVE_ONE_OUT.
        names: names of the windows, newest first. A person needs a further order before a window's own.
    Returns: the windows, newest first.
    """
    ranked = _rank_from_end(dataset, protocol)
    return [_person_window(dataset, ranked, number, name) for number, name in enumerate(names)]


def build_truth(dataset: Dataset, history: BoolVector, asked: BoolVector) -> Truth:
    """Collect the distinct items of the asked entries, with what the person had done with them before.

    Args:
        dataset: the entries' dataset.
        history: bool, (n_entries,), the entries before the window.
        asked: bool, (n_entries,), the entries of learned people that are asked for.
    """
    entries, width = dataset.entries, len(dataset.items)
    key = entries.person_row.astype(np.int64) * width + entries.item_row
    asked_key = np.unique(key[asked])
    person, item = np.divmod(asked_key, max(width, 1))
    person_row, sizes = np.unique(person, return_counts=True)
    indptr = np.concatenate(([0], np.cumsum(sizes))).astype(np.int64)
    target = _target(dataset)
    return Truth(
        person_row.astype(np.int32),
        Ragged(indptr, item.astype(np.int32)),
        _found(asked_key, key[history & target]),
        _found(asked_key, key[history]),
    )


def _found(wanted: IntVector, keys: IntVector) -> BoolVector:
    """Tell which of the wanted keys, distinct and rising, are among many others."""
    found = np.zeros(len(wanted), bool)
    if len(wanted):
        at = np.minimum(np.searchsorted(wanted, keys), len(wanted) - 1)
        found[at[wanted[at] == keys]] = True
    return found


def _split(dataset: Dataset, protocol: Protocol, reason: str, days: float | None, ranker: int, rolling: int) -> Split:
    """Split by one protocol, and refuse windows that hold too little to mean anything."""
    if protocol in (Protocol.TIME, Protocol.ROLLING):
        origins = rolling if protocol is Protocol.ROLLING else 1
        split = _split_by_time(dataset, protocol, reason, days, ranker, origins)
    else:
        split = _split_by_person(dataset, protocol, reason, ranker)
    for window in (*reversed(split.origins), split.validation):
        _check_window(window)
    return split


def _split_by_time(
    dataset: Dataset, protocol: Protocol, reason: str, days: float | None, ranker: int, origins: int
) -> Split:
    minute = dataset.entries.minute[_target(dataset)]
    chosen = days or choose_window_days(int(minute.min()), int(minute.max()))
    names = [
        *(f"test {origins - number}" if origins > 1 else "test" for number in range(origins)),
        "validation",
        *(f"ranker {number + 1}" for number in range(ranker)),
    ]
    windows = time_windows(dataset, chosen, names)
    if len(windows) <= origins:
        raise TrainingDataError(
            f"The history is too short for windows of {chosen:g} days.",
            field="window_days",
            value=f"{(int(minute.max()) - int(minute.min())) / MINUTES_PER_DAY:.1f} days of history",
            accepted=f"more than {(origins + 1) * chosen:g} days of history, or shorter windows",
        )
    text = f"{reason}; the test window is the last {chosen:g} days, the validation window the {chosen:g} before"
    if days is None and chosen < LONGEST_WINDOW_DAYS:
        text += f" (a window is a fifth of the history, at most {LONGEST_WINDOW_DAYS} days)"
    tests, validation, earlier = windows[:origins], windows[origins], _with_truth(windows[origins + 1 :])
    return Split(protocol, text, chosen, earlier, validation, tuple(reversed(tests)))


def _split_by_person(dataset: Dataset, protocol: Protocol, reason: str, ranker: int) -> Split:
    names = ["test", "validation", *(f"ranker {number + 1}" for number in range(ranker))]
    windows = person_windows(dataset, protocol, names)
    what = "order" if protocol is Protocol.LAST_ORDER else "purchase"
    text = f"{reason}; the test is each member's last {what}, validation the one before"
    return Split(protocol, text, None, _with_truth(windows[2:]), windows[1], (windows[0],))


def _with_truth(windows: Sequence[Window]) -> tuple[Window, ...]:
    """Return the windows in which anything was bought, oldest first; given newest first."""
    return tuple(window for window in reversed(windows) if len(window.truth.person_row))


def _check_window(window: Window) -> None:
    n_people = len(window.truth.person_row)
    if n_people < FEWEST_PEOPLE:
        raise TrainingDataError(
            f"The {window.name} window holds purchases of {n_people} members only. Load more history, leave "
            "out stray late events with --until, or choose another split.",
            field="split",
            accepted=", ".join(Protocol),
        )


def _target(dataset: Dataset) -> BoolVector:
    """Mark what is predicted: purchases of learned people, or all their events where nobody ever bought."""
    entries = dataset.entries
    learned = dataset.learned[entries.person_row]
    bought = learned & (entries.kind == _PURCHASE)
    return bought if bought.any() else learned


def _order_numbers(dataset: Dataset, target: BoolVector, protocol: Protocol) -> IntVector:
    """Number the orders (or single purchases) that target entries belong to, by person, then time.

    Returns: int64, (n_target,).
    """
    person = dataset.entries.person_row[target].astype(np.int64)
    minute, item = dataset.entries.minute[target].astype(np.int64), dataset.entries.item_row[target]
    if protocol is Protocol.LEAVE_ONE_OUT:
        number = np.empty(len(person), np.int64)
        number[np.lexsort((item, minute, person))] = np.arange(len(person))
        return number
    by_minute = choose_protocol(dataset)[0] is Protocol.LAST_ORDER
    time = minute if by_minute else (minute + dataset.day_offset_minutes) // MINUTES_PER_DAY
    time = time - time.min(initial=0)
    return np.unique(person * (int(time.max(initial=0)) + 1) + time, return_inverse=True)[1].astype(np.int64)


def _rank_from_end(dataset: Dataset, protocol: Protocol) -> tuple[IntVector, IntVector]:
    """Count each person's orders (or single purchases) from the end.

    Returns: rank, int64, (n_entries,), 0 = last, _NOT_RANKED for entries that are not predicted; and the
        number of orders of each entry's person, int64, (n_entries,).
    """
    target = _target(dataset)
    person = dataset.entries.person_row[target]
    number = _order_numbers(dataset, target, protocol)
    last = np.full(len(dataset.people), -1, np.int64)
    np.maximum.at(last, person, number)
    first = np.full(len(dataset.people), np.iinfo(np.int64).max)
    np.minimum.at(first, person, number)
    count = np.where(last >= 0, last - first + 1, 0)
    rank = np.full(len(dataset.entries), _NOT_RANKED)
    rank[target] = last[person] - number
    return rank, count[dataset.entries.person_row]


def _person_window(dataset: Dataset, ranked: tuple[IntVector, IntVector], number: int, name: str) -> Window:
    """Make the window that asks for everyone's order `number` from the end and hides all that came later.

    A person's first order is never asked for nor hidden: something must be known before.
    """
    rank, count = ranked
    entries = dataset.entries
    hidden = (rank <= number) & (rank < count - 1)
    end = int(entries.minute.max()) + 1
    start = np.full(len(dataset.people), end, np.int32)
    np.minimum.at(start, entries.person_row[hidden], entries.minute[hidden])
    own_start = start[entries.person_row]
    # Purchases at the minute of the hidden one, but not hidden themselves, were made before it.
    same_minute = (entries.minute == own_start) & ~hidden & (rank != _NOT_RANKED)
    history = (entries.minute < own_start) | same_minute
    as_of = (start + int(same_minute.any())).astype(np.int32)
    return Window(name, as_of, history, end + 1, build_truth(dataset, history, hidden & (rank == number)))
