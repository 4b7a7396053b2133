"""Categories as numbers: the levels of each item's category path."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from training.dataset import ItemFacts

SEPARATOR = ">"
NO_CATEGORY = "none"


def category_levels(facts: ItemFacts) -> npt.NDArray[np.int32]:
    """Number the levels of category paths, so that equal numbers mean the same place in the tree.

    Returns: int32, (n_items, n_levels), at least one level; 0 where a path has no such level.
    """
    numbers: dict[tuple[str, ...], int] = {}
    paths = [_parts(text) for text in facts.categories]
    table = np.zeros((len(paths), max(1, *map(len, paths))), np.int32)
    for row, path in enumerate(paths):
        for depth in range(len(path)):
            table[row, depth] = numbers.setdefault(path[: depth + 1], len(numbers) + 1)
    return table[facts.category_row]


def category_groups(facts: ItemFacts) -> tuple[tuple[str, ...], npt.NDArray[np.int32]]:
    """Group items by the first level of the category tree that tells them apart.

    Returns: names of the groups, NO_CATEGORY last; and int32, (n_items,), the group of each item.
    """
    paths = [_parts(text) for text in facts.categories]
    deepest = max(map(len, paths), default=0)
    level = next((d for d in range(1, deepest + 1) if len({path[:d] for path in paths if path}) > 1), 1)
    named = [f" {SEPARATOR} ".join(path[:level]) for path in paths]
    names = (*sorted(set(named) - {""}), NO_CATEGORY)
    place = {name: number for number, name in enumerate(names)}
    group = np.array([place.get(name, len(names) - 1) for name in named], np.int32)
    return names, group[facts.category_row]


def _parts(text: str) -> tuple[str, ...]:
    parts = (part.strip() for part in text.split(SEPARATOR))
    return tuple(part for part in parts if part)
