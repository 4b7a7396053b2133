"""Newcomers: items that came after the models, placed by the items they are like and by what just happened to them.

Each newcomer has a few donors: items of the models of its category, nearer ones of its brand and price, and those that
the retailer says it replaces or can stand in for. Where a donor ranks high for a customer, so does the newcomer, a
little lower: so it follows the customer's taste in every scenario without a model of its own. Lately popular ones
need no donor.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recommender.candidates import Slate
from recommender.catalog import Catalog
from recommender.diversity import falling
from recommender.item_facts import CATEGORY_SEPARATOR
from recommender.query import CONTEXT_SCENARIOS, Query, Scenario

BoolVector = npt.NDArray[np.bool_]
FloatVector = npt.NDArray[np.float32]
RowVector = npt.NDArray[np.int32]

NAME = "newcomers"
"""What slates name as the source of these items."""
DONORS = 20
"""Most donors of a newcomer."""
MOST, MOST_OF_A_KIND = 2_000, 2_000
"""Most newcomers with donors, the newest, and most items of one category that are looked at for donors."""
KIND, BRAND, PRICE = 0.5, 0.2, 0.2
"""What being of one category, of one brand and of one price makes of likeness."""
WIDER = 0.6
"""What a donor of the category above counts, where the newcomer's own has none."""
NAMED = 0.95
"""The likeness of items that the retailer calls packs of one product, or substitutes."""
UNKNOWN_PRICE = 0.5
STRIDE = 5
"""At most one place of so many is a newcomer's: nobody has proved that they sell."""
BUZZ = 0.7
"""What a newcomer that everybody wants is worth beside the best item, where trends are not asked for."""
UNTRIED = 0.05
"""What a newcomer of no known taste is worth beside the best, where new items are asked for."""


@dataclass(frozen=True, slots=True)
class Likeness:
    """What items newer than the models are like.

    first: row of the first of them.
    donors: float32 CSR, (first, n_new), likeness in (0, 1] of each newcomer to items of the models.
    replaces: by the row of a newcomer, the row of the item in whose place it has come.
    """

    first: int
    donors: sp.csr_matrix
    replaces: Mapping[int, int]

    @classmethod
    def of(
        cls, catalog: Catalog, named: Sequence[tuple[str, str]], successors: Sequence[tuple[int, int]]
    ) -> Likeness | None:
        """Find donors; None if no item is newer than the models.

        Args:
            catalog: every item.
            named: pairs of items that can stand in for one another.
            successors: (old row, new row).
        """
        first, count = len(catalog.items), len(catalog) - len(catalog.items)
        if count == 0:
            return None
        parts = [*_by_content(catalog), _by_name(catalog, named)]
        if successors:
            old, new = (np.array(rows, np.int64) for rows in zip(*successors, strict=True))
            parts.append((old, new - first, np.ones(len(old), np.float32)))
        donor, newcomer, value = (np.concatenate(part) for part in zip(*parts, strict=True))
        matrix = sp.csr_matrix((first, count), dtype=np.float32)
        order = np.argsort(-value, kind="stable")  # of several claims to one pair the strongest is kept
        _, kept = np.unique(donor[order] * count + newcomer[order], return_index=True)
        chosen = order[kept]
        if len(chosen):
            matrix = sp.csr_matrix((value[chosen], (donor[chosen], newcomer[chosen])), shape=(first, count))
        return cls(first, matrix, {new_row: old_row for old_row, new_row in successors})


