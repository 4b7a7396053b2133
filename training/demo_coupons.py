"""The demo's coupons: a plan of who gets which within a budget, and one member's, with what speaks for them.

Offers are those valid at the end of the data. The plan is made by `memberwise offers allocate`, as a user would. The
retailer's own system issued these coupons and they have ended since, so a member's are shown from the plan: the service
answers with coupons that can be claimed now.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow.parquet
from rich.table import Table

from recommender.bundle import Bundle
from recommender.coupons.models import CouponModels
from recommender.coupons.offers import Offer
from recommender.coupons.store import read_offers
from recommender.errors import MemberwiseError
from recommender.events import member_subject
from recommender.history import Histories
from recommender.interactions import PURCHASE_CODE
from recommender.storage.catalog import read_own
from recommender.storage.statements import fetch
from recommender.storage.types import to_micros
from recommender.touches import touches_of
from training.demo_service import COMMAND, answer_language
from training.place import Place
from training.printing import wide_console
from training.progress import Progress

BUDGET_CENTS = 5000
"""Discount to grant to all households; to a share of them, that share of it."""
PER_MEMBER = 3
PLAN = "plan.parquet"
_HEADERS = ("coupon", "takes off", "until", "used (chance)", "earns (assumed)", "why")
_CAMPAIGNS = "SELECT campaign_id, offers FROM campaigns WHERE starts_at <= ? AND ends_at > ? ORDER BY campaign_id"
_RESTRICTED = "SELECT item_id FROM items WHERE restricted_class IS NOT NULL"
_BOUGHT = {
    "en": "Bought on {days} day(s), last on {last}: {title}",
    "zh": "买过 {days} 天，最近一次是 {last}：{title}",
}
_OTHERS = {"en": " and {count} more", "zh": "，另有 {count} 种"}
_NEVER = {"en": "Nothing that it is for was bought so far", "zh": "适用商品还没有买过"}


@dataclass(frozen=True, slots=True)
class PlannedCoupon:
    """A coupon that the plan gives to a member: incremental profit in cents, and the chance that it is used."""

    offer_id: str
    profit_cents: float
    redemption: float


@dataclass(frozen=True, slots=True)
class Bought:
    """What a member bought of the goods of an offer: on how many days, how many items, which most often, when last."""

    days: int
    items: int
    most_row: int
    last: date


@dataclass(frozen=True, slots=True)
class CouponPlan:
    """What the demo says of coupons: whose are shown, these as a table, and the lines about the plan for everybody."""

    member_id: str
    table: Table | None
    lines: str

    def show(self) -> None:
        """Print the member's coupons, then the plan."""
        console = wide_console()
        console.print()
        if self.table is not None:
            console.print(self.table)
            console.print()
        console.print(self.lines, highlight=False, soft_wrap=True, markup=False)


def plan_coupons(
    environ: Mapping[str, str], place: Place, bundle: Bundle, budget_cents: int, folder: Path, progress: Progress
) -> CouponPlan:
    """Plan who gets which coupon, and look at the member whose coupons are expected to earn most.

    Args:
        environ: the environment of the command that plans.
        budget_cents: discount that may be granted.
        folder: where the plan goes.
    Raises: MemberwiseError with what `memberwise offers allocate` says if it fails.
    """
    if CouponModels.from_bundle(bundle) is None:
        return CouponPlan(busiest_member(bundle), None, "No coupons: these households have used too few to learn from.")
    said = _allocate(environ, _command(bundle, budget_cents, folder), folder, progress)
    coupons = read_plan(folder / PLAN)
    lines = f"{_chosen(place, bundle)}\n{said.rstrip()}"
    if not coupons:
        return CouponPlan(busiest_member(bundle), None, lines)
    member_id = max(sorted(coupons), key=lambda member: sum(one.profit_cents for one in coupons[member]))
    return CouponPlan(member_id, _coupon_table(place, bundle, member_id, coupons[member_id]), lines)


def busiest_member(bundle: Bundle) -> str:
    """Return the member with the longest history in a bundle."""
    longest = int(np.diff(bundle.histories.indptr).argmax())
    return bundle.subjects.id(longest).removeprefix(member_subject(""))


def read_plan(file: Path) -> dict[str, list[PlannedCoupon]]:
    """Read the coupons of all members who get any, most profitable first."""
    found: dict[str, list[PlannedCoupon]] = {}
    for row in pyarrow.parquet.read_table(file).to_pylist():
        if row["offer_id"]:
            coupon = PlannedCoupon(row["offer_id"], row["expected_profit_cents"], row["redemption_probability"])
            found.setdefault(row["member_id"], []).append(coupon)
    return {member: sorted(coupons, key=lambda one: -one.profit_cents) for member, coupons in found.items()}


