"""The catalogue as columns: rows of the bundle stay, extra items follow in order of id."""

from __future__ import annotations

from dataclasses import replace
from zoneinfo import ZoneInfo

import numpy as np

from recommender.catalog import ALWAYS, NEVER, Catalog, ItemColumns, day_end_minute
from recommender.ids import IdIndex


def priced(*cents: int) -> ItemColumns:
    count = len(cents)
    return replace(ItemColumns.unknown(count), price_cents=np.array(cents), priced=np.ones(count, bool))


def prices(catalog: Catalog) -> dict[str, int]:
    columns = catalog.columns
    return {catalog.item_id(row): int(columns.price_cents[row]) for row in range(len(catalog)) if columns.priced[row]}


def test_a_new_catalogue_knows_nothing_of_its_items() -> None:
    catalog = Catalog.of(IdIndex.of(["b", "a"]))
    assert len(catalog) == 2
    assert (catalog.row("b"), catalog.row("z")) == (1, None)
    assert catalog.sellable(0, None).tolist() == [True, True]
    assert catalog.columns.available_from.tolist() == [ALWAYS] * 2
    assert catalog.columns.season_end.tolist() == [NEVER] * 2


def test_the_last_entry_of_an_id_wins() -> None:
    catalog = Catalog.of(IdIndex.of(["a"])).with_items(["a", "n", "a", "n"], priced(1, 2, 3, 4))
    assert prices(catalog) == {"a": 3, "n": 4}


def test_extra_items_keep_their_columns_when_others_arrive() -> None:
    first = Catalog.of(IdIndex.of(["c"])).with_items(["x", "m"], priced(10, 20))
    second = first.with_items(["a", "x"], priced(30, 11))
    assert prices(first) == {"m": 20, "x": 10}
    assert prices(second) == {"a": 30, "m": 20, "x": 11}
    assert [second.item_id(row) for row in range(4)] == ["c", "a", "m", "x"]
    assert second.rows([])[0].tolist() == []


def test_columns_cannot_be_changed_by_a_reader() -> None:
    catalog = Catalog.of(IdIndex.of(["a"])).with_items(["a"], priced(1))
    assert not catalog.columns.price_cents.flags.writeable


def test_a_local_day_ends_at_its_own_midnight() -> None:
    assert day_end_minute(0, ZoneInfo("UTC")) == 1440
    assert day_end_minute(0, ZoneInfo("Asia/Shanghai")) == 1440 - 8 * 60
    assert day_end_minute(-1, ZoneInfo("America/New_York")) == 5 * 60
