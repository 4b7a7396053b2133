"""The learned ranker: lessons that know nothing of the future, little data that stays with the blend."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from recommender.bundle import open_bundle, write_bundle
from recommender.explanation import Outcome, explain_item
from recommender.pipeline import Recommender
from recommender.query import Scenario
from recommender.ranking import BLEND_FEATURE, Blend, LearnedRanker
from tests.training.datasets import Line, dataset_of
from training.dataset import Dataset
from training.evaluate import panel_for
from training.fit.blend import TUNED
from training.fit.ranker import Lesson, Lessons, fit_ranker, fit_source, grow, join, logit_slope, take_lessons
from training.fit.recommender import START_WEIGHTS, fit_recommender
from training.gate import only_where_better
from training.pools import retrieve_pools
from training.publish import draft_bundle
from training.settings import FactorSettings, RankerSettings, TrainingSettings
from training.split import split_dataset
from training.windows import Protocol, Window

SETTINGS = TrainingSettings(
    threads=1,
    factors=FactorSettings(factors=4, iterations=2),
    ranker=RankerSettings(least_lists=20, lists_per_tree=2, least_in_leaf=5, wrong=20),
)
NOW = datetime(2024, 4, 1, tzinfo=UTC)
BLEND = Blend(START_WEIGHTS)
PEOPLE, ITEMS, DAYS = 40, 30, 60


def lines() -> list[Line]:
    """Members buy favourites again and again, others now and then, and view what they will buy two days later."""
    rng = np.random.default_rng(5)
    found: list[Line] = []
    for person in range(PEOPLE):
        favorites = rng.choice(ITEMS, 5, replace=False)
        for day in range(int(rng.integers(3)), DAYS, 3):
            item = int(rng.choice(favorites) if rng.random() < 0.7 else rng.integers(ITEMS))
            time = day + float(rng.random())
            found.append((f"p{person:02d}", f"i{item:02d}", time, "purchase", f"s{person % 2}"))
            if rng.random() < 0.5:
                found.append((f"p{person:02d}", f"i{item:02d}", max(0.0, time - 2), "view", f"s{person % 2}"))
    return found


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return dataset_of(lines())


@pytest.fixture(scope="module")
def window(dataset: Dataset) -> Window:
    return split_dataset(dataset, window_days=7, ranker_windows=1).ranker[0]


def lesson_of(dataset: Dataset, window: Window, known: Dataset | None = None) -> Lessons:
    """Take a window's lesson with models fitted on its past, or on other data."""
    seen = window.cut(dataset) if known is None else known
    recommender = fit_recommender(seen, window.fit_minute, SETTINGS, personal=True)
    source = fit_source(seen, window.fit_minute, recommender, SETTINGS)
    return take_lessons(recommender, source, panel_for(dataset, window, SETTINGS, 0), SETTINGS)


def shuffled(dataset: Dataset, minute: int) -> Dataset:
    """Return the dataset with another future: from a minute on, who bought what and when is drawn anew."""
    rng = np.random.default_rng(11)
    entries = dataset.entries
    later = np.flatnonzero(entries.minute >= minute)
    item_row, kind = entries.item_row.copy(), entries.kind.copy()
    item_row[later] = rng.permutation(item_row[later])
    kind[later] = rng.permutation(kind[later])
    return replace(dataset, entries=replace(entries, item_row=item_row, kind=kind))


def candidates_of(dataset: Dataset, window: Window, planted: bool) -> np.ndarray:
    """Return the features of all candidates of a window's people; planted: from a source that sees the future."""
    seen = window.cut(dataset)
    recommender = fit_recommender(seen, window.fit_minute, SETTINGS, personal=True)
    source = (
        fit_source(dataset, dataset.until_minute, recommender, SETTINGS)
        if planted
        else fit_source(dataset, window.fit_minute, recommender, SETTINGS)
    )
    panel = panel_for(dataset, window, SETTINGS, 0)
    (queries,) = panel.queries({Scenario.HOME: 10})
    found = recommender.find(queries)
    return source.build(found.pool, found.batch)


@pytest.mark.parametrize("planted", [False, True])
def test_features_know_nothing_of_the_future(dataset: Dataset, window: Window, planted: bool) -> None:
    """Another future leaves every feature as it was; a feature of the future, planted, is found out."""
    other = replace(shuffled(dataset, window.fit_minute), until=dataset.until)
    # The same people are asked, whatever they will do.
    same = replace(window, truth=window.truth)
    mine, others = candidates_of(dataset, same, planted), candidates_of(other, same, planted)
    assert np.array_equal(mine, others, equal_nan=True) is not planted


