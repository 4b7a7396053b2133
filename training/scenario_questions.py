"""Questions put to the scenarios about items: what a window says happened next, asked of the lists made before it.

Each question is a batch of queries with what was really taken, and the lists of sensible baselines. Nothing in a
query is later than its cut but the items it is about, which the customer is looking at in that moment.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from recommender.context import SESSION_DECAY, SESSION_ITEMS
from recommender.history import MINUTES_PER_DAY, Histories
from recommender.interactions import PURCHASE_CODE
from recommender.pipeline import Recommender
from recommender.query import NO_CONTEXT, Context, Query, Scenario
from recommender.retrievers.arrivals import ArrivalRetriever
from training.baselines import FILL_POOL, POPULARITY
from training.dataset import Dataset, Entries
from training.fit.contents import sections_of
from training.keys import is_in
from training.metrics import Ragged
from training.panel import Panel
from training.windows import Subset, Window

BoolVector = npt.NDArray[np.bool_]
IntVector = npt.NDArray[np.int64]
RowVector = npt.NDArray[np.int32]

DEPTH = 20
"""Length of the lists asked for."""
TREND_DAYS, TREND_PERIODS = 7.0, 4
"""How long a trend is asked for, since later it may be over; and the periods before that it is compared with."""
RISING, RISING_MEMBERS = 1.5, 2
"""A trend: by which factor more members, and by how many more beside, buy an item than its share before lets expect."""
IN_CATEGORY = "popularity in category"
AMONG_NEW = "popularity of new items"


@dataclass(frozen=True, slots=True)
class Question:
    """One task of one scenario.

    task: what is asked, in words.  queries: one per person asked.  truth: what each then took.
    baselines: lists by name, aligned.
    """

    scenario: Scenario
    task: str
    queries: Sequence[Query]
    truth: Ragged
    baselines: Mapping[str, Ragged]


@dataclass(frozen=True, slots=True)
class Case:
    """One person asked: position in the panel, the items the request is about, and what they then took."""

    person: int
    context: Context
    taken: RowVector


def questions(recommender: Recommender, dataset: Dataset, window: Window, panel: Panel, seed: int) -> list[Question]:
    """Make every question that the data can answer.

    Args:
        recommender: whose new items are asked for; fitted before the window.
        dataset: the whole history.
        window: what came after.
        panel: the people asked.
        seed: of the choice of items left out.
    """
    asker = _Asker(dataset, panel)
    rng = np.random.default_rng(seed)
    baskets = list(_left_out(_first_days(dataset, window, panel, rng, bought=True), rng))
    visits = _first_days(dataset, window, panel, rng, bought=False)
    known = (asker.category >= 0).any()
    section = list(_others(_truths(panel), rng, sections_of(dataset.facts)))
    section_task = "what else of its section a member bought" if known else "what else a member bought"
    trends = list(_trends(dataset, window, panel))
    switches = list(_switches(panel, asker.category, rng))
    found = [
        asker.ask(Scenario.BASKET, "one item left out of an order", baskets, known=True),
        asker.ask(Scenario.BASKET, "one item left out of an order, customer unknown", baskets, known=False),
        asker.ask(Scenario.SESSION, "last new item of a visit from those before", list(_next_of(visits)), known=False),
        asker.ask(Scenario.SIMILAR, "what else was viewed in a visit", list(_others(visits, rng)), known=False),
        asker.ask(Scenario.SIMILAR, section_task, section, known=False),
        asker.ask(Scenario.SUBSTITUTES, "what was bought of a category in place of the usual", switches, known=False),
        asker.ask_new(_is_new(recommender, len(dataset.items))),
        asker.ask(Scenario.TRENDING, "what sold better than before", trends, known=True),
    ]
    return [question for question in found if len(question.queries)]


class _Asker:
    """Turns cases into questions with their baselines."""

    def __init__(self, dataset: Dataset, panel: Panel) -> None:
        facts = dataset.facts
        self.category = np.where(facts.category_row < len(facts.categories) - 1, facts.category_row, -1)
        self._panel = panel
        order = np.lexsort((np.arange(len(panel.popularity)), -panel.popularity)).astype(np.int32)
        self._popular = order[panel.popularity[order] > 0]

    def ask(self, scenario: Scenario, task: str, cases: Sequence[Case], *, known: bool) -> Question:
        """Make a question; unless the customers are `known`, they come without history."""
        baselines = {POPULARITY: Ragged.of([self._list(self._popular, case) for case in cases])}
        if scenario in (Scenario.SIMILAR, Scenario.SUBSTITUTES, Scenario.SESSION):
            baselines[IN_CATEGORY] = Ragged.of([self._in_category(case) for case in cases])
        queries = [self._query(scenario, case, known) for case in cases]
        return Question(scenario, task, queries, Ragged.of([case.taken for case in cases]), baselines)

    def ask_new(self, new: BoolVector) -> Question:
        """Ask which of the new items people bought for the first time, beside the best sellers of the new items."""
        truth = self._panel.truth
        cases = _among(replace(self._panel, truth=replace(truth, items=truth.of(Subset.NOVEL))), new)
        question = self.ask(Scenario.NEW, "new items that were bought", cases, known=True)
        popular = self._popular[new[self._popular]]
        return replace(question, baselines={AMONG_NEW: Ragged.of([self._list(popular, case) for case in cases])})

    def _query(self, scenario: Scenario, case: Case, known: bool) -> Query:
        panel, i = self._panel, case.person
        return Query(
            scenario=scenario,
            count=DEPTH,
            as_of=int(panel.as_of[i]),
            history=panel.histories.of(i) if known else Histories.empty(1),
            store_row=int(panel.store_row[i]) if panel.has_store[i] else None,
            context=case.context,
        )

    def _list(self, order: RowVector, case: Case) -> RowVector:
        head = order[:FILL_POOL]
        return head[~np.isin(head, case.context.row)][:DEPTH]

    def _in_category(self, case: Case) -> RowVector:
        """Return the best sellers of the category of the most telling item, then of all."""
        category = self.category[case.context.row[0]]
        inside = self._popular[self.category[self._popular] == category] if category >= 0 else self._popular[:0]
        order = np.concatenate((inside, self._popular[:FILL_POOL]))
        _, first = np.unique(order, return_index=True)
        return self._list(order[np.sort(first)], case)


def _first_days(
    dataset: Dataset, window: Window, panel: Panel, rng: np.random.Generator, *, bought: bool
) -> list[tuple[int, RowVector]]:
    """Return for people of the panel the distinct items of their first day in the window, in order of time.

    Args:
        rng: orders what happened in the same minute.
        bought: purchases that belong to the truth; else what was touched on the first day with browsing, which is
            known to lie in the window only where it ends for everybody at one time.
    """
    if window.end is None and not bought:
        return []
    entries = dataset.entries
    person_row = panel.truth.person_row
    place = np.full(len(dataset.people), -1)
    place[person_row] = np.arange(len(person_row))
    later = ~window.history & (place[entries.person_row] >= 0)
    later &= entries.minute >= window.as_of[entries.person_row]
    later &= entries.minute < (np.iinfo(np.int32).max if window.end is None else window.end)
    if bought:
        width = len(dataset.items)
        truth = person_row[panel.truth.items.member].astype(np.int64) * width + panel.truth.items.row
        later &= is_in(entries.person_row.astype(np.int64) * width + entries.item_row, truth)
        starts = later & (entries.kind == PURCHASE_CODE)
        later = starts
    else:
        starts = later & (entries.kind != PURCHASE_CODE)
    return list(_days(entries, later, starts, place, dataset.day_offset_minutes, rng))


def _days(
    entries: Entries,
    later: BoolVector,
    starts: BoolVector,
    place: IntVector,
    day_offset: int,
    rng: np.random.Generator,
) -> Iterator[tuple[int, RowVector]]:
    day = (entries.minute.astype(np.int64) + day_offset) // MINUTES_PER_DAY
    first = np.full(len(place), np.iinfo(np.int64).max)
    np.minimum.at(first, entries.person_row[starts], day[starts])
    inside = np.flatnonzero(later & (day == first[entries.person_row]))
    for members in np.split(inside, np.flatnonzero(np.diff(entries.person_row[inside])) + 1):
        if len(members):
            members = members[np.lexsort((rng.random(len(members)), entries.minute[members]))]
            items, at = np.unique(entries.item_row[members], return_index=True)
            yield int(place[entries.person_row[members[0]]]), items[np.argsort(at)]


def _truths(panel: Panel) -> list[tuple[int, RowVector]]:
    """Return what each person of the panel bought in the window."""
    items = panel.truth.items
    return [(i, items.row[items.indptr[i] : items.indptr[i + 1]]) for i in range(len(panel))]


def _trends(dataset: Dataset, window: Window, panel: Panel) -> Iterator[Case]:
    """Ask for what people bought of the items that far more members buy in the window's first days than before.

    Compared are periods of TREND_DAYS; where people have windows of their own, nothing is asked.
    """
    if window.end is None:
        return
    width = np.int64(max(len(dataset.items), 1))
    entries = dataset.entries.where(
        (dataset.entries.kind == PURCHASE_CODE) & dataset.learned[dataset.entries.person_row]
    )
    period = (entries.minute.astype(np.int64) - window.fit_minute) // int(TREND_DAYS * MINUTES_PER_DAY)
    pairs = entries.person_row * width + entries.item_row
    usual = (period < 0) & (period >= -TREND_PERIODS)
    before = np.unique(pairs[usual] * TREND_PERIODS - period[usual] - 1) // TREND_PERIODS
    later = np.unique(pairs[(period == 0) & (entries.minute < window.end)])
    usually, then = (np.bincount(keys % width, minlength=width) for keys in (before, later))
    rising = then > RISING * usually * (len(later) / max(len(before), 1)) + RISING_MEMBERS
    person, item = np.divmod(later[rising[later % width]], width)
    for i, row in enumerate(panel.truth.person_row):
        first, last = np.searchsorted(person, (row, row + 1))
        if first < last:
            yield Case(i, NO_CONTEXT, item[first:last].astype(np.int32))


def _left_out(orders: Sequence[tuple[int, RowVector]], rng: np.random.Generator) -> Iterator[Case]:
    """Leave one item of each order out; the others are the basket."""
    for person, items in orders:
        if len(items) > 1:
            out = int(rng.integers(len(items)))
            yield Case(person, Context.of(np.delete(items, out)), items[out : out + 1])


def _next_of(visits: Sequence[tuple[int, RowVector]]) -> Iterator[Case]:
    """Ask for the last item of each visit from those before it."""
    for person, items in visits:
        if len(items) > 1:
            yield Case(person, Context.of(items[-2::-1][:SESSION_ITEMS], SESSION_DECAY), items[-1:])


def _others(
    lists: Sequence[tuple[int, RowVector]], rng: np.random.Generator, section: IntVector | None = None
) -> Iterator[Case]:
    """Ask from one item of each list for the others, only those of its section if sections are given."""
    for person, items in lists:
        chosen = items[rng.integers(len(items))]
        others = items[items != chosen]
        if section is not None:
            others = others[section[others] == section[chosen]]
        if len(others):
            yield Case(person, Context.of([int(chosen)]), others)


def _switches(panel: Panel, category: IntVector, rng: np.random.Generator) -> Iterator[Case]:
    """Ask for what members who usually bought one item of a category then took in its place; one category each."""
    for person, items in _truths(panel):
        usual = _usual(panel.histories.of(person), category)
        for item in rng.permutation(items).tolist():
            own = usual.get(int(category[item]))
            if own is not None and own != item:
                same = (category[items] == category[item]) & (items != own)
                yield Case(person, Context.of([own]), items[same])
                break


def _usual(history: Histories, category: IntVector) -> dict[int, int]:
    """Return by category the item bought on most days, the latest of several."""
    bought = history.item_row[history.kind == PURCHASE_CODE]
    items, last, times = np.unique(bought[::-1], return_index=True, return_counts=True)
    # Of equal times the one bought last wins: its first place in the reversed history is the lowest.
    order = np.lexsort((-last, times))
    best = dict(zip(category[items[order]].tolist(), items[order].tolist(), strict=True))
    best.pop(-1, None)
    return best


def _among(panel: Panel, kept: BoolVector) -> list[Case]:
    """Ask, about nothing in particular, for those items that people bought which are kept."""
    wanted = [(i, items[kept[items]]) for i, items in _truths(panel)]
    return [Case(i, NO_CONTEXT, items) for i, items in wanted if len(items)]


def _is_new(recommender: Recommender, n_items: int) -> BoolVector:
    """Tell which items the models take for new, bool, (n_items,)."""
    new = np.zeros(n_items, bool)
    for part in recommender.retrievers:
        if isinstance(part, ArrivalRetriever):
            new[part.arrival_row] = True
    return new
