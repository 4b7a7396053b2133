"""OfferScorer: what offers are expected to earn and cost with members at a time, from bundle and log before it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

from recommender.bundle import Bundle
from recommender.coupons.models import CouponModels
from recommender.coupons.offer_facts import OfferFacts
from recommender.coupons.order_lines import MINUTES_PER_DAY, Goods
from recommender.coupons.scores import OfferScores
from recommender.coupons.terms import MOST_WINDOW_DAYS, Setting
from recommender.coupons.uplift import Economics, PairScores
from recommender.errors import InputError
from recommender.ids import IdIndex
from training.fit.campaigns import campaign_features, campaign_scene
from training.fit.pairs import CELLS_AT_ONCE, Snapshot, snapshot_of
from training.place import Place
from training.sends import Campaign, CouponHistory, read_coupon_history
from training.spending import Spending, read_spending

RowVector = npt.NDArray[np.int32]
FloatVector = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PairQuestion:
    """Pairs to be scored: member and offer by their rows; int32, (m,) each. Members beyond the index know nothing."""

    member_row: RowVector
    offer_row: RowVector


class OfferScorer:
    """Reads the log before a time once, and scores any members and offers as of that time.

    Args:
        place: where the log and the offers are.
        bundle: whose models score.
        at: only what happened before it counts.
    Raises: InputError if the bundle has learned nothing of coupons.
    """

    def __init__(self, place: Place, bundle: Bundle, at: datetime) -> None:
        models = CouponModels.from_bundle(bundle)
        if models is None:
            raise InputError(
                "The bundle has learned nothing of coupons: no campaign with sends had ended when it was trained.",
                field="bundle",
                value=bundle.bundle_id,
                accepted="a bundle trained after `sends` were loaded",
            )
        self.models = models
        self.at = at
        self.minute = int(at.timestamp() // 60)
        self.spending: Spending = read_spending(place.database, place.settings, at)
        self.history: CouponHistory = read_coupon_history(place.database, self.spending, at)
        self._goods: Goods = self.spending.catalogue.goods()

    @property
    def members(self) -> IdIndex:
        """The members that are learned from."""
        return self.spending.members

    def offer_rows(self, offer_ids: Sequence[str]) -> RowVector:
        """Return the rows of offers.

        Raises: InputError for an id that is unknown, or of an offer that cannot be used, with what is wrong with it.
        """
        rows = self.history.shelf.rows
        for offer_id in offer_ids:
            if offer_id not in rows:
                wrong = self.history.shelf.unusable.get(offer_id)
                raise InputError(wrong or "There is no such offer.", field="offer_id", value=offer_id)
        return np.array([rows[offer_id] for offer_id in offer_ids], np.int32)

    def scores(self, offer_ids: Sequence[str]) -> OfferScores:
        """Return the scores of all members and some offers, float32."""
        parts = list(self.chunks(offer_ids))
        matrices = {name: np.concatenate([getattr(part, name) for part in parts]) for name in MATRICES}
        return self._offer_scores(self.members, offer_ids, matrices)

    def facts(self, offer_ids: Sequence[str]) -> OfferFacts:
        """Return what is known of offers, for decisions on members who come later."""
        rows = self.offer_rows(offer_ids)
        scene = self._scene(rows)
        setting = scene.terms.setting
        began = self.spending.purchases.began / MINUTES_PER_DAY
        return OfferFacts(
            face_cents=scene.terms.face_cents,
            occasion_cents=scene.terms.occasion_cents,
            rate=scene.terms.rate,
            line_cents=scene.line_cents,
            rest_cents=scene.rest_cents,
            own_share=self._own_share(rows).astype(np.float32),
            window_days=setting.window_days,
            size=setting.size,
            kind=setting.kind.astype(np.float32),
            past=np.array([began, scene.past.average_rate], np.float32),
        )

    def chunks(self, offer_ids: Sequence[str], members: RowVector | None = None) -> Iterator[OfferScores]:
        """Yield the scores of members, some after the others, so that memory stays bounded.

        Args:
            members: their rows, int32, rising, distinct; None: all.
        """
        rows = self.offer_rows(offer_ids)
        scene = self._scene(rows)
        own = self._own_share(rows)
        step = max(1, CELLS_AT_ONCE // max(len(rows), 1))
        n = len(self.members) if members is None else len(members)
        for first in range(0, max(n, 1), step):
            last = min(first + step, n)
            chosen = slice(first, last) if members is None else members[first:last]
            features = scene.features(first, last) if members is None else scene.features_of(members[first:last])
            size = last - first
            flat = features.reshape(size * len(rows), features.shape[2])
            found = self.models.profit.scores(flat, _economics(scene, own, np.tile(np.arange(len(rows)), size)))
            matrices = {
                name: getattr(found, part).reshape(size, len(rows)).astype(np.float32)
                for name, part in zip(MATRICES, _PARTS, strict=True)
            }
            yield self._offer_scores(IdIndex(self.members.keys[chosen]), offer_ids, matrices)

    def pairs(self, asked: PairQuestion) -> PairScores:
        """Return the scores of pairs, in their order."""
        found = {name: np.empty(len(asked.member_row)) for name in _PARTS}
        for places, features, economics in self._asked(asked):
            part = self.models.profit.scores(features, economics)
            for name in _PARTS:
                found[name][places] = getattr(part, name)
        return PairScores(*(found[name] for name in _PARTS))

    def campaign(self, campaign_id: str, member_row: RowVector) -> FloatVector:
        """Return the chance that members redeem any offer of a campaign sent to them, float64, (n,).

        Raises: InputError if there is no such campaign, or it has no offers.
        """
        campaign = next((one for one in self.history.campaigns if one.campaign_id == campaign_id), None)
        if campaign is None or not campaign.offer_rows:
            raise InputError("There is no such campaign with offers.", field="campaign_id", value=campaign_id)
        rows, at = np.unique(member_row, return_inverse=True)
        offers = np.array(campaign.offer_rows, np.int32)
        every = PairQuestion(np.repeat(rows, len(offers)).astype(np.int32), np.tile(offers, len(rows)))
        single = np.concatenate(
            [np.empty(0), *(self.models.profit.redeems.chance(part) for _, part, _ in self._asked(every))]
        )
        order = np.concatenate([np.empty(0, np.int64), *(places for places, _, _ in self._places(every))])
        chance = np.empty(len(single))
        chance[order] = single
        if self.models.campaign is None:
            none = 1 - chance.reshape(len(rows), len(offers))
            found: FloatVector = (1 - none.prod(axis=1))[at]
            return found
        window = self._window(campaign, None)
        scene = campaign_scene(self.spending, self.history, campaign, self.minute, window, self._goods)
        place = np.repeat(np.arange(len(rows)), len(offers))
        return self.models.campaign.chance(campaign_features(scene, rows.astype(np.int32), place, chance))[at]

    def _offer_scores(
        self, members: IdIndex, offer_ids: Sequence[str], matrices: Mapping[str, npt.NDArray[np.float32]]
    ) -> OfferScores:
        assumed = np.full(len(offer_ids), self.models.profit.assumed, bool)
        return OfferScores(members=members, offer_id=tuple(offer_ids), at=self.at, assumed=assumed, **matrices)

    def _places(self, asked: PairQuestion) -> Iterator[tuple[npt.NDArray[np.int64], RowVector, RowVector]]:
        """Yield places of pairs to be scored together, with their distinct offers and members."""
        offers = np.unique(asked.offer_row)
        for start in range(0, len(offers), OFFERS_AT_ONCE):
            some = offers[start : start + OFFERS_AT_ONCE]
            mine = np.flatnonzero(np.isin(asked.offer_row, some))
            members = np.unique(asked.member_row[mine])
            step = max(1, CELLS_AT_ONCE // len(some))
            for first in range(0, len(members), step):
                group = members[first : first + step]
                yield mine[np.isin(asked.member_row[mine], group)], some, group

    def _asked(self, asked: PairQuestion) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.float32], Economics]]:
        """Yield places, features and economics of pairs."""
        scene, now = None, None
        for places, offers, members in self._places(asked):
            if scene is None or now is not offers:
                scene, now = self._scene(offers), offers
            cube = scene.features_of(members)
            at = np.searchsorted(offers, asked.offer_row[places])
            features = cube[np.searchsorted(members, asked.member_row[places]), at]
            yield places, features, _economics(scene, self._own_share(offers), at)

    def _scene(self, rows: RowVector) -> Snapshot:
        return snapshot_of(self.spending, self.history, rows, self.minute, self._setting(rows), self._goods)

    def _setting(self, rows: RowVector) -> Setting:
        """Return how offers are given out: as the newest campaign that holds each says."""
        setting = Setting.plain(len(rows), self.models.window_days)
        by_offer: dict[int, Campaign] = {}
        for campaign in sorted(self.history.campaigns, key=lambda one: (one.starts, one.campaign_id)):
            by_offer |= dict.fromkeys(campaign.offer_rows, campaign)
        for place, row in enumerate(rows.tolist()):
            own = by_offer.get(row)
            setting.window_days[place] = self._window(own, row)
            if own is not None:
                setting.kind[place] = self.models.kinds.index(own.kind) if own.kind in self.models.kinds else -1
                if self.models.campaign is not None:
                    setting.size[place] = len(own.offer_rows)
        return setting

    def _window(self, campaign: Campaign | None, row: int | None) -> float:
        """Return how many days an offer may still be used, once it may be used at all."""
        if campaign is not None and campaign.ends > max(campaign.starts, self.minute):
            return min((campaign.ends - max(campaign.starts, self.minute)) / MINUTES_PER_DAY, MOST_WINDOW_DAYS)
        until = None if row is None else self.history.shelf.offers[row].valid_until
        left = 0.0 if until is None else (until - self.at).total_seconds() / 86400
        return min(left, MOST_WINDOW_DAYS) if left > 0 else self.models.window_days

    def _own_share(self, rows: RowVector) -> FloatVector:
        return np.array([1.0 - self.history.shelf.offers[row].funded_share for row in rows.tolist()])


OFFERS_AT_ONCE = 256
_PARTS = ("profit_cents", "error_cents", "cost_cents", "cost_bound_cents", "redemption")
MATRICES = (
    "expected_profit_cents",
    "standard_error_cents",
    "expected_cost_cents",
    "cost_bound_cents",
    "redemption_probability",
)


def _economics(scene: Snapshot, own_share: FloatVector, at: npt.NDArray[np.integer]) -> Economics:
    """Return the money in pairs whose offers are at some places of a scene."""
    return Economics(
        scene.terms.face_cents[at].astype(np.float64),
        scene.line_cents[at].astype(np.float64),
        scene.rest_cents[at].astype(np.float64),
        own_share[at],
    )