def test_nothing_is_known_of_the_future_in_windows_of_everybodys_own() -> None:
    """Another end of every history leaves models and features as they were, also of items that are new by then."""
    known = dataset_of([*lines(), *((f"p{person:02d}", f"late{person}", DAYS + 1.0) for person in range(PEOPLE))])
    window = split_dataset(known, Protocol.LAST_ORDER).validation
    rng, item_row = np.random.default_rng(11), known.entries.item_row.copy()
    later = np.flatnonzero(~window.history)
    item_row[later] = rng.permutation(item_row[later])
    item_row[later[::2]] = item_row[later[0]]
    other = replace(known, entries=replace(known.entries, item_row=item_row))
    (panel,) = panel_for(known, window, SETTINGS, 0).queries({Scenario.HOME: 10})
    states, features = [], []
    for dataset in (known, other):
        start = np.full(len(dataset.items), np.iinfo(np.int32).max, np.int32)
        np.minimum.at(start, dataset.entries.item_row, dataset.entries.minute)
        seen = window.cut(replace(dataset, facts=replace(dataset.facts, available_from=start)))
        fitted = fit_recommender(seen, window.fit_minute, SETTINGS)
        found = fitted.find(panel)
        states.append(fitted.parts()[0])
        features.append(fit_source(seen, window.fit_minute, fitted, SETTINGS).build(found.pool, found.batch))
    assert np.array_equal(*features, equal_nan=True)
    assert [name for name, array in states[0].items() if not np.array_equal(array, states[1][name])] == []


def test_lessons_hold_the_right_answers(dataset: Dataset, window: Window) -> None:
    lesson = lesson_of(dataset, window)[Scenario.HOME]
    assert lesson.sizes.sum() == len(lesson.right) == len(lesson.features) == len(lesson.relative)
    lists = np.repeat(np.arange(len(lesson.sizes)), lesson.sizes)
    hits = np.bincount(lists[lesson.right], minlength=len(lesson.sizes))
    assert (hits > 0).all()
    assert (lesson.sizes > hits).all()
    truth = window.truth.items
    assert hits.sum() <= len(truth.row)
    assert len(lesson.sizes) <= len(window.truth.person_row)


def test_a_lesson_for_new_items_holds_nothing_bought_before(dataset: Dataset, window: Window) -> None:
    lesson = lesson_of(dataset, window)[Scenario.DISCOVER]
    place = lesson_names(dataset, window).index("pair_times")
    times = lesson.features[:, place]
    assert not (times > 0).any()


def lesson_names(dataset: Dataset, window: Window) -> tuple[str, ...]:
    seen = window.cut(dataset)
    recommender = fit_recommender(seen, window.fit_minute, SETTINGS, personal=True)
    return fit_source(seen, window.fit_minute, recommender, SETTINGS).names


def test_too_little_data_stays_with_the_blend(dataset: Dataset, window: Window) -> None:
    seen = window.cut(dataset)
    recommender = fit_recommender(seen, window.fit_minute, SETTINGS, personal=True)
    source = fit_source(seen, window.fit_minute, recommender, SETTINGS)
    lessons = lesson_of(dataset, window)
    n_lists = len(lessons[Scenario.HOME].sizes)
    wants = replace(SETTINGS, ranker=replace(SETTINGS.ranker, least_lists=n_lists + 1))
    assert fit_ranker([lessons], BLEND, source, wants) is BLEND
    assert fit_ranker([], BLEND, source, SETTINGS) is BLEND
    enough = replace(SETTINGS, ranker=replace(SETTINGS.ranker, least_lists=n_lists))
    assert isinstance(fit_ranker([lessons], BLEND, source, enough), LearnedRanker)


@pytest.fixture(scope="module")
def learned(dataset: Dataset, window: Window) -> tuple[Recommender, Lessons]:
    seen = window.cut(dataset)
    recommender = fit_recommender(seen, window.fit_minute, SETTINGS)
    source = fit_source(seen, window.fit_minute, recommender, SETTINGS)
    lessons = take_lessons(recommender, source, panel_for(dataset, window, SETTINGS, 0), SETTINGS)
    ranker = fit_ranker([lessons], BLEND, source, SETTINGS)
    return replace(recommender, ranker=ranker), lessons


