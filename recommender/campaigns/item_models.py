"""ItemModels: what a bundle says of the items of member features: which are alike, and how often each is bought."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recommender.bundle import Bundle
from recommender.campaigns.member_columns import BoolVector, RowVector
from recommender.campaigns.member_features import MemberFeatures
from recommender.events import KIND_CODES, EventKind
from recommender.ids import IdIndex
from recommender.retrievers.neighbors import ItemNeighborRetriever
from recommender.retrievers.repeat import RepeatRetriever

FloatVector = npt.NDArray[np.float64]

LAPSED = 3.0
"""Intervals without a purchase after which an item is not due any more, but given up."""
REGULAR_TIMES = 2
"""Days with a purchase from which on a member's interval is known."""
OWN_ITEM = 3.0
"""What an act with a wanted item itself says, where the item most alike says 1."""
NEAR_CATEGORY = 0.25
"""What an act with another item of a wanted item's category says, where no bundle knows better."""


@dataclass(frozen=True, slots=True, eq=False)
class ItemModels:
    """What a bundle knows, aligned with the items of member features.

    bundle_row: int32, (n,), the item's row in the bundle; the number of its items where it does not know it.
    interval_days: float32, (n,), usual days between two purchases; NaN if unknown.  product: int32, (n,), the same for
    packs of one product.  prior_gaps: as RepeatRetriever has it.
    similarity: float32 CSR over the bundle's items, None if it has no such retriever.
    purchase_half_life_days, browse_half_life_days: age at which an act counts half.  by_kind: its weight.
    """

    bundle_id: str
    bundle_row: RowVector
    interval_days: npt.NDArray[np.float32]
    product: RowVector
    prior_gaps: float
    similarity: sp.csr_matrix | None
    purchase_half_life_days: float
    browse_half_life_days: float
    by_kind: tuple[float, ...]

    @classmethod
    def of(cls, bundle: Bundle, features: MemberFeatures) -> ItemModels | None:
        """Read a bundle; None if it knows no rhythms of purchases."""
        recommender = bundle.recommender()
        repeat, near = recommender.part(RepeatRetriever), recommender.part(ItemNeighborRetriever)
        if repeat is None:
            return None
        known = recommender.items
        rows = _rows(known, features.items)
        intervals = np.append(repeat.item_interval_days, np.float32(np.nan))[rows]
        product = np.where(rows < len(known), np.append(repeat.product_row, 0)[rows], len(known) + np.arange(len(rows)))
        weights = repeat.weights if near is None else near.weights
        return cls(
            bundle_id=bundle.bundle_id,
            bundle_row=rows,
            interval_days=intervals.astype(np.float32),
            product=product.astype(np.int32),
            prior_gaps=repeat.prior_gaps,
            similarity=None if near is None else near.similarity,
            purchase_half_life_days=weights.purchase_half_life_days,
            browse_half_life_days=weights.browse_half_life_days,
            by_kind=weights.by_kind,
        )

    def near(self, wanted: BoolVector) -> FloatVector | None:
        """Return how much each item is like the wanted ones, float64, (n,), 1 the nearest; None if nothing is known."""
        if self.similarity is None:
            return None
        count = self.similarity.shape[0]
        rows = self.bundle_row[wanted]
        asked = np.zeros(count, np.float64)
        asked[rows[rows < count]] = 1.0
        alike = np.append(np.asarray(self.similarity @ asked, np.float64).ravel(), 0.0)[self.bundle_row]
        best = float(alike.max(initial=0.0))
        return alike / best if best > 0 else None


def due_members(
    features: MemberFeatures, models: ItemModels, wanted: BoolVector, today: int, within_days: int
) -> BoolVector:
    """Return whose next purchase of one of some items is expected by `within_days` from today, bool, (n,).

    The interval of a product is the member's own mean one, shrunk towards the usual one, as RepeatRetriever has it.
    Who let LAPSED intervals pass has given it up.
    """
    found = np.zeros(len(features), bool)
    found[_due(features, models, wanted, None, today, within_days)[0]] = True
    return found


def due_products(
    features: MemberFeatures, models: ItemModels, members: BoolVector, today: int, within_days: int
) -> tuple[RowVector, FloatVector]:
    """Return what some members are expected to buy by `within_days` from today, as due_members().

    Returns: int32, (k,), a member's row per product that is due; float64, (k,), what it earns, in cents.
    """
    member, product = _due(features, models, np.ones(len(features.items), bool), members, today, within_days)
    earns = np.zeros(int(models.product.max(initial=0)) + 1)
    np.maximum.at(earns, models.product, features.margin_cents)
    return member, earns[product]


