"""What a recommender finds for a panel, per scenario: retrieved once, then ranked and judged as often as needed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from recommender.pipeline import Found, Recommender
from recommender.query import Scenario
from recommender.ranking import Ranker
from training.panel import Panel


@dataclass(frozen=True, slots=True)
class PanelPools:
    """Ranked candidates of everyone of a panel; one Found per chunk of people, in their order."""

    panel: Panel
    found: Mapping[Scenario, tuple[Found, ...]]

    def ranked_by(self, ranker: Ranker) -> PanelPools:
        """Return the same candidates in another ranker's order."""
        return PanelPools(
            self.panel,
            {
                scenario: tuple(
                    replace(part, ranked=ranker.rank(part.pool, part.batch, [scenario] * len(part.batch)))
                    for part in parts
                )
                for scenario, parts in self.found.items()
            },
        )


def retrieve_pools(
    recommender: Recommender,
    panel: Panel,
    scenarios: Iterable[Scenario],
    count: int,
    step: Callable[[int], None] = lambda members: None,
) -> PanelPools:
    """Retrieve for everyone of a panel.

    Args:
        recommender: fitted on no more than the panel's window may see.
        panel: whom to ask for.
        scenarios: the placements.
        count: length of the lists asked for.
        step: called with the number of members just asked, per scenario.
    """
    found = {}
    for scenario in scenarios:
        parts = []
        for queries in panel.queries(scenario, count):
            parts.append(recommender.find(queries))
            step(len(queries))
        found[scenario] = tuple(parts)
    return PanelPools(panel, found)