def test_trees_learn_their_lesson(learned: tuple[Recommender, Lessons]) -> None:
    recommender, lessons = learned
    ranker = recommender.ranker
    assert isinstance(ranker, LearnedRanker)
    lesson = lessons[Scenario.HOME]
    weights = np.array([BLEND.of(Scenario.HOME).get(name, 0) for name in lesson.retrievers], np.float32)
    blend = lesson.relative @ weights
    score = ranker.trees[Scenario.HOME].score(blend, np.column_stack((blend, lesson.features)))
    assert first_right(score, lesson) > first_right(blend, lesson)


def first_right(score: np.ndarray, lesson: Lesson) -> float:
    """Return the share of lists whose best candidate was bought."""
    lists = np.repeat(np.arange(len(lesson.sizes)), lesson.sizes)
    order = np.lexsort((-score, lists))
    firsts = order[np.concatenate(([0], np.cumsum(lesson.sizes)[:-1]))]
    return float(lesson.right[firsts].mean())


def test_slates_are_the_same_alone_and_in_a_batch(
    learned: tuple[Recommender, Lessons], dataset: Dataset, window: Window
) -> None:
    recommender, _ = learned
    panel = panel_for(dataset, window, SETTINGS, 0)
    (queries,) = panel.queries({Scenario.HOME: 10, Scenario.TRENDING: 5, Scenario.DISCOVER: 10})
    together = recommender.recommend(queries)
    for query, slate in list(zip(queries, together, strict=True))[::7]:
        (alone,) = recommender.recommend([query])
        assert alone.row.tolist() == slate.row.tolist()
        assert alone.score.tolist() == slate.score.tolist()


def test_the_same_ranker_from_a_bundle(
    learned: tuple[Recommender, Lessons], dataset: Dataset, window: Window, tmp_path: Path
) -> None:
    recommender, _ = learned
    draft = draft_bundle(recommender, dataset, SETTINGS, NOW)
    write_bundle(tmp_path, draft.arrays, draft.description, draft.settings_text, draft.facts, draft.texts)
    bundle = open_bundle(tmp_path / draft.bundle_id)
    (queries,) = panel_for(dataset, window, SETTINGS, 0).queries({Scenario.HOME: 10})
    mine, loaded = recommender.recommend(queries), bundle.recommender().recommend(queries)
    assert [slate.score.tolist() for slate in mine] == [slate.score.tolist() for slate in loaded]
    assert "tree" in bundle.text("ranker.home.txt")
    assert "tree" in bundle.text("ranker.buy_again.txt")


def test_contributions_add_up_to_the_score(
    learned: tuple[Recommender, Lessons], dataset: Dataset, window: Window
) -> None:
    recommender, _ = learned
    ranker = recommender.ranker
    assert isinstance(ranker, LearnedRanker)
    (queries,) = panel_for(dataset, window, SETTINGS, 3).queries({Scenario.HOME: 10})
    found = recommender.find(queries)
    told = ranker.contributions(found.pool, found.batch, Scenario.HOME)
    assert told is not None
    names, parts = told
    assert names[0] == BLEND_FEATURE
    assert parts.shape == (len(found.pool.row), len(names))
    # Up to the trees' mean, the sum of the contributions is the log-odds of the score.
    log_odds = np.log(found.ranked.score / (1 - found.ranked.score))
    rest = log_odds - parts.sum(axis=1)
    assert rest == pytest.approx(np.full(len(rest), rest[0]), abs=1e-3)
    assert ranker.contributions(found.pool, found.batch, Scenario.TRENDING) is None


def test_an_explanation_tells_what_the_trees_add(
    learned: tuple[Recommender, Lessons], dataset: Dataset, window: Window
) -> None:
    recommender, _ = learned
    (queries,) = panel_for(dataset, window, SETTINGS, 1).queries({Scenario.HOME: 5})
    (slate,) = recommender.recommend(queries)
    found = explain_item(recommender, queries[0], int(slate.row[0]))
    assert (found.outcome, found.position) == (Outcome.SHOWN, 1)
    assert found.score == pytest.approx(float(slate.score[0]))
    assert BLEND_FEATURE in found.contributions
    assert set(found.contributions) <= {BLEND_FEATURE, *recommender.ranker.source.names}  # type: ignore[attr-defined]
    sizes = [abs(value) for value in found.contributions.values()]
    assert sizes == sorted(sizes, reverse=True)
    # The retrievers' shares add up to the blend that the trees correct.
    pool = recommender.look(queries[0])[1].pool
    blended = BLEND.rank(pool, recommender.look(queries[0])[1].batch, [Scenario.HOME]).score
    assert sum(part.adds for part in found.sightings) == pytest.approx(float(blended[pool.row == slate.row[0]][0]))


