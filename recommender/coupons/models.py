"""CouponModels: what a bundle has learned of coupons, as arrays, texts and a part of its description."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from recommender.bundle import Array, Bundle
from recommender.coupons.features import FEATURES
from recommender.coupons.response import ResponseModel
from recommender.coupons.uplift import ProfitModel
from recommender.errors import BundleError
from recommender.retrievers.base import Json, as_number, as_table, as_texts

NAME = "coupons"
"""Of the part of a bundle's description; array names begin with it and a dot, text files too."""
CAMPAIGN_FEATURES = ("best_offer", "offers_expected")
"""What the model of campaigns sees beside the features of their goods as a whole: the likeliest of the offers, and how
many redemptions all of them together let expect, in log-odds and logarithm."""


@dataclass(frozen=True, slots=True)
class CouponModels:
    """Models of single offers, and of campaigns that send all their offers at once.

    profit: of a member and an offer.  campaign: the chance that a member redeems any of a campaign's offers, None where
    no campaign sent several at once.  kinds: types of campaigns that are told apart, by their numbers in features.
    window_days: how long offers could be used, where none says.
    """

    profit: ProfitModel
    campaign: ResponseModel | None
    kinds: tuple[str, ...]
    window_days: float

    def parts(self) -> tuple[dict[str, Array], dict[str, Json], dict[str, str]]:
        """Return arrays and texts by the names that they have in a bundle, and a JSON description."""
        arrays, described, texts = self.profit.parts()
        found: dict[str, Json] = {"profit": described, "kinds": list(self.kinds), "window_days": self.window_days}
        named = {f"{NAME}.{name}": array for name, array in arrays.items()}
        files = {_file(name): text for name, text in texts.items()}
        if self.campaign is not None:
            own, about, trees = self.campaign.parts()
            found["campaign"] = about
            named |= {f"{NAME}.campaign.{name}": array for name, array in own.items()}
            files[_file("campaign")] = trees
        return named, found, files

    @classmethod
    def from_bundle(cls, bundle: Bundle) -> CouponModels | None:
        """Return what a bundle has learned of coupons, None if nothing.

        Raises: BundleError if another release has written it in a form that is not known here.
        """
        found = bundle.manifest.description.get(NAME)
        if found is None:
            return None
        try:
            models = cls._of(bundle, as_table(found))
        except (KeyError, TypeError, ValueError, AssertionError, BundleError) as error:
            raise _outdated(bundle, str(error)) from error
        seen = {len(models.profit.redeems.centre), len(models.profit.buys.centre)}
        if seen != {len(FEATURES)}:
            raise _outdated(bundle, f"{max(seen)} features in place of {len(FEATURES)}")
        return models

    @classmethod
    def _of(cls, bundle: Bundle, described: Mapping[str, Json]) -> CouponModels:
        arrays = _below(bundle.arrays, f"{NAME}.")
        texts = {name: bundle.text(_file(name)) for name in ("redeems", "buys")}
        campaign = None
        if "campaign" in described:
            own, trees = _below(arrays, "campaign."), bundle.text(_file("campaign"))
            campaign = ResponseModel.from_parts(own, as_table(described["campaign"]), trees)
        return cls(
            ProfitModel.from_parts(arrays, as_table(described["profit"]), texts),
            campaign,
            as_texts(described["kinds"]),
            as_number(described["window_days"]),
        )


def _outdated(bundle: Bundle, missing: str) -> BundleError:
    return BundleError(
        f"The coupon models of bundle {bundle.bundle_id} were written by another release ({missing}). Train again with"
        " `memberwise train`; until then an older release can serve it.",
        field="bundle",
        value=bundle.bundle_id,
        accepted="a bundle trained by this release",
    )


def _file(name: str) -> str:
    return f"{NAME}.{name}.txt"


def _below(arrays: Mapping[str, Array], start: str) -> dict[str, Array]:
    return {name.removeprefix(start): array for name, array in arrays.items() if name.startswith(start)}
