"""Writes the synthetic retailer as canonical tables in CSV, day by day: `python -m tests.benchmarks.exports`."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow.csv import CSVWriter, WriteOptions

from tests.benchmarks.retailer import CHANNELS, KINDS, ONLINE_STORE, PURCHASE, Lines, Retailer, Shape

START = datetime(2024, 1, 1, tzinfo=UTC)
NAMESPACE = "wechat_openid"
COLUMNS = (
    "event_id",
    "occurred_at",
    "kind",
    "channel",
    "member_id",
    "namespace",
    "identity_value",
    "item_id",
    "store_id",
    "order_id",
    "order_line",
    "status",
    "quantity",
    "unit_price_cents",
)


def member_ids(count: int) -> list[str]:
    """Return the ids of the members."""
    return [f"M{row:08d}" for row in range(count)]


def item_ids(count: int) -> list[str]:
    """Return the ids of the items."""
    return [f"69{row:010d}" for row in range(count)]


def store_ids(count: int) -> list[str]:
    """Return the ids of the stores."""
    return [f"S{row:04d}" for row in range(count)]


def write_exports(
    folder: Path,
    shape: Shape,
    seed: int,
    events_only: bool = False,
    start: datetime = START,
    every_pair: bool = False,
) -> None:
    """Write events.csv, and unless told otherwise members, identities, items, stores and inventory.

    Args:
        folder: where to.
        shape: how large the retailer is.
        seed: everything else follows from it.
        events_only: leave out the other tables.
        start: when the first day begins.
        every_pair: a row of stock for every store and item, not for what a store keeps only.
    """
    folder.mkdir(parents=True, exist_ok=True)
    retailer = Retailer(shape, seed)
    if not events_only:
        _write_members(folder, retailer)
        _write_items(folder, retailer, start)
        _write_stores(folder, retailer)
        _write_inventory(folder, shape, np.random.default_rng(seed + 1), every_pair)
    _write_events(folder / "events.csv", retailer, start)


def _write_events(path: Path, retailer: Retailer, start: datetime) -> None:
    shape = retailer.shape
    names = {
        "kind": pa.array(KINDS),
        "channel": pa.array(CHANNELS),
        "member_id": pa.array(member_ids(shape.members)),
        "identity_value": pa.array(_openids(shape.members)),
        "item_id": pa.array(item_ids(shape.items)),
        "store_id": pa.array(store_ids(shape.stores)),
    }
    schema = pa.schema([(column, pa.string()) for column in COLUMNS])
    written = 0
    with path.open("wb") as file:
        file.write((",".join(COLUMNS) + "\n").encode())
        options = WriteOptions(include_header=False, quoting_style="none")
        with CSVWriter(file, schema, write_options=options) as writer:
            for day, lines in retailer.days():
                day_start = start + timedelta(days=day)
                writer.write_table(_table(day_start, lines, written, names, retailer.price_cents, schema))
                written += len(lines)


def _table(
    day_start: datetime,
    lines: Lines,
    first: int,
    names: dict[str, pa.Array],
    price_cents: npt.NDArray[np.int64],
    schema: pa.Schema,
) -> pa.Table:
    known, by_identity = lines.member >= 0, lines.by_identity
    moments = pa.array(int(day_start.timestamp()) + lines.second, pa.int64()).cast(pa.timestamp("s"))
    ordered, bought = lines.order >= 0, lines.kind == PURCHASE
    status = np.where(lines.cancelled, 1, np.where(bought & (lines.channel > 0), 0, -1))
    columns = {
        "event_id": _numbered("E", np.arange(first, first + len(lines)), np.ones(len(lines), bool)),
        "occurred_at": pc.strftime(moments, "%Y-%m-%dT%H:%M:%SZ"),
        "kind": names["kind"].take(pa.array(lines.kind)),
        "channel": names["channel"].take(pa.array(lines.channel)),
        "member_id": _named(names["member_id"], lines.member, known & ~by_identity),
        "namespace": _named(pa.array([NAMESPACE]), np.zeros(len(lines), np.int64), by_identity),
        "identity_value": _named(names["identity_value"], lines.member, by_identity),
        "item_id": _named(names["item_id"], lines.item, lines.item >= 0),
        "store_id": _named(names["store_id"], lines.store, lines.store >= 0),
        "order_id": _numbered("O", lines.order, ordered),
        "order_line": _numbered("", lines.line, ordered),
        "status": _named(pa.array(["paid", "cancelled"]), status, status >= 0),
        "quantity": _numbered("", lines.quantity, ordered),
        "unit_price_cents": _numbered("", price_cents[lines.item], ordered),
    }
    return pa.table(columns, schema)


def _named(names: pa.Array, rows: npt.NDArray[np.int64], given: npt.NDArray[np.bool_]) -> pa.Array:
    """Return the name of each row, null where none is given."""
    return names.take(pa.array(rows, mask=~given))


def _numbered(prefix: str, numbers: npt.NDArray[np.int64], given: npt.NDArray[np.bool_]) -> pa.Array:
    """Return each number as text behind a prefix, null where none is given."""
    texts = pa.array(numbers, mask=~given).cast(pa.string())
    return pc.binary_join_element_wise(prefix, texts, "") if prefix else texts


def _openids(count: int) -> list[str]:
    return [f"o{row * 2654435761 % 2**32:010d}{row:08d}" for row in range(count)]


def _write_rows(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


def _write_members(folder: Path, retailer: Retailer) -> None:
    members, stores = member_ids(retailer.shape.members), store_ids(retailer.shape.stores)
    rows = ((member, stores[home]) for member, home in zip(members, retailer.home_store, strict=True))
    _write_rows(folder / "members.csv", ("member_id", "home_store_id"), rows)
    links = ((NAMESPACE, openid, member) for openid, member in zip(_openids(len(members)), members, strict=True))
    _write_rows(folder / "identities.csv", ("namespace", "value", "member_id"), links)


def _write_items(folder: Path, retailer: Retailer, start: datetime) -> None:
    shape = retailer.shape
    facts = zip(item_ids(shape.items), retailer.category, retailer.price_cents, retailer.first_day, strict=True)
    rows = (
        (
            item_id,
            f"Item {number}",
            f"department {category % 12} > category {category}",
            f"brand {number * 7919 % max(shape.items // 20, 1)}",
            price,
            (start + timedelta(days=int(day))).isoformat() if day else "",
        )
        for number, (item_id, category, price, day) in enumerate(facts)
    )
    header = ("item_id", "title", "category", "brand", "price_cents", "available_from")
    _write_rows(folder / "items.csv", header, rows)


def _write_stores(folder: Path, retailer: Retailer) -> None:
    cities = max(retailer.shape.stores // 10, 5)
    rows = (
        (store_id, f"Store {row}", f"city {row % cities}", "app" if row == ONLINE_STORE else "pos")
        for row, store_id in enumerate(store_ids(retailer.shape.stores))
    )
    _write_rows(folder / "stores.csv", ("store_id", "name", "city", "channel"), rows)


def _write_inventory(folder: Path, shape: Shape, rng: np.random.Generator, every_pair: bool) -> None:
    """Write stock: every store keeps four items in five, or all of them; one in ten is sold out."""
    items = pa.array(item_ids(shape.items))
    schema = pa.schema([("store_id", pa.string()), ("item_id", pa.string()), ("on_hand", pa.int64())])
    options = WriteOptions(quoting_style="none")
    with CSVWriter(folder / "inventory.csv", schema, write_options=options) as writer:
        for store_id in store_ids(shape.stores):
            kept = np.ones(shape.items, bool) if every_pair else rng.random(shape.items) < 0.8
            listed = np.flatnonzero(kept)
            stock = rng.integers(1, 200, len(listed)) * (rng.random(len(listed)) < 0.9)
            columns = [pa.repeat(store_id, len(listed)), items.take(pa.array(listed)), pa.array(stock)]
            writer.write_table(pa.table(columns, schema=schema))


def main(folder: str, events: str, seed: str, *sizes: str) -> None:
    """Write a shop of so many events; or one of given numbers of members, items and stores that ends yesterday."""
    if not sizes:
        write_exports(Path(folder), Shape.of(int(events)), int(seed))
        return
    shape = Shape.retail(*map(int, sizes), events=int(events))
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    write_exports(Path(folder), shape, int(seed), start=today - timedelta(days=shape.days), every_pair=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