def test_importance_is_shares_of_one(learned: tuple[Recommender, Lessons]) -> None:
    importance = learned[0].ranker.importance()
    assert set(importance) == {Scenario.HOME, Scenario.BUY_AGAIN, Scenario.DISCOVER}
    assert all(sum(shares.values()) == pytest.approx(1.0) for shares in importance.values())


def test_the_same_lessons_grow_the_same_trees(
    learned: tuple[Recommender, Lessons], dataset: Dataset, window: Window
) -> None:
    recommender, lessons = learned
    ranker = recommender.ranker
    assert isinstance(ranker, LearnedRanker)
    again = grow([lessons[Scenario.HOME]], Scenario.HOME, BLEND, ranker.source, SETTINGS)
    assert again is not None
    assert again.text == ranker.trees[Scenario.HOME].text


def test_an_early_window_may_lack_a_retriever(learned: tuple[Recommender, Lessons]) -> None:
    recommender, lessons = learned
    ranker = recommender.ranker
    assert isinstance(ranker, LearnedRanker)
    whole = lessons[Scenario.HOME]
    less = Lesson(whole.features[:, 1:], whole.relative[:, 1:], whole.right, whole.sizes, whole.retrievers[1:])
    assert grow([less, whole], Scenario.HOME, BLEND, ranker.source, SETTINGS) is not None


def test_the_slope_of_a_logistic_regression() -> None:
    # At 0 a quarter is right, at 1 three quarters: the log-odds rise from -log 3 to log 3.
    score = np.repeat(np.array([0, 1], np.float32), 40)
    right = np.concatenate((np.arange(40) < 10, np.arange(40) < 30))
    assert logit_slope(score, right) == pytest.approx(2 * np.log(3), rel=1e-3)
    assert logit_slope(score, ~right) == 0


def test_the_surest_candidates_are_not_tied(learned: tuple[Recommender, Lessons]) -> None:
    recommender, lessons = learned
    ranker = recommender.ranker
    assert isinstance(ranker, LearnedRanker)
    # What is bought again without fail makes the slope steep.
    steep = replace(ranker.trees[Scenario.HOME], slope=40.0)
    alike = np.repeat(np.column_stack((1.0, lessons[Scenario.HOME].features[:1])), 5, axis=0).astype(np.float32)
    score = steep.score(np.array([0, 0.5, 1, 1.01, 3], np.float32), alike)
    assert (np.diff(score) > 0).all()
    assert 0 < score[0] < score[-1] < 1


def test_lessons_are_joined_in_order(learned: tuple[Recommender, Lessons]) -> None:
    lesson = learned[1][Scenario.HOME]
    twice = join([lesson, lesson])
    assert twice.sizes.tolist() == lesson.sizes.tolist() * 2
    assert len(twice.right) == 2 * len(lesson.right)


def test_trees_stay_only_where_they_are_better_than_the_blend(
    learned: tuple[Recommender, Lessons], dataset: Dataset, window: Window
) -> None:
    recommender, lessons = learned
    ranker = recommender.ranker
    assert isinstance(ranker, LearnedRanker)
    panel = panel_for(dataset, window, SETTINGS, 0)
    pools = retrieve_pools(recommender, panel, tuple(TUNED), 10)
    # On the lists that they were grown on, trees are better; grown on wrong answers they are worse.
    kept, ordered = only_where_better(ranker, pools)
    assert isinstance(kept, LearnedRanker)
    assert Scenario.HOME in kept.trees
    assert [part.ranked.score.tolist() for part in ordered.found] == [
        part.ranked.score.tolist() for part in pools.ranked_by(kept).found
    ]
    wrong = {scenario: replace(part, right=~part.right) for scenario, part in lessons.items()}
    misled = fit_ranker([wrong], BLEND, ranker.source, SETTINGS)
    assert isinstance(misled, LearnedRanker)
    assert only_where_better(misled, pools)[0] is misled.blend
