"""Every protocol on toy histories whose windows are obvious."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recommender.errors import TrainingDataError
from tests.training.datasets import Line, dataset_of, minute_of
from training.dataset import Dataset, Sales
from training.split import choose_protocol, choose_window_days, person_windows, split_dataset
from training.windows import Protocol, Subset, Truth, Window


def shown(dataset: Dataset, truth: Truth, subset: Subset = Subset.ALL) -> dict[str, list[str]]:
    """Return the truth as item ids by person."""
    lists = truth.of(subset)
    return {
        dataset.people.id(person).removeprefix("member:"): dataset.items.ids(
            lists.row[lists.indptr[i] : lists.indptr[i + 1]]
        )
        for i, person in enumerate(truth.person_row)
    }


def visible(dataset: Dataset, window: Window) -> set[tuple[str, str]]:
    """Return the (person, item) pairs that a model may see."""
    entries = window.cut(dataset).entries
    people = [name.removeprefix("member:") for name in dataset.people.ids(entries.person_row)]
    return set(zip(people, dataset.items.ids(entries.item_row), strict=True))


# Ten days: windows are two days long, the test covers days 8 and 9, the validation days 6 and 7.
TEN_DAYS: list[Line] = [
    ("ann", "milk", 0.2),
    ("ann", "bread", 2.5),
    ("ann", "milk", 8.4),
    ("ann", "tea", 9.0),
    ("ann", "tea", 9.5),
    ("bob", "tea", 1.1),
    ("bob", "milk", 6.3, "view"),
    ("bob", "bread", 7.1),
    ("bob", "milk", 8.6),
    ("cyd", "salt", 6.6),
    ("cyd", "tea", 9.9, "view"),
]


def test_time_windows_are_the_end_of_the_history() -> None:
    dataset = dataset_of(TEN_DAYS)
    split = split_dataset(dataset, Protocol.TIME, window_days=2)
    # The last purchase is on day 9, which ends at midnight, so the test window begins two days before, with day 8.
    assert shown(dataset, split.test.truth) == {"ann": ["milk", "tea"], "bob": ["milk"]}
    assert shown(dataset, split.validation.truth) == {"bob": ["bread"], "cyd": ["salt"]}
    assert set(split.test.as_of) == {minute_of(8)}
    assert ("bob", "bread") in visible(dataset, split.test)
    assert ("bob", "bread") not in visible(dataset, split.validation)
    assert "last 2 days" in split.reason


def test_repeat_novel_and_never_seen() -> None:
    dataset = dataset_of(TEN_DAYS)
    truth = split_dataset(dataset, Protocol.TIME, window_days=2).test.truth
    assert shown(dataset, truth, Subset.REPEAT) == {"ann": ["milk"], "bob": []}
    assert shown(dataset, truth, Subset.NOVEL) == {"ann": ["tea"], "bob": ["milk"]}
    # Bob viewed the milk before, so it is novel to his purchases but not unseen.
    assert shown(dataset, truth, Subset.NEVER_SEEN) == {"ann": ["tea"], "bob": []}


def test_histories_of_a_window_end_at_its_cut() -> None:
    dataset = dataset_of(TEN_DAYS)
    window = split_dataset(dataset, Protocol.TIME, window_days=2).test
    histories = window.histories(dataset)
    assert np.diff(histories.indptr).tolist() == [2, 3, 1]
    assert int(histories.minute.max()) < window.fit_minute


def test_truth_can_be_cut_to_some_people() -> None:
    dataset = dataset_of(TEN_DAYS)
    truth = split_dataset(dataset, Protocol.TIME, window_days=2).test.truth
    assert shown(dataset, truth.select(np.array([1]))) == {"bob": ["milk"]}
    assert shown(dataset, truth.select(np.array([0])), Subset.NOVEL) == {"ann": ["tea"]}


def test_people_who_are_not_learned_are_never_asked_for() -> None:
    dataset = dataset_of([*TEN_DAYS, ("dan", "tea", 6.0), ("dan", "tea", 9.0)], not_learned=["dan"])
    split = split_dataset(dataset, Protocol.TIME, window_days=2)
    assert "dan" not in shown(dataset, split.test.truth)


def test_ranker_windows_lie_before_validation_and_stop_where_the_history_begins() -> None:
    dataset = dataset_of([*TEN_DAYS, ("cyd", "tea", 5.0)])
    split = split_dataset(dataset, Protocol.TIME, window_days=2, ranker_windows=9)
    assert [window.name for window in split.ranker] == ["ranker 2", "ranker 1"]
    assert [window.fit_minute for window in split.ranker] == [minute_of(2), minute_of(4)]


def test_rolling_origins_are_asked_oldest_first() -> None:
    dataset = dataset_of([(person, item, day / 2) for person in "ab" for item in "xy" for day in range(20)])
    split = split_dataset(dataset, Protocol.ROLLING, window_days=1)
    assert [window.name for window in split.origins] == ["test 1", "test 2", "test 3"]
    assert [window.fit_minute for window in split.origins] == [minute_of(day) for day in (7, 8, 9)]
    assert split.validation.fit_minute == minute_of(6)
    assert split.test.name == "test 3"


ORDERS: list[Line] = [
    *(("ann", item, 1.0) for item in ("a", "b")),
    *(("ann", item, 2.0) for item in ("b", "c")),
    *(("ann", item, 3.0) for item in ("a", "d")),
    *(("bob", item, 1.0) for item in ("c",)),
    *(("bob", item, 2.0) for item in ("c", "d")),
    *(("cyd", item, 1.0) for item in ("e",)),
]


def test_a_window_in_which_nothing_was_bought_teaches_nothing() -> None:
    # Closed on the days 2 to 3: windows of two days, of which the third before the end is empty.
    dataset = dataset_of([(name, "a", day) for name in ("ann", "bob") for day in (0.2, 1.1, 4.5, 6.2, 7.3)])
    split = split_dataset(dataset, Protocol.TIME, window_days=2, ranker_windows=2)
    assert split.ranker == ()
    assert shown(dataset, split.validation.truth) == {"ann": ["a"], "bob": ["a"]}


def test_last_order_per_member() -> None:
    dataset = dataset_of([*ORDERS, ("dan", "a", 1), ("dan", "b", 2), ("dan", "c", 3)])
    split = split_dataset(dataset, Protocol.LAST_ORDER)
    assert shown(dataset, split.test.truth) == {"ann": ["a", "d"], "bob": ["c", "d"], "dan": ["c"]}
    assert shown(dataset, split.test.truth, Subset.REPEAT) == {"ann": ["a"], "bob": ["c"], "dan": []}
    # Validation asks for the order before, of those who have one more; nobody's last order is visible.
    assert shown(dataset, split.validation.truth) == {"ann": ["b", "c"], "dan": ["b"]}
    assert visible(dataset, split.validation) == {
        ("ann", "a"),
        ("ann", "b"),
        ("bob", "c"),
        ("cyd", "e"),
        ("dan", "a"),
    }
    assert split.window_days is None
    ann, cyd = dataset.people.row("member:ann"), dataset.people.row("member:cyd")
    assert split.test.as_of[ann] == minute_of(3)
    assert split.test.as_of[cyd] == minute_of(3) + 1


def test_an_item_starts_with_the_first_event_that_a_window_shows() -> None:
    dataset = dataset_of([("ann", "a", 1), ("ann", "b", 3), ("bob", "a", 2), ("bob", "c", 9), ("cyd", "b", 5)])
    known, first = minute_of(-30), {"a": 1, "b": 3, "c": 9}
    start = np.array([minute_of(first[item]) for item in "abc"], np.int32)
    dataset = replace(dataset, facts=replace(dataset.facts, available_from=start))
    (window,) = person_windows(dataset, Protocol.LAST_ORDER, ["test"])
    never = np.iinfo(np.int32).max
    # Ann's and Bob's last orders are hidden: of b Cyd's is left, of c nothing.
    assert window.cut(dataset).facts.available_from.tolist() == [minute_of(1), minute_of(5), never]
    sold = replace(dataset, sales=Sales(np.array([2], np.int32), np.array([0], np.int32), start[2:]))
    assert window.cut(sold).facts.available_from.tolist() == [minute_of(1), minute_of(5), minute_of(9)]
    stated = replace(dataset, facts=replace(dataset.facts, available_from=np.full(3, known, np.int32)))
    assert window.cut(stated).facts.available_from.tolist() == [known] * 3


def test_orders_of_one_day_are_one_order_when_times_are_real() -> None:
    lines: list[Line] = [
        ("ann", "a", 1.2),
        ("ann", "b", 3.1),
        ("ann", "c", 6.2),
        ("ann", "d", 6.7),
        ("bob", "a", 1.3),
        ("bob", "b", 4.4),
        ("bob", "c", 9.9),
    ]
    dataset = dataset_of(lines)
    split = split_dataset(dataset, Protocol.LAST_ORDER)
    assert shown(dataset, split.test.truth) == {"ann": ["c", "d"], "bob": ["c"]}


def test_leave_one_out_hides_single_purchases() -> None:
    dataset = dataset_of(ORDERS)
    split = split_dataset(dataset, Protocol.LEAVE_ONE_OUT)
    assert shown(dataset, split.test.truth) == {"ann": ["d"], "bob": ["d"]}
    assert ("ann", "a") in visible(dataset, split.test)
    assert ("bob", "c") in visible(dataset, split.test)
    assert shown(dataset, split.validation.truth) == {"ann": ["a"], "bob": ["c"]}
    histories = split.test.histories(dataset)
    person = np.repeat(np.arange(len(histories)), np.diff(histories.indptr))
    assert (histories.minute < split.test.as_of[person]).all()


def test_order_numbers_are_recognised() -> None:
    lines: list[Line] = [(f"m{m}", f"i{(m + o) % 5}", float(o)) for m in range(6) for o in range(2 + m % 3)]
    protocol, reason = choose_protocol(dataset_of(lines))
    assert protocol is Protocol.LAST_ORDER
    assert "equal distances" in reason


def test_order_numbers_aligned_at_the_end_are_recognised() -> None:
    lines: list[Line] = [(f"m{m}", "i", 9.0 - o) for m in range(6) for o in range(2 + m % 3)]
    assert choose_protocol(dataset_of(lines))[0] is Protocol.LAST_ORDER


def test_real_times_are_split_by_time() -> None:
    rng = np.random.default_rng(4)
    lines: list[Line] = [(f"m{m}", "i", float(day)) for m in range(9) for day in rng.integers(0, 90, 12)]
    assert choose_protocol(dataset_of(lines))[0] is Protocol.TIME


@pytest.mark.parametrize(("days", "window"), [(365, 28), (140, 28), (61, 12), (10, 2), (2.5, 0.5)])
def test_windows_shrink_with_the_history(days: float, window: float) -> None:
    assert choose_window_days(0, round(days * 1440) - 1) == pytest.approx(window)


def test_short_histories_say_how_windows_were_scaled() -> None:
    lines: list[Line] = [(person, "x", day / 3) for person in "ab" for day in range(30)]
    split = split_dataset(dataset_of(lines), Protocol.TIME)
    assert split.window_days == 1
    assert "a fifth of the history" in split.reason


def test_without_any_purchase_all_events_are_predicted() -> None:
    dataset = dataset_of(
        [(person, item, day, "view") for person in "ab" for item, day in (("x", 1), ("x", 4), ("y", 9))]
    )
    truth = split_dataset(dataset, Protocol.TIME, window_days=3.5).test.truth
    assert shown(dataset, truth) == {"a": ["y"], "b": ["y"]}


def test_no_events() -> None:
    with pytest.raises(TrainingDataError, match=r"no events of known customers.*memberwise ingest"):
        split_dataset(dataset_of([], items=["a"]))


def test_one_member() -> None:
    with pytest.raises(TrainingDataError, match="only one customer"):
        split_dataset(dataset_of([("ann", "a", day) for day in range(9)]))


def test_all_events_at_one_time() -> None:
    with pytest.raises(TrainingDataError, match=r"one time.*2024-01-02T00:00"):
        split_dataset(dataset_of([("ann", "a", 1), ("bob", "b", 1)]))


def test_windows_too_long_for_the_history() -> None:
    with pytest.raises(TrainingDataError, match="too short for windows of 6 days"):
        split_dataset(dataset_of(TEN_DAYS), Protocol.TIME, window_days=6)


def test_a_stray_late_event_is_named() -> None:
    dataset = dataset_of([*TEN_DAYS, ("ann", "tea", 900.0)])
    with pytest.raises(TrainingDataError, match=r"test window holds purchases of 1 members only.*--until"):
        split_dataset(dataset, Protocol.TIME)
    split = split_dataset(dataset_of([*TEN_DAYS, ("ann", "tea", 900.0), ("cyd", "tea", 7.0), ("cyd", "tea", 9)]))
    assert split.protocol is Protocol.LAST_ORDER
    assert "holds purchases of 1 members only" in split.reason
