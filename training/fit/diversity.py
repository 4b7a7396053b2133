"""Fit how a slate spreads: how much diversity and calibration cost nothing, and what more of them would cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from recommender.diversity import Calibration, Diversity, Spread
from recommender.history import MINUTES_PER_DAY
from recommender.interactions import PURCHASE_CODE
from recommender.query import Scenario
from training.categories import category_levels
from training.dataset import Dataset, ItemFacts
from training.list_metrics import coverage, intra_list_diversity
from training.metrics import Interval, Ragged, bootstrap, measure
from training.panel import Panel
from training.pools import PanelPools
from training.settings import TrainingSettings
from training.windows import Window

FloatVector = npt.NDArray[np.float64]
RowVector = npt.NDArray[np.int32]

STRENGTHS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7)
CALIBRATIONS = (0.0, 0.25, 0.5, 0.75, 1.0)
DEPTH = 10
LISTED = 100
"""Candidates kept of each list: more than are ever shown of a list that is judged at DEPTH."""
PERIOD_DAYS = 28.0
PRIOR_ITEMS = 10.0


@dataclass(frozen=True, slots=True)
class DiversityRow:
    """What one strength of diversity does to the lists of `home`: their NDCG, spread and reach."""

    strength: float
    ndcg: Interval
    diversity: float
    coverage: float


@dataclass(frozen=True, slots=True)
class CalibrationRow:
    """What one strength of calibration does to `home`: NDCG, and how far shares lie from the members' own."""

    strength: float
    ndcg: Interval
    novel_share: float
    distance: float


def fit_spread(pools: PanelPools, dataset: Dataset, window: Window, settings: TrainingSettings) -> Spread:
    """Choose the most diversity and calibration that gain NDCG on a window, unless the settings name them.

    A gain counts if it exceeds its standard error: what seems to cost nothing on one window costs on the next.

    Args:
        pools: of a window not seen by the fit, ranked; with Scenario.HOME among the scenarios.
        dataset: the whole history.
        window: of the pools; its history shows how much everybody buys is novel.
        settings: the strengths; below 0 they are chosen.
    """
    kinds, share = kinds_of(dataset.facts), novel_share(window.cut(dataset), window.fit_minute)
    option = settings.slate
    ranked = _ranked(pools)
    truth = pools.panel.truth.items

    def gains(spread: Spread, than: Spread) -> bool:
        difference = _ndcg(spread_out(ranked, spread, pools.panel), truth)
        difference -= _ndcg(spread_out(ranked, than, pools.panel), truth)
        n = max(int(np.isfinite(difference).sum()), 1)
        return bool(np.nanmean(difference) > np.nanstd(difference) / np.sqrt(n))

    best = Spread(Diversity({}, kinds), Calibration(0.0, share, PRIOR_ITEMS, PERIOD_DAYS))
    known = STRENGTHS[1:] if kinds.any() else ()
    for strength in known if option.diversity < 0 else (option.diversity,):
        more = replace(best, diversity=Diversity({Scenario.HOME: strength}, kinds))
        if option.diversity >= 0 or gains(more, best):
            best = more
    for strength in CALIBRATIONS[1:] if option.calibration < 0 else (option.calibration,):
        more = replace(best, calibration=replace(best.calibration, strength=strength))
        if option.calibration >= 0 or gains(more, best):
            best = more
    return best


def diversity_curve(
    pools: PanelPools, dataset: Dataset, settings: TrainingSettings, window: Window
) -> tuple[tuple[DiversityRow, ...], tuple[CalibrationRow, ...]]:
    """Return what each strength does on a window, all on the same members; no diversity without categories.

    Args:
        as for fit_spread().
    """
    kinds, levels = kinds_of(dataset.facts), category_levels(dataset.facts)
    none = Calibration(0.0, novel_share(window.cut(dataset), window.fit_minute), PRIOR_ITEMS, PERIOD_DAYS)
    ranked, panel, truth = _ranked(pools), pools.panel, pools.panel.truth.items
    spreads = [Spread(Diversity({Scenario.HOME: strength}, kinds), none) for strength in STRENGTHS]
    spreads += [Spread(Diversity({}, kinds), replace(none, strength=strength)) for strength in CALIBRATIONS]
    lists = [spread_out(ranked, spread, panel) for spread in spreads]
    rng = np.random.default_rng(settings.seed)
    values = np.stack([_ndcg(made, truth) for made in lists], axis=1)
    intervals = bootstrap(values, rng, settings.evaluation.bootstrap_rounds)
    own = own_shares(panel, none)
    n = len(STRENGTHS)
    diverse = tuple(
        DiversityRow(strength, interval, _mean(intra_list_diversity(made, DEPTH, levels)), _reach(made, dataset))
        for strength, interval, made in zip(STRENGTHS, intervals[:n], lists[:n], strict=True)
    )
    calibrated = tuple(
        CalibrationRow(strength, interval, _mean(shares), _mean(np.abs(shares - own)))
        for strength, interval, shares in zip(
            CALIBRATIONS, intervals[n:], [_novel_part(made, panel) for made in lists[n:]], strict=True
        )
    )
    return diverse if kinds.any() else (), calibrated


