"""Groups of items for which the purchases of a window are told apart: categories, and items with little history."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.categories import category_groups
from training.dataset import Dataset
from training.panel import Panel

CATEGORY, COLD = "category", "cold"
CATEGORIES_SHOWN = 8
FEW_BUYERS = 5
NOBODY, FEW = "items nobody bought before", f"items of fewer than {FEW_BUYERS} buyers"


@dataclass(frozen=True, slots=True)
class ItemGroup:
    """Some items: bool, (n_items,)."""

    group: str
    value: str
    items: npt.NDArray[np.bool_]


def item_groups(dataset: Dataset, panel: Panel) -> list[ItemGroup]:
    """Return the categories with most purchases in the window, all others together, and the cold items.

    Categories are left out where all items are of one, and cold items where nobody bought any.
    """
    return [*_categories(dataset, panel), *_cold(panel)]


def _categories(dataset: Dataset, panel: Panel) -> list[ItemGroup]:
    names, group = category_groups(dataset.facts)
    bought = np.bincount(group[panel.truth.items.row], minlength=len(names))
    if np.count_nonzero(bought) < 2:
        return []
    order = np.argsort(-bought, kind="stable")[: np.count_nonzero(bought)]
    shown = order[:CATEGORIES_SHOWN] if len(order) > CATEGORIES_SHOWN + 1 else order
    found = [ItemGroup(CATEGORY, names[number], group == number) for number in shown]
    if len(shown) < len(order):
        found.append(ItemGroup(CATEGORY, "other", ~np.isin(group, shown)))
    return found


def _cold(panel: Panel) -> list[ItemGroup]:
    few = (panel.buyers > 0) & (panel.buyers < FEW_BUYERS)
    groups = [ItemGroup(COLD, NOBODY, panel.buyers == 0), ItemGroup(COLD, FEW, few)]
    return [part for part in groups if part.items[panel.truth.items.row].any()]
