"""CSV files that tills write: settlements to compare, and redemptions from times without a connection."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from datetime import datetime, tzinfo
from pathlib import Path

from recommender.coupons.offers import MAX_CENTS
from recommender.coupons.offline import OfflineRedemption
from recommender.coupons.reconcile import Settled
from recommender.errors import InputError
from recommender.ids import check_id

SETTLED = ("coupon_id", "order_id", "discount_cents", "redeemed_at")
OFFLINE = ("redemption_id", *SETTLED)


def read_settlement(path: Path, zone: tzinfo) -> list[Settled]:
    """Read a settlement: columns of SETTLED, and `store_id` if there is one.

    Args:
        zone: of times without an offset.
    Raises: InputError that names the line and the column.
    """
    return [Settled(*_sale(path, number, row, zone), row.get("store_id") or "") for number, row in _rows(path, SETTLED)]


def read_offline(path: Path, zone: tzinfo) -> list[OfflineRedemption]:
    """Read offline redemptions: columns of OFFLINE, and `store_id` and `channel` if there are.

    Raises: InputError that names the line and the column.
    """
    found = []
    for number, row in _rows(path, OFFLINE):
        coupon_id, order_id, cents, at = _sale(path, number, row, zone)
        redemption_id = _id(path, number, "redemption_id", row)
        found.append(
            OfflineRedemption(
                redemption_id, coupon_id, order_id, at, cents, row.get("store_id") or None, row.get("channel") or None
            )
        )
    return found


def _rows(path: Path, wanted: tuple[str, ...]) -> Iterator[tuple[int, Mapping[str, str]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = [name for name in wanted if name not in (reader.fieldnames or ())]
            if missing:
                raise InputError(f"The file {path.name} lacks a column.", field=missing[0], accepted=", ".join(wanted))
            for row in reader:
                yield reader.line_num, row
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"The file cannot be read: {error}.", field="file", value=path.name) from error


def _sale(path: Path, number: int, row: Mapping[str, str], zone: tzinfo) -> tuple[str, str, int, datetime]:
    text = (row.get("discount_cents") or "").strip()
    if not text.isascii() or not text.isdigit() or int(text) > MAX_CENTS:
        raise _wrong(path, number, "discount_cents", text, f"a whole number of cents, 0 to {MAX_CENTS}")
    try:
        at = datetime.fromisoformat((row.get("redeemed_at") or "").strip())
    except ValueError:
        raise _wrong(path, number, "redeemed_at", row.get("redeemed_at"), "an ISO 8601 time") from None
    at = at if at.tzinfo is not None else at.replace(tzinfo=zone)
    return _id(path, number, "coupon_id", row), _id(path, number, "order_id", row), int(text), at


def _id(path: Path, number: int, name: str, row: Mapping[str, str]) -> str:
    try:
        return check_id((row.get(name) or "").strip())
    except InputError as error:
        raise _wrong(path, number, name, row.get(name), error.accepted) from None


def _wrong(path: Path, number: int, name: str, value: str | None, accepted: str | None) -> InputError:
    message = f"Line {number} of {path.name} cannot be read; nothing was done."
    return InputError(message, field=name, value=value, accepted=accepted)
