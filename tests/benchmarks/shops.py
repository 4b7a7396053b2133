"""Shops: for each size a synthetic retailer's exports, and where Memberwise keeps its state of them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tests.benchmarks.measure import memberwise, module, run_measured
from tests.benchmarks.retailer import Shape

SEED = 7


@dataclass(frozen=True)
class Shop:
    """One size: `events` rows in events.csv, the other tables beside it, and a home for Memberwise.

    sizes: members, items and stores; None lets them follow from the events.
    """

    folder: Path
    events: int
    sizes: tuple[int, int, int] | None = None

    @property
    def exports(self) -> Path:
        """The folder of canonical tables."""
        return self.folder / "exports"

    @property
    def shape(self) -> Shape:
        """How large the retailer is."""
        return Shape.of(self.events) if self.sizes is None else Shape.retail(*self.sizes, events=self.events)

    @property
    def environ(self) -> dict[str, str]:
        """The settings under which Memberwise runs on this shop."""
        return {"MEMBERWISE_HOME": str(self.folder / "home"), "MEMBERWISE_MODELS": str(self.folder / "models")}

    def make(self) -> None:
        """Write the exports, unless they are there already."""
        if not (self.exports / "events.csv").exists():
            say(f"writing {self.events:,} events")
            self.folder.mkdir(parents=True, exist_ok=True)
            sizes = map(str, self.sizes or ())
            run_measured(module("exports", str(self.exports), str(self.events), str(SEED), *sizes), {}, self.folder)

    @cached_property
    def loaded(self) -> bool:
        """True; loads the exports when first asked, unless a home is there already."""
        self.make()
        if not (self.folder / "home").exists():
            say(f"loading {self.events:,} events")
            run_measured(memberwise("ingest", str(self.exports)), self.environ, self.folder)
        return True

    @cached_property
    def trained(self) -> bool:
        """True; trains a bundle when first asked, unless there is one already."""
        assert self.loaded
        if not (self.folder / "models" / "current").exists():
            say(f"training on {self.events:,} events")
            run_measured(memberwise("train", "--json"), self.environ, self.folder)
        return True


def say(text: str) -> None:
    """Tell what goes on, on standard error."""
    print(f"  {text} ...", file=sys.stderr, flush=True)


def retail_shop(place: Path, retail: tuple[int, int, int, int]) -> Shop:
    """Return the shop of a retailer of so many members, items, stores and events."""
    members, items, stores, events = retail
    return Shop(place / f"{members}x{items}x{stores}x{events}", events, (members, items, stores))


def growing_shops(
    place: Path, retail: tuple[int, int, int, int], members: Sequence[int], items: Sequence[int]
) -> tuple[Shop, dict[str, list[Shop]]]:
    """Return a retailer's shop, and by what grows those that differ from it in that alone; events go with members."""
    base_members, base_items, stores, events = retail
    each = events / base_members
    growing = {
        "members": [retail_shop(place, (count, base_items, stores, int(each * count))) for count in members],
        "items": [retail_shop(place, (base_members, count, stores, events)) for count in items],
    }
    return retail_shop(place, retail), {what: shops for what, shops in growing.items() if shops}
