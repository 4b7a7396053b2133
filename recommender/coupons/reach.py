"""Reach: which offers a member can use at all, by the stores they can buy in, what these have, and their channels.

As when a slate is made: a store of which no stock is known is taken to have everything; one with stock lacks what it
does not list; a member buys in their home store, those of its city, and those that sell online. An offer for some
channels is used in stores that sell through one of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sqlalchemy.engine import Connection

from recommender.coupons.coverage import covered_items
from recommender.coupons.eligibility import CodeMatrix, Eligibility, LeftOut
from recommender.coupons.offers import Offer
from recommender.ids import IdIndex
from recommender.masks import reachable_stores
from recommender.query import Scenario
from recommender.request import SlateRequest
from recommender.storage.live_view import LiveView
from recommender.storage.statements import fetch

BoolVector = npt.NDArray[np.bool_]
CodeVector = npt.NDArray[np.uint8]

ONLINE, OFFLINE = "online", "offline"
_HOMES = "SELECT member_id, home_store_id FROM members WHERE home_store_id IS NOT NULL"


@dataclass(frozen=True, slots=True)
class Reach:
    """Where offers can be used now.

    live: catalogue, stores and stock.  channels: every channel as online or offline.
    """

    live: LiveView
    channels: Mapping[str, str]

    def against(self, home_store_id: str | None, offers: Sequence[Offer]) -> CodeVector:
        """Return what speaks against each offer for the members of a home store, uint8, (k,): codes as in Eligibility.

        Raises: StoreBusyError if a store must be read and the database is away.
        """
        online = frozenset(name for name, kind in self.channels.items() if kind == ONLINE)
        asked = SlateRequest(Scenario.HOME, 1)
        stores = [
            name
            for name in reachable_stores(asked, home_store_id, self.live, online)
            if name not in self.live.closed_stores
        ]
        return np.array([self._against(stores, home_store_id, offer) for offer in offers], np.uint8)

    def _against(self, stores: Sequence[str], home_store_id: str | None, offer: Offer) -> int:
        usable = [name for name in stores if not offer.stores or name in offer.stores]
        if offer.channels:
            selling = [name for name in usable if self._sells(name, offer)]
            # Of somebody whose store is not known it is not known either where else they buy.
            if usable and not selling and home_store_id is not None:
                return LeftOut.CHANNEL.code
            usable = selling
        covered = covered_items(offer, self.live.catalog, self.live.item_masks) & self._sellable()
        if not usable:
            return 0 if covered.any() else LeftOut.SOLD_OUT.code
        return 0 if any((covered & self._has(name)).any() for name in usable) else LeftOut.SOLD_OUT.code

    def _sells(self, store_id: str, offer: Offer) -> bool:
        """Tell whether a store sells through one of the channels of an offer; a shop does so through its tills."""
        facts = self.live.stores.get(store_id)
        own = None if facts is None else facts.channel
        if own in offer.channels:
            return True
        kinds = {self.channels.get(name, OFFLINE) for name in offer.channels}
        return (OFFLINE if own is None else self.channels.get(own, OFFLINE)) in kinds

    def _sellable(self) -> BoolVector:
        found = self.live.sellable(None)
        for pulled in (self.live.standing.recalled, self.live.standing.replaced):
            if pulled is not None:
                found = found & ~pulled
        return found

    def _has(self, store_id: str) -> BoolVector:
        found = np.ones(len(self.live.catalog), bool)
        for known in (self.live.stock(store_id), self.live.assortment(store_id)):
            if known is not None:
                found = found & known
        return found


def within_reach(
    connection: Connection, found: Eligibility, members: IdIndex, offers: Sequence[Offer], reach: Reach
) -> Eligibility:
    """Return who may be given what, less what they could not use: sold out, or for channels out of their reach."""
    homes = fetch(connection, _HOMES)
    rows, known = members.rows([row[0] for row in homes])
    home = np.zeros(len(members), np.int64)
    names: dict[str | None, int] = {None: 0}
    stores = [names.setdefault(row[1], len(names)) for row, here in zip(homes, known, strict=True) if here]
    home[rows] = stores
    by_store: CodeMatrix = np.array([reach.against(name, offers) for name in names], np.uint8).reshape(len(names), -1)
    against, left_out = found.against.copy(), dict(found.left_out)
    for store, codes in enumerate(by_store):
        columns = np.flatnonzero(codes)
        mine = np.flatnonzero(home == store)
        if not len(columns) or not len(mine):
            continue
        block = np.ix_(mine, columns)
        before = against[block]
        against[block] = np.where(before == 0, codes[columns], before)
        for reason in (LeftOut.SOLD_OUT, LeftOut.CHANNEL):
            lost = int(((before == 0) & (codes[columns] == reason.code)).any(axis=1).sum())
            if lost:
                left_out[reason] = left_out.get(reason, 0) + lost
    return Eligibility(against, left_out)
