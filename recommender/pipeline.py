"""Recommender: the only place that states the order of the steps from a query to a slate.

    retrieve -> unite -> rank -> rules -> spread -> fill

Serving is a batch of one; evaluation and batch runs pass many queries. The slate of a query does not depend on
the batch it came in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from recommender import stand_ins
from recommender.arrangement import put_pins
from recommender.candidates import Candidates, Pool, Slate, unite
from recommender.diversity import NO_SPREAD, Spread, falling
from recommender.errors import BundleError
from recommender.ids import IdIndex
from recommender.prepared import WIDTH
from recommender.query import Batch, Query, Ready, Scenario, batch_of
from recommender.ranking import Ranked, Ranker, ranker_from
from recommender.retrievers import RETRIEVERS
from recommender.retrievers.arrivals import ArrivalRetriever
from recommender.retrievers.base import Json, Retriever, State, as_list, as_number, as_table, as_texts
from recommender.retrievers.popularity import PopularityRetriever
from recommender.retrievers.substitutes import SubstituteRetriever
from recommender.rules import (
    all_masks,
    beside_pins,
    both,
    count_dropped,
    firm_masks,
    pins_of,
    scenario_mask,
    within_reach,
)
from recommender.stages import NO_STAGES, Stage, Stages

IMPERSONAL = frozenset({"popularity", "store_popularity", "trending", "occasion", "arrivals"})
"""Retrievers that find something also for somebody of whom nothing is known."""
STRANGERS_KEPT = 256
"""Most lists of candidates for strangers kept: placements times stores of one minute."""

P = TypeVar("P", bound=Retriever)
StrangerKey = tuple[Scenario, int | None, int]
BoolVector = npt.NDArray[np.bool_]
RowVector = npt.NDArray[np.int32]
Array = npt.NDArray[np.generic]


@dataclass(frozen=True, slots=True)
class Found:
    """Ranked candidates of a batch: what the rules choose from."""

    batch: Batch
    pool: Pool
    ranked: Ranked

    def choice(self, number: int) -> Ready:
        """Return the candidates of one query, before the rules."""
        part = slice(int(self.pool.indptr[number]), int(self.pool.indptr[number + 1]))
        return Ready(self.pool.row[part], self.ranked.score[part], self.ranked.source[part], self.pool.retrievers)


@dataclass(frozen=True, slots=True)
class Recommender:
    """Fitted retrievers and a ranker over one index of items.

    items, stores: ids behind the rows.  channels: names behind the channel codes of histories.
    retrievers: at least popularity, which lists every item and so can always fill a slate.
    depth: candidates asked of each retriever by name.
    day_offset_minutes: what to add to a minute to make the retailer's days begin at multiples of a day.
    spread: how slates spread over categories, and over what was bought before and what was not.
    """

    items: IdIndex
    stores: IdIndex
    channels: tuple[str, ...]
    retrievers: tuple[Retriever, ...]
    ranker: Ranker
    depth: Mapping[str, int]
    day_offset_minutes: int
    spread: Spread = NO_SPREAD
    _strangers: dict[StrangerKey, Ready] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def popularity(self) -> PopularityRetriever:
        """The retriever of last resort."""
        return next(part for part in self.retrievers if isinstance(part, PopularityRetriever))

    def part(self, kind: type[P]) -> P | None:
        """Return the retriever of a kind, None if there is none."""
        return next((part for part in self.retrievers if type(part) is kind), None)

    def recommend(self, queries: Sequence[Query], stages: Stages = NO_STAGES) -> list[Slate]:
        """Return one slate per query, full whenever enough allowed items exist.

        Args:
            queries: their masks, if any, have one entry per item, which may be more items than the models know.
            stages: told when each step has ended.
        Returns: slates in the order of the queries.
        """
        if not queries:
            return []
        subjects = [self.subject(query) for query in queries]
        pins = [pins_of(query, subject) for query, subject in zip(queries, subjects, strict=True)]
        asked = [beside_pins(query, chosen, len(self.items)) for query, chosen in zip(queries, pins, strict=True)]
        choices = self._choices(asked, subjects, stages)
        slates = [self._slate(query, *choice) for query, choice in zip(asked, choices, strict=True)]
        for i, query in enumerate(asked):
            if len(slates[i].row) < query.count:
                slates[i] = self._search_deeper(query, slates[i], choices[i][0])
            slates[i] = put_pins(slates[i], pins[i], queries[i].count)
        stages.end(Stage.RULES)
        return slates

    def _choices(
        self, queries: Sequence[Query], subjects: Sequence[BoolVector | None], stages: Stages
    ) -> list[tuple[Ready, BoolVector | None]]:
        """Return what each slate is chosen from, and the items it is about: made ready before, or found now."""
        keys = [_stranger_key(query) for query in queries]
        choices = [
            query.ready or (None if key is None else self._strangers.get(key))
            for query, key in zip(queries, keys, strict=True)
        ]
        new = [i for i, ready in enumerate(choices) if ready is None]
        if new:
            asked = [queries[i] for i in new]
            heeded = [self._heeded_for(query) for query in asked]
            found = self._find(asked, [subjects[i] for i in new], heeded, stages)
            for at, i in enumerate(new):
                choices[i] = choice = found.choice(at)
                self._remember(queries[i], keys[i], choice)
        return [(choice, subject) for choice, subject in zip(choices, subjects, strict=True) if choice is not None]

    def _remember(self, query: Query, key: StrangerKey | None, choice: Ready) -> None:
        """Keep candidates where the query says, and those of strangers, who are all alike in one store and minute."""
        if query.slot is not None:
            query.slot.ready = choice.best(WIDTH)
        if key is None:
            return
        if len(self._strangers) >= STRANGERS_KEPT:
            self._strangers.clear()
        self._strangers[key] = choice

    def best(self, queries: Sequence[Query], count: int) -> list[Ready]:
        """Return the best candidates of each query before all masks, by falling worth, ties by rising row."""
        choices = self._choices(queries, [self.subject(query) for query in queries], NO_STAGES)
        return [choice.best(count) for choice, _ in choices]

    def find(self, queries: Sequence[Query]) -> Found:
        """Return the ranked candidates of each query, of all retrievers, before the rules; blends are tuned on them."""
        subjects = [self.subject(query) for query in queries]
        everyone = frozenset(part.name for part in self.retrievers)
        return self._find(queries, subjects, [everyone] * len(queries))

    def look(self, query: Query) -> tuple[BoolVector | None, Found]:
        """Return the items that a query's scenario is about, and the candidates from which recommend() begins."""
        subject = self.subject(query)
        return subject, self._find([query], [subject], [self._heeded_for(query)])

    def look_deeper(self, query: Query) -> Found:
        """Return the candidates among the allowed items only, from which recommend() makes a slate otherwise short."""
        subject, allowed = self.subject(query), all_masks(query)
        inside = subject if allowed is None else both(subject, allowed[: len(self.items)])
        return self._find([query], [inside], [self._heeded_for(query)])

    def _find(
        self,
        queries: Sequence[Query],
        allowed: Sequence[BoolVector | None],
        heeded: Sequence[frozenset[str]],
        stages: Stages = NO_STAGES,
    ) -> Found:
        """Retrieve and rank; each query hears the retrievers it heeds, whatever the others of the batch ask."""
        batch = batch_of(queries, allowed)
        asked = frozenset[str]().union(*heeded)
        pool = unite({part.name: self._retrieve(part, batch) for part in self.retrievers if part.name in asked})
        if any(names != asked for names in heeded):
            pool = pool.heard(np.array([[name in names for name in pool.retrievers] for names in heeded], bool))
        stages.end(Stage.RETRIEVE)
        ranked = self.ranker.rank(pool, batch, [query.scenario for query in queries])
        stages.end(Stage.RANK)
        return Found(batch, pool, ranked)

    def subject(self, query: Query) -> BoolVector | None:
        """Return the items that a query's scenario is about, None for all; without new items `new` is about all."""
        subject = scenario_mask(query, len(self.items))
        if query.scenario is not Scenario.NEW:
            return subject
        new = self.part(ArrivalRetriever)
        if new is None or not len(new.arrival_row):
            return subject
        arrived = np.zeros(len(self.items), bool)
        arrived[new.arrival_row] = True
        return both(subject, arrived)

    def _heeded_for(self, query: Query) -> frozenset[str]:
        """Return the retrievers that are asked for a query: those that count in its placement, and popularity.

        Where nothing is known of the customer and the request is about nothing, only those that ask neither.
        """
        heeded = self.ranker.heeded(query.scenario) | {PopularityRetriever.name}
        return heeded if _stranger_key(query) is None else heeded & IMPERSONAL

    def _retrieve(self, part: Retriever, batch: Batch) -> Candidates:
        return part.retrieve(batch, self.depth[part.name])

    def _slate(self, query: Query, choice: Ready, subject: BoolVector | None, heard: Ready | None = None) -> Slate:
        """Apply the rules to one query's ranked candidates and cut; substitutes and newcomers join here.

        Args:
            choice: the candidates.
            subject: the items that the slate is about; None for all.
            heard: candidates that say what the customer likes; None: those chosen from.
        """
        row, score, source = choice.row, choice.score, choice.source
        names = (*choice.names, stand_ins.NAME)
        dropped = count_dropped(query, row)
        allowed = all_masks(query)
        heard = heard or choice
        liked = heard.row, heard.score
        others = self._stand_ins(query, *liked, allowed, subject)
        if allowed is not None:
            kept = allowed[row]
            row, score, source = row[kept], score[kept], source[kept]
        if others:
            row, score, source = stand_ins.joined(others, row, score, source, len(names) - 1)
        score = query.arrangement.boosted(row, score)
        best = np.lexsort((row, -score))
        best = best[self.spread.order(query, row[best])[: query.count]]
        slate = Slate(
            row[best],
            falling(score[best]),
            tuple(names[column] for column in source[best]),
            _strategy(query),
            dropped,
            {other.row: other.lost for other in others},
        )
        return slate if query.newcomers is None else query.newcomers.join(query, slate, *liked, allowed)

    def _stand_ins(
        self,
        query: Query,
        row: RowVector,
        score: npt.NDArray[np.float32],
        allowed: BoolVector | None,
        subject: BoolVector | None,
    ) -> list[stand_ins.StandIn]:
        """Return what can take the places of sold-out candidates."""
        part = self.part(SubstituteRetriever)
        if part is None:
            return []
        return stand_ins.find_stand_ins(part.likeness, query, row, score, allowed, subject)

    def _search_deeper(self, query: Query, slate: Slate, heard: Ready) -> Slate:
        """Retrieve again among the allowed items only, then fill what is still missing with popular items."""
        allowed = all_masks(query)
        again = slate
        if allowed is not None:
            deeper = self.look_deeper(query)
            again = self._slate(query, deeper.choice(0), deeper.batch.allowed[0], heard)
        missing = query.count - len(again.row)
        filler = self._filler(query, allowed, again.row, missing) if missing > 0 else again.row[:0]
        if len(filler) < missing and any(mask.yields for mask in query.masks):
            taken = np.concatenate((again.row, filler))
            last = self._filler(query, firm_masks(query), taken, missing - len(filler))
            filler = np.concatenate((filler, last))
        if len(filler) == 0:
            return replace(again, strategy=slate.strategy, dropped=slate.dropped)
        floor = again.score.min(initial=1.0)
        # Filled items come after all others: their scores fall below the lowest and keep their order.
        score = floor * np.float32(0.5) ** np.arange(1, len(filler) + 1, dtype=np.float32)
        return Slate(
            np.concatenate((again.row, filler)),
            np.concatenate((again.score, score)).astype(np.float32),
            again.source + ("popularity",) * len(filler),
            f"{slate.strategy}+filled" if len(again.row) else "popular+filled",
            slate.dropped,
            again.instead_of,
        )

    def _filler(self, query: Query, allowed: BoolVector | None, taken: RowVector, missing: int) -> RowVector:
        """Return popular allowed items that are not taken; then items newer than the models, by id.

        Where new items are asked for, those come first.
        """
        n_all = len(self.items) if allowed is None else len(allowed)
        free = within_reach(query, np.ones(n_all, bool) if allowed is None else allowed)
        free[taken] = False
        order = self.popularity.order()
        known = order[free[order]][:missing]
        newer = len(self.items) + np.flatnonzero(free[len(self.items) :])
        parts = (newer, known) if query.scenario is Scenario.NEW else (known, newer)
        return np.concatenate(parts)[:missing].astype(np.int32)

    def parts(self) -> tuple[dict[str, Array], dict[str, Json]]:
        """Return the arrays by name, and a JSON description, from which from_parts() makes the same recommender."""
        arrays: dict[str, Array] = {"items.keys": self.items.keys, "stores.keys": self.stores.keys}
        retrievers: list[Json] = []
        for part in self.retrievers:
            state = part.state()
            arrays |= {f"{part.name}.{name}": array for name, array in state.arrays.items()}
            retrievers.append({"name": part.name, "settings": dict(state.settings)})
        ranked, described, _ = self.ranker.parts()
        description: dict[str, Json] = {
            "channels": list(self.channels),
            "day_offset_minutes": self.day_offset_minutes,
            "depth": dict(self.depth),
            "retrievers": retrievers,
            "ranker": described,
        }
        spread = self.spread.state()
        description["spread"] = dict(spread.settings)
        return arrays | ranked | {f"spread.{name}": array for name, array in spread.arrays.items()}, description

    def texts(self) -> dict[str, str]:
        """Return the texts by file name that from_parts() needs beside parts(): the ranker's trees."""
        return self.ranker.parts()[2]

    @classmethod
    def from_parts(
        cls, arrays: Mapping[str, Array], description: Mapping[str, Json], texts: Mapping[str, str] | None = None
    ) -> Recommender:
        """Make a recommender from the arrays, the description and the texts of a bundle.

        Raises: BundleError if the description is not one that parts() wrote.
        """
        try:
            return cls(
                items=IdIndex(arrays["items.keys"].view(np.ndarray)),
                stores=IdIndex(arrays["stores.keys"].view(np.ndarray)),
                channels=as_texts(description["channels"]),
                retrievers=tuple(_load(as_table(part), arrays) for part in as_list(description["retrievers"])),
                ranker=ranker_from(as_table(description["ranker"]), arrays, texts or {}),
                depth={name: int(as_number(count)) for name, count in as_table(description["depth"]).items()},
                day_offset_minutes=int(as_number(description["day_offset_minutes"])),
                spread=_spread_from(arrays, description),
            )
        except KeyError as error:
            raise BundleError("The bundle lacks a part that the recommender needs.", value=error.args[0]) from error


def _spread_from(arrays: Mapping[str, Array], description: Mapping[str, Json]) -> Spread:
    """Make the spread of a bundle; bundles from before there was one leave the ranker's order."""
    if "spread" not in description:
        return NO_SPREAD
    return Spread.from_state(State({"kinds": arrays["spread.kinds"]}, as_table(description["spread"])))


def _stranger_key(query: Query) -> StrangerKey | None:
    """Return all that a query asks by where nothing is known of the customer and it is about nothing; else None."""
    if len(query.context) or (query.personal and len(query.history.item_row)):
        return None
    return query.scenario, query.store_row, query.as_of


def _strategy(query: Query) -> str:
    """Name what the slate of a query is made from."""
    if len(query.context):
        return "context"
    return "personal" if query.personal and len(query.history.item_row) else "popular"


def _load(part: Mapping[str, Json], arrays: Mapping[str, Array]) -> Retriever:
    """Make one retriever from its part of the description and the arrays that carry its name."""
    name = str(part["name"])
    own = {key.partition(".")[2]: array for key, array in arrays.items() if key.startswith(f"{name}.")}
    return RETRIEVERS[name].from_state(State(own, as_table(part["settings"])))