@dataclass(frozen=True, slots=True)
class Newcomers:
    """Items newer than the models, for queries.

    buzz: float32, (n_new,), in [0, 1): how much has lately happened to each.
    """

    likeness: Likeness
    buzz: FloatVector

    def find(
        self, query: Query, row: RowVector, score: FloatVector, allowed: BoolVector | None
    ) -> tuple[RowVector, FloatVector]:
        """Return the newcomers that a query may hold, best first, with scores on the scale of its candidates.

        Args:
            query: the question.
            row, score: its candidates before the rules, aligned: also what is sold out says what a customer likes.
            allowed: bool, (all items,), None for all.
        """
        top = np.float32(score.max(initial=0.0)) or np.float32(1)
        if query.scenario is Scenario.NEW and query.personal:
            row = np.unique(query.history.item_row).astype(np.int32)
            score = np.full(len(row), top, np.float32)
        value = self._inherited(row, score)
        if query.scenario is Scenario.BUY_AGAIN:
            value[~np.isin(np.arange(len(value)) + self.likeness.first, list(self.likeness.replaces))] = 0
        elif query.scenario not in CONTEXT_SCENARIOS:
            worth = 1.0 if query.scenario is Scenario.TRENDING else BUZZ
            value = np.maximum(value, np.float32(worth * top) * self.buzz)
        if query.scenario is Scenario.NEW:
            value = np.maximum(value, np.float32(UNTRIED) * top)
        rows = self.likeness.first + np.flatnonzero(value > 0)
        if allowed is not None:
            rows = rows[allowed[rows]]
        found = value[rows - self.likeness.first]
        order = np.lexsort((rows, -found))
        return rows[order].astype(np.int32), found[order]

    def join(self, query: Query, slate: Slate, row: RowVector, score: FloatVector, allowed: BoolVector | None) -> Slate:
        """Return a slate with the newcomers that belong into it; the other arguments as for find()."""
        found, value = self.find(query, row, score, allowed)
        if not len(found):
            return slate
        value = query.arrangement.boosted(found, value)
        order = self.order(query, slate.score, found, value)
        rows, scores = np.concatenate((slate.row, found)), np.concatenate((slate.score, value))
        names = (*slate.source, *[NAME] * len(found))
        return replace(
            slate,
            row=rows[order],
            score=falling(scores[order]),
            source=tuple(names[place] for place in order.tolist()),
        )

    def _inherited(self, row: RowVector, score: FloatVector) -> FloatVector:
        """Return the score that each newcomer has from its best donor, 0 for none."""
        donors = self.likeness.donors
        value = np.zeros(donors.shape[1], np.float32)
        starts, ends = donors.indptr[row], donors.indptr[row + 1]
        for at in np.flatnonzero(ends > starts).tolist():
            part = slice(int(starts[at]), int(ends[at]))
            columns = donors.indices[part]
            value[columns] = np.maximum(value[columns], donors.data[part] * score[at])
        return value

    def order(self, query: Query, score: FloatVector, found: RowVector, value: FloatVector) -> npt.NDArray[np.int64]:
        """Return the order of a slate with newcomers: positions in (slate, newcomers), at most as many as asked for.

        Those that replace an item stand where it would; of the others one in STRIDE, wherever new items are asked
        for any number, and all that fit where the slate is short.

        Args:
            query: the question.
            score: of the slate without newcomers, falling.
            found, value: the newcomers, best first.
        """
        freely = query.scenario is Scenario.NEW
        worth = np.concatenate((score, value))
        is_guest = [False] * len(score)
        is_guest += [not freely and row not in self.likeness.replaces for row in found.tolist()]
        by_worth = np.argsort(-worth, kind="stable").tolist()
        keen = [place for place in by_worth if not is_guest[place]]
        guests = [place for place in by_worth if is_guest[place]]
        shown: list[int] = []
        let_in = 0
        for place in keen:
            if let_in < len(guests) and let_in < (len(shown) + 1) // STRIDE and worth[guests[let_in]] >= worth[place]:
                shown.append(guests[let_in])
                let_in += 1
            shown.append(place)
        return np.array([*shown, *guests[let_in:]][: query.count], np.int64)


def _by_content(catalog: Catalog) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], FloatVector]]:
    """Yield donors, newcomers counted from the first, and likeness, category by category."""
    first, names = len(catalog.items), catalog.facts.category.names
    code = catalog.facts.category.code
    newest = first + np.lexsort(
        (np.arange(first, len(catalog)), -catalog.columns.available_from[first:].astype(np.int64))
    )
    wanted = np.sort(newest[:MOST])
    above = [name.rpartition(f" {CATEGORY_SEPARATOR} ")[0] or name for name in names]
    section = np.unique(above, return_inverse=True)[1][code]
    for kind in np.unique(code[wanted]).tolist():
        if not names[kind]:
            continue
        rows = wanted[code[wanted] == kind]
        others, share = np.flatnonzero(code[:first] == kind), 1.0
        if not len(others):
            others, share = np.flatnonzero(section[:first] == section[rows[0]]), WIDER
            others = others[code[others] > 0]
        if not len(others):
            continue
        others = others[:: -(-len(others) // MOST_OF_A_KIND)]
        like = _likeness(catalog, rows, others) * np.float32(share)
        best = np.argsort(-like, axis=1, kind="stable")[:, :DONORS]
        values = np.take_along_axis(like, best, axis=1)
        yield others[best].ravel(), np.repeat(rows - first, best.shape[1]), values.ravel()


def _likeness(catalog: Catalog, rows: npt.NDArray[np.int64], others: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Return how like items of one category are, float32, (len(rows), len(others))."""
    brand, columns = catalog.facts.brand.code, catalog.columns
    same = (brand[rows][:, None] == brand[others]) & (brand[others] > 0)
    cents = np.where(columns.priced & (columns.price_cents > 0), columns.price_cents, 0).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        near = np.exp(-np.abs(np.log(cents[rows])[:, None] - np.log(cents[others])))
    known = (cents[rows] > 0)[:, None] & (cents[others] > 0)
    near = np.where(known, near, UNKNOWN_PRICE)
    return np.asarray(KIND + BRAND * same + PRICE * near, np.float32)


def _by_name(
    catalog: Catalog, named: Sequence[tuple[str, str]]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], FloatVector]:
    """Return the pairs of which one item is new and the other is not, as _by_content does."""
    first = len(catalog.items)
    left, right = (list(part) for part in (zip(*named, strict=True) if named else ((), ())))
    known = catalog.rows(left)[1] & catalog.rows(right)[1]
    pairs = zip(
        catalog.rows([one for one, kept in zip(left, known, strict=True) if kept])[0].tolist(),
        catalog.rows([one for one, kept in zip(right, known, strict=True) if kept])[0].tolist(),
        strict=True,
    )
    both = list(pairs)
    both += [(other, one) for one, other in both]
    kept = [(donor, row - first) for donor, row in both if donor < first <= row]
    donors, rows = (np.array(part, np.int64) for part in (zip(*kept, strict=True) if kept else ((), ())))
    return donors, rows, np.full(len(kept), NAMED, np.float32)