def kinds_of(facts: ItemFacts) -> RowVector:
    """Return category and section of each item, int32, (2, n_items); 0 = none."""
    levels = category_levels(facts)
    depth, row = (levels > 0).sum(axis=1), np.arange(len(levels))
    category = levels[row, np.maximum(depth - 1, 0)]
    section = np.where(depth > 1, levels[row, np.maximum(depth - 2, 0)], 0)
    return np.stack((category, section)).astype(np.int32)


def novel_share(dataset: Dataset, minute: int) -> float:
    """Return the share of novel items among what members with a past bought in the last PERIOD_DAYS; 0.5 unknown."""
    entries = dataset.entries.where(
        (dataset.entries.minute < minute)
        & (dataset.entries.kind == PURCHASE_CODE)
        & dataset.learned[dataset.entries.person_row]
    )
    start = minute - PERIOD_DAYS * MINUTES_PER_DAY
    width = np.int64(max(len(dataset.items), 1))
    key = entries.person_row * width + entries.item_row
    earlier, recent = np.unique(key[entries.minute < start]), np.unique(key[entries.minute >= start])
    recent = recent[np.isin(recent // width, np.unique(earlier // width))]
    return float(1 - np.isin(recent, earlier).mean()) if len(recent) else 0.5


def spread_out(ranked: Ragged, spread: Spread, panel: Panel) -> Ragged:
    """Return the lists of `home` as they are shown: reordered, and cut at DEPTH."""
    bought = panel.past.bought.contains(ranked)
    shares = own_shares(panel, spread.calibration) if spread.calibration.strength else np.zeros(len(panel))
    lists = []
    for i in range(len(ranked)):
        part = slice(int(ranked.indptr[i]), int(ranked.indptr[i + 1]))
        order = spread.diversity.order(Scenario.HOME, ranked.row[part])
        novel = ~bought[part][order]
        lists.append(ranked.row[part][order[spread.calibration.order(novel, float(shares[i]), DEPTH)]][:DEPTH])
    return Ragged.of(lists)


def own_shares(panel: Panel, calibration: Calibration) -> FloatVector:
    """Return each person's own share of novel items, float64, (n,)."""
    return np.array([calibration.share(panel.histories.of(i), int(panel.as_of[i])) for i in range(len(panel))])


def _ranked(pools: PanelPools) -> Ragged:
    """Return the first LISTED candidates of `home`, best first."""
    lists: list[RowVector] = []
    for pool, ranked in pools.of(Scenario.HOME):
        for start, stop in zip(pool.indptr[:-1], pool.indptr[1:], strict=True):
            row, score = pool.row[start:stop], ranked.score[start:stop]
            lists.append(row[np.lexsort((row, -score))[:LISTED]])
    return Ragged.of(lists)


def _ndcg(lists: Ragged, truth: Ragged) -> FloatVector:
    return measure(lists, truth, (DEPTH,))[f"ndcg@{DEPTH}"]


def _novel_part(lists: Ragged, panel: Panel) -> FloatVector:
    """Return the share of items that a person never bought in each list, float64, (n,)."""
    novel = ~panel.past.bought.contains(lists)
    found = np.bincount(lists.member, novel, len(lists))
    return np.asarray(found / np.maximum(lists.sizes, 1), np.float64)


def _reach(lists: Ragged, dataset: Dataset) -> float:
    return coverage(lists, DEPTH, len(dataset.items))


def _mean(values: FloatVector | Sequence[float]) -> float:
    known = np.asarray(values)[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")
