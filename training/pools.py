"""What a recommender finds for a panel, per scenario: retrieved once, then ranked and judged as often as needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from recommender.candidates import Pool
from recommender.pipeline import Found, Recommender
from recommender.query import Scenario
from recommender.ranking import Ranked, Ranker
from training.panel import Panel
from training.parallel import in_parallel


@dataclass(frozen=True, slots=True)
class PanelPools:
    """Ranked candidates of everyone of a panel.

    scenarios: the placements asked for.  found: one per chunk of people, in their order: the chunk's queries of
    the first scenario, then of the next.
    """

    panel: Panel
    scenarios: tuple[Scenario, ...]
    found: tuple[Found, ...]

    def ranked_by(self, ranker: Ranker, processes: int = 1) -> PanelPools:
        """Return the same candidates in another ranker's order."""

        def rank(part: Found) -> Ranked:
            return ranker.rank(part.pool, part.batch, self._asked(len(part.batch)))

        ranked = in_parallel(rank, self.found, processes)
        parts = [replace(part, ranked=order) for part, order in zip(self.found, ranked, strict=True)]
        return replace(self, found=tuple(parts))

    def of(self, scenario: Scenario) -> Iterator[tuple[Pool, Ranked]]:
        """Yield one scenario's candidates and their worth, chunk by chunk."""
        number = self.scenarios.index(scenario)
        for part in self.found:
            people = len(part.batch) // len(self.scenarios)
            start, stop = number * people, (number + 1) * people
            entries = slice(int(part.pool.indptr[start]), int(part.pool.indptr[stop]))
            ranked = Ranked(part.ranked.score[entries], part.ranked.source[entries])
            yield part.pool.part(start, stop), ranked

    def _asked(self, n_queries: int) -> list[Scenario]:
        """Return the scenario of each query of a chunk."""
        return [scenario for scenario in self.scenarios for _ in range(n_queries // len(self.scenarios))]


def retrieve_pools(
    recommender: Recommender,
    panel: Panel,
    scenarios: Sequence[Scenario],
    count: int,
    step: Callable[[int], None] = lambda lists: None,
) -> PanelPools:
    """Retrieve for everyone of a panel.

    Args:
        recommender: fitted on no more than the panel's window may see.
        panel: whom to ask for.
        scenarios: the placements.
        count: length of the lists asked for.
        step: called with the number of lists just found.
    """
    parts = []
    for queries in panel.queries(dict.fromkeys(scenarios, count)):
        parts.append(recommender.find(queries))
        step(len(queries))
    return PanelPools(panel, tuple(scenarios), tuple(parts))
