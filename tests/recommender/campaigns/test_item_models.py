"""What is due and who likes what, by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from recommender.campaigns.feature_files import read_features
from recommender.campaigns.item_models import OWN_ITEM, ItemModels, affinity, due_members, due_products
from recommender.campaigns.member_features import MemberFeatures, Rhythms
from recommender.events import KIND_CODES, EventKind
from recommender.storage.database import Database
from tests.factories import NOW, make_event, put_rows
from tests.recommender.campaigns.club import Club, Place

TODAY = 20_000
MEMBERS = ("anna", "ben", "cora")
ITEMS = ("bread", "milk", "milk-6", "soap")
BREAD, MILK, MILK_6, SOAP = range(4)


@pytest.fixture
def features(sqlite_database: Database, tmp_path: Path) -> MemberFeatures:
    """Three members without a history, four items, and no more."""
    put_rows(sqlite_database, "items", *({"item_id": one, "price_cents": 400} for one in ITEMS))
    put_rows(sqlite_database, "members", *({"member_id": one} for one in MEMBERS))
    place = Place.of(sqlite_database, tmp_path)
    place.refresh()
    return read_features(place.settings.home)


def models(similarity: sp.csr_matrix | None = None) -> ItemModels:
    """Milk and its pack of six are one product; usual intervals are 10 days, of soap unknown."""
    return ItemModels(
        bundle_id="b",
        bundle_row=np.arange(4, dtype=np.int32),
        interval_days=np.array([10, 10, 10, np.nan], np.float32),
        product=np.array([0, 1, 1, 3], np.int32),
        prior_gaps=1.0,
        similarity=similarity,
        purchase_half_life_days=10.0,
        browse_half_life_days=5.0,
        by_kind=tuple(1.0 if kind is EventKind.PURCHASE else 0.5 for kind in KIND_CODES),
    )


def with_rhythms(features: MemberFeatures, *rows: tuple[int, int, int, int, int]) -> MemberFeatures:
    """Add rhythms: member, item, times, first and last purchase in days before TODAY."""
    table = np.array(sorted(rows, key=lambda row: row[1]), np.int32).reshape(-1, 5)
    member, item, times, first, last = table.T
    return replace(features, rhythms=Rhythms(member, item, times, TODAY - first, TODAY - last))


def due(features: MemberFeatures, within: int, *items: int) -> list[str]:
    wanted = np.zeros(4, bool)
    wanted[list(items)] = True
    found = due_members(features, models(), wanted, TODAY, within)
    return features.index.ids(np.flatnonzero(found))


def test_a_purchase_is_due_when_the_shrunk_interval_is_over(features: MemberFeatures) -> None:
    """Two gaps in 20 days and one usual gap of 10 are an interval of 10 days; the last purchase was 8 days ago."""
    known = with_rhythms(features, (0, BREAD, 3, 28, 8))
    assert due(known, 1, BREAD) == []
    assert due(known, 2, BREAD) == ["anna"]
    assert due(known, 2, MILK) == []


def test_packs_of_a_product_share_a_rhythm(features: MemberFeatures) -> None:
    """One purchase of each pack, 12 and 6 days ago: one gap of 6 and one usual of 10 are 8 days."""
    known = with_rhythms(features, (1, MILK, 1, 12, 12), (1, MILK_6, 1, 6, 6))
    assert due(known, 1, MILK) == []
    assert due(known, 2, MILK) == ["ben"]
    assert due(known, 2, MILK_6) == ["ben"]


def test_one_purchase_is_no_rhythm_and_long_ago_is_given_up(features: MemberFeatures) -> None:
    known = with_rhythms(features, (0, BREAD, 1, 10, 10), (1, BREAD, 2, 45, 35), (2, BREAD, 2, 40, 30))
    assert due(known, 30, BREAD) == ["cora"]
    assert due(with_rhythms(features, (0, SOAP, 5, 50, 10)), 30, SOAP) == []
    assert due(with_rhythms(features), 30, BREAD) == []


def test_products_that_are_due_earn_their_margin(features: MemberFeatures) -> None:
    """A quarter of 400 cents."""
    known = with_rhythms(features, (0, BREAD, 3, 28, 9), (0, MILK, 3, 28, 9), (1, BREAD, 3, 28, 9))
    members = np.array([True, False, True])
    rows, cents = due_products(known, models(), members, TODAY, 1)
    assert rows.tolist() == [0, 0]
    assert cents.tolist() == [100.0, 100.0]


def test_affinity_counts_acts_by_kind_age_and_likeness(sqlite_database: Database, tmp_path: Path) -> None:
    """Anna bought milk today, Ben bread ten days ago (a half life), Cora looked at bread today (half a weight)."""
    buy: dict[str, Any] = {"kind": EventKind.PURCHASE, "channel": "pos"}
    club = Club(members={name: {"member_id": name} for name in MEMBERS})
    club.events = [
        make_event("e1", "anna", item_id="milk", occurred_at=NOW, **buy),
        make_event("e2", "ben", item_id="bread", occurred_at=NOW.replace(day=20, month=2), **buy),
        make_event("e3", "cora", item_id="bread", occurred_at=NOW),
        make_event("e4", "cora", item_id="soap", occurred_at=NOW),
    ]
    club.put(sqlite_database)
    place = Place.of(sqlite_database, tmp_path)
    place.refresh(NOW.replace(hour=12))
    features = read_features(place.settings.home)
    ids = features.items.ids(np.arange(len(features.items)))
    likeness = np.zeros((len(ids), len(ids)), np.float32)
    likeness[ids.index("bread"), ids.index("milk")] = 0.4
    learned = replace(models(sp.csr_matrix(likeness)), bundle_row=np.arange(len(ids), dtype=np.int32))
    wanted = np.array([name == "milk" for name in ids])
    today = features.acts.days.first + len(features.acts.days.start) - 2
    score = affinity(features, learned, wanted, today)
    assert score == pytest.approx([OWN_ITEM, 0.5, 0.5])
