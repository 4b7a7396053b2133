"""The soak's ledger finds what is wrong with a slate, and nothing in a good one."""

from __future__ import annotations

from typing import Any

import pytest

from tests.benchmarks.choices import Size, Sizes
from tests.benchmarks.soak_people import Ledger

ASKED = {"scenario": "home", "store_id": "s1", "count": 2, "exclude": ["x"]}


def answer(*item_ids: str) -> dict[str, Any]:
    items = [{"item_id": item_id, "position": position} for position, item_id in enumerate(item_ids, 1)]
    return {"bundle_id": "b", "recommendation_id": "r", "items": items}


def faults(ledger: Ledger, *item_ids: str, sent_at: float = 100.0, **asked: object) -> set[str]:
    ledger.note_slate("home", ASKED | asked, answer(*item_ids), sent_at)
    return {what for _, what in ledger.wrong}


def test_a_good_slate_has_no_faults() -> None:
    ledger = Ledger()
    assert faults(ledger, "a", "b") == set()
    assert (ledger.bundles["b"], ledger.served, ledger.examples) == (1, ["r"], [])


@pytest.mark.parametrize(("items", "fault"), [(("a",), "short"), (("a", "a"), "duplicates"), (("a", "x"), "excluded")])
def test_faults_are_found(items: tuple[str, ...], fault: str) -> None:
    assert faults(Ledger(), *items) == {fault}


def test_what_was_written_counts_after_a_second() -> None:
    ledger = Ledger()
    ledger.sold_out["s1", "a"] = 99.5
    ledger.hidden["b"] = 99.5
    assert faults(ledger, "a", "b", sent_at=100.0) == set()
    assert faults(ledger, "a", "b", sent_at=100.6) == {"sold out", "hidden"}


def test_another_store_and_members_with_few_items_are_no_fault() -> None:
    ledger = Ledger()
    ledger.sold_out["s2", "a"] = 0.0
    assert faults(ledger, "a", "b") == set()
    assert faults(ledger, "a", scenario="buy_again") == set()


def test_sizes_are_read_with_their_units() -> None:
    assert Sizes().convert("1M,300k, 50", None, None) == (50, 300_000, 1_000_000)
    assert Size().convert("0.1M", None, None) == 100_000