def bought_of(history: Histories, rows: Sequence[int], zone: ZoneInfo) -> Bought | None:
    """Return what a history of one segment holds of some items; None if none of them was bought."""
    touches = {row: touch for row, touch in touches_of(history, rows).items() if touch.bought}
    if not touches:
        return None
    most = min(touches, key=lambda row: (-touches[row].bought, row))
    wanted = np.isin(history.item_row, list(touches)) & (history.kind == PURCHASE_CODE)
    days = {_day(minute, zone) for minute in history.minute[wanted].tolist()}
    return Bought(len(days), len(touches), most, max(days))


def _command(bundle: Bundle, budget_cents: int, folder: Path) -> list[str]:
    options = {
        "--at": bundle.trained_until.isoformat(),
        "--budget": budget_cents,
        "--per-member": PER_MEMBER,
        "--explore": 0,
        "--bundle": bundle.bundle_id,
        "--out": folder / PLAN,
    }
    return ["offers", "allocate", *(str(word) for option in options.items() for word in option)]


def _allocate(environ: Mapping[str, str], command: list[str], folder: Path, progress: Progress) -> str:
    """Run the command, unless it was run with the same options before; return what it has printed."""
    note = folder / "plan.json"
    noted = json.loads(note.read_text("utf-8")) if note.exists() and (folder / PLAN).exists() else {}
    if noted.get("command") == command:
        return str(noted["said"])
    words = [sys.executable, "-c", COMMAND, *command]
    with progress.stage("plan coupons"):
        done = subprocess.run(words, env=dict(environ), capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().rpartition("\n")[2]
        raise MemberwiseError(f"The coupons were not planned. {said}", value=" ".join(command))
    note.write_text(json.dumps({"command": command, "said": done.stdout}), "utf-8")
    return done.stdout


def _chosen(place: Place, bundle: Bundle) -> str:
    """Say which offers were planned with."""
    at = bundle.trained_until
    with place.database.read() as connection:
        offers = [offer for offer in read_offers(connection).offers.values() if _valid(offer, at)]
        campaigns = [row[0] for row in fetch(connection, _CAMPAIGNS, (to_micros(at), to_micros(at)))]
    return (
        f"Who gets which coupon: the {len(offers)} offers valid at the end of the data"
        f" ({at.astimezone(place.settings.zone):%Y-%m-%d %H:%M}; campaigns {', '.join(campaigns)}), at most"
        f" {PER_MEMBER} for each household."
    )


def _coupon_table(place: Place, bundle: Bundle, member_id: str, coupons: Sequence[PlannedCoupon]) -> Table:
    """Lay a member's coupons out, with what was bought of their goods before."""
    zone, items = place.settings.zone, bundle.recommender().items
    row = bundle.subjects.row(member_subject(member_id))
    history = Histories.empty(1) if row is None else bundle.histories.of(row)
    table = Table(*_HEADERS, title=f"Coupons for member {member_id}", box=None)
    with place.database.read() as connection:
        restricted = {item for (item,) in fetch(connection, _RESTRICTED)}
        offers = read_offers(connection, [coupon.offer_id for coupon in coupons]).offers
        for coupon in coupons:
            offer = offers[coupon.offer_id]
            rows, _ = items.rows(sorted(offer.scope.items - restricted))
            bought = bought_of(history, rows.tolist(), zone)
            title = "" if bought is None else read_own(connection, [items.id(bought.most_row)])[0].title
            worth = f"{coupon.redemption:.1%}", _money(coupon.profit_cents)
            table.add_row(*_terms(offer, zone), *worth, _why(bought, title or "", answer_language()))
    return table


def _terms(offer: Offer, zone: ZoneInfo) -> tuple[str, str, str]:
    value = offer.assumed_value_cents if offer.value is None else offer.value
    last = None if offer.valid_until is None else offer.valid_until - timedelta.resolution
    until = "" if last is None else f"{last.astimezone(zone):%Y-%m-%d}"
    return offer.title or offer.offer_id, "" if value is None else _money(value), until


def _why(bought: Bought | None, title: str, language: str) -> str:
    if bought is None:
        return _NEVER[language]
    text = _BOUGHT[language].format(days=bought.days, last=bought.last, title=title)
    return text + (_OTHERS[language].format(count=bought.items - 1) if bought.items > 1 else "")


def _valid(offer: Offer, at: datetime) -> bool:
    return (offer.valid_from is None or offer.valid_from <= at) and (
        offer.valid_until is None or offer.valid_until > at
    )


def _day(minute: int, zone: ZoneInfo) -> date:
    return datetime.fromtimestamp(60 * minute, zone).date()


def _money(cents: float) -> str:
    return f"{cents / 100:.2f}"
