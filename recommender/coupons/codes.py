"""Till codes: short-lived numbers, printable as an EAN-13 barcode, that stand for a coupon."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.engine import Connection

from recommender.coupons.applying import hindrance
from recommender.coupons.coupon_rows import read_coupons
from recommender.coupons.refusals import Refusal
from recommender.coupons.wallet import Turn
from recommender.storage.statements import execute, fetch, marks
from recommender.storage.types import from_micros, to_micros

PREFIX = "29"
"""Numbers that begin so are free for use inside a retailer's own stores (GS1)."""
KEPT = timedelta(hours=1)
"""So long it is told of a code that it has run out, rather than that it is unknown."""
_RANDOM_DIGITS = 10
_ATTEMPTS = 8

_FORGET = "DELETE FROM coupon_codes WHERE coupon_id = ?"
_PRUNE = "DELETE FROM coupon_codes WHERE expires_at <= ?"
_INSERT = "INSERT INTO coupon_codes (code, coupon_id, expires_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"


@dataclass(frozen=True, slots=True)
class TillCode:
    """A number that stands for a coupon until it runs out."""

    code: str
    expires_at: datetime

    @property
    def digits(self) -> str:
        """The number in groups, to be read out."""
        return f"{self.code[0]} {self.code[1:7]} {self.code[7:]}"


def make_code(turn: Turn, coupon_id: str) -> TillCode | Refusal:
    """Make a code for a coupon, inside a write transaction; the one it had before ends."""
    coupon = read_coupons(turn.connection, [coupon_id]).get(coupon_id)
    if coupon is None:
        return Refusal.UNKNOWN_COUPON
    reason = hindrance(coupon, None, turn)
    if reason is not None:
        return reason
    execute(turn.connection, _FORGET, (coupon_id,))
    expires_at = turn.now + turn.rules.code
    for _ in range(_ATTEMPTS):
        code = with_check_digit(PREFIX + f"{secrets.randbelow(10**_RANDOM_DIGITS):0{_RANDOM_DIGITS}d}")
        if execute(turn.connection, _INSERT, (code, coupon_id, to_micros(expires_at))) == 1:
            return TillCode(code, expires_at)
    raise AssertionError("so many codes in use cannot be")


def coupons_of(connection: Connection, codes: Sequence[str], now: datetime) -> dict[str, str | Refusal]:
    """Return the coupon behind each code, or why there is none; spaces in a code do not matter."""
    plain = {code: code.replace(" ", "") for code in codes}
    if not plain:
        return {}
    wanted = sorted(set(plain.values()))
    statement = f"SELECT code, coupon_id, expires_at FROM coupon_codes WHERE code IN ({marks(len(wanted))})"
    found = {row[0]: (row[1], from_micros(row[2])) for row in fetch(connection, statement, wanted)}
    result: dict[str, str | Refusal] = {}
    for code, number in plain.items():
        coupon_id, expires_at = found.get(number, ("", now))
        if number not in found:
            result[code] = Refusal.UNKNOWN_CODE
        else:
            result[code] = coupon_id if now < expires_at else Refusal.CODE_EXPIRED
    return result


def prune_codes(connection: Connection, now: datetime) -> None:
    """Forget codes that ran out a while ago, inside a write transaction."""
    execute(connection, _PRUNE, (to_micros(now - KEPT),))


def with_check_digit(digits: str) -> str:
    """Return twelve digits with the check digit of EAN-13 behind them.

    Source: GS1 General Specifications, 7.9.
    """
    weighed = sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(digits))
    return f"{digits}{-weighed % 10}"