def _due(
    features: MemberFeatures,
    models: ItemModels,
    wanted: BoolVector,
    members: BoolVector | None,
    today: int,
    within_days: int,
) -> tuple[RowVector, RowVector]:
    """Return member and product of what is due: of some items, and of some members or all."""
    member, product, times, first, last = _by_product(features, models, wanted, members)
    usual = np.full(int(models.product.max(initial=0)) + 1, np.nan, np.float32)
    usual[models.product] = models.interval_days
    prior, gaps = models.prior_gaps, times - 1
    interval = np.maximum((last - first + prior * usual[product]) / (gaps + prior), 1.0)
    since = today - last
    due = (times >= REGULAR_TIMES) & (since + within_days >= interval) & (since <= LAPSED * interval)
    return member[due], product[due]


def affinity(features: MemberFeatures, models: ItemModels | None, wanted: BoolVector, today: int) -> FloatVector:
    """Return how much each member's acts speak for some items, float64, (n,), 0 where nothing does.

    The inverse of the item-item retriever: each act counts by kind and age, times how much its item is like the wanted
    ones; acts with these themselves count OWN_ITEM. Without a bundle the items of their categories count.
    """
    learned = None if models is None else models.near(wanted)
    alike = np.where(wanted, OWN_ITEM, _near_category(features, wanted) if learned is None else learned)
    acts = features.acts
    window = acts.days.window(today)
    days = acts.days.expand()[window]
    item, kind = acts.item_row[window], acts.kind[window]
    told = np.flatnonzero(alike[item] > 0)
    weight = alike[item[told]] * _kind_weights(models)[kind[told]] * acts.times[window][told]
    bought = kind[told] == KIND_CODES[EventKind.PURCHASE]
    half_lives = (180.0, 30.0) if models is None else (models.purchase_half_life_days, models.browse_half_life_days)
    weight *= np.exp2(-(today - days[told]) / np.where(bought, *half_lives))
    return features.tally(acts.member_row[window][told], weight)


def _near_category(features: MemberFeatures, wanted: BoolVector) -> FloatVector:
    code = features.category.code
    return NEAR_CATEGORY * (np.isin(code, np.unique(code[wanted])) & (code > 0)).astype(np.float64)


def _kind_weights(models: ItemModels | None) -> FloatVector:
    if models is not None:
        return np.array(models.by_kind, np.float64)
    weights = np.full(len(KIND_CODES), 0.2)
    weights[KIND_CODES[EventKind.PURCHASE]] = 1.0
    return weights


def _by_product(
    features: MemberFeatures, models: ItemModels, wanted: BoolVector, members: BoolVector | None
) -> tuple[RowVector, RowVector, RowVector, RowVector, RowVector]:
    """Return the rhythms of the products of some items, of some members or all: member, product, times, first and
    last day; int32.
    """
    rhythms = features.rhythms
    meant = np.zeros(int(models.product.max(initial=0)) + 1, bool)
    meant[models.product[wanted]] = True
    kept = meant[models.product][rhythms.item_row]
    if members is not None:
        kept &= members[rhythms.member_row]
    chosen = np.flatnonzero(kept)
    member, product = rhythms.member_row[chosen], models.product[rhythms.item_row[chosen]]
    times, first, last = rhythms.times[chosen], rhythms.first_day[chosen], rhythms.last_day[chosen]
    order = np.lexsort((product, member))
    starts = np.ones(len(order), bool)
    starts[1:] = (np.diff(member[order]) != 0) | (np.diff(product[order]) != 0)
    at = np.flatnonzero(starts)
    if not len(at):
        return member, product, times, first, last
    return (
        member[order][at],
        product[order][at],
        np.add.reduceat(times[order], at),
        np.minimum.reduceat(first[order], at),
        np.maximum.reduceat(last[order], at),
    )


def _rows(known: IdIndex, items: IdIndex) -> RowVector:
    """Return the row of each item in another index, the length of that where it is not there; int32."""
    found = np.full(len(items), len(known), np.int32)
    rows, there = known.rows(items.ids(np.arange(len(items))))
    found[there] = rows
    return found
