"""The figures of a campaign's report once more, from the raw tables, in plain Python that shares no code with it.

No array, no SQL beyond SELECT *, no function of the product: lists, dictionaries and sums; scipy only for the t
distribution. What it computes follows docs/measurement.md.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from scipy import stats

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Raw:
    """The tables as they are stored, and all events that ever happened."""

    members: Sequence[Row]
    links: Sequence[Row]
    items: Sequence[Row]
    offers: Sequence[Row]
    groups: Sequence[Row]
    messages: Sequence[Row]
    coupons: Sequence[Row]
    ledger: Sequence[Row]
    elsewhere: Sequence[Row]
    events: Sequence[Any]
    opted_out: set[str]


@dataclass
class Household:
    treated: bool
    members: int
    after: dict[str, float]
    before: dict[str, float]


def purchases(raw: Raw) -> list[dict[str, Any]]:
    """Every line that counts, with the member, what was paid and what was earned."""
    owner = {f"{row['namespace']}:{row['value']}": row["member_id"] for row in raw.links}
    item_of = {row["item_id"]: row for row in raw.items}
    given_back: dict[tuple[str, str], float] = defaultdict(float)
    sold: dict[tuple[str, str], float] = defaultdict(float)
    lines = [
        one for one in raw.events if one.kind == "purchase" and one.status not in ("cancelled", "unpaid", "pending")
    ]
    for one in raw.events:
        if one.kind == "return":
            given_back[one.order_id, one.item_id] += one.quantity
    for one in lines:
        if one.order_id is not None:
            sold[one.order_id, one.item_id] += one.quantity
    found = []
    for one in lines:
        key = (one.order_id, one.item_id)
        left = 1.0 if one.order_id is None else 1 - min(given_back[key] / sold[key], 1)
        if left == 0:
            continue
        item = item_of[one.item_id]
        price = item["price_cents"] if one.unit_price_cents is None else one.unit_price_cents
        paid = max(price * one.quantity - (one.discount_cents or 0), 0) * left
        cost = item["cost_cents"]
        earned = paid * 0.25 if cost is None else paid - cost * one.quantity * left
        subject = one.subject
        found.append(
            {
                "member": owner.get(subject) or subject.removeprefix("member:"),
                "at": one.occurred_at,
                "paid": half_up(paid),
                "margin": half_up(earned),
                "order": one.order_id or (subject, int(one.occurred_at.timestamp()) // 60),
                "item": item,
            }
        )
    return found


def half_up(value: float) -> int:
    """Round halves away from zero, as databases do."""
    return int(math.copysign(math.floor(abs(value) + 0.5), value))


def households(raw: Raw, window: timedelta, contact: float, zone: ZoneInfo) -> dict[str, Household]:
    """Who is compared, with what each household did before and after."""
    arm_of = {row["member_id"]: row for row in raw.groups}
    kinds = {row["member_id"]: row["kind"] for row in raw.members}
    start: dict[str, datetime] = {}
    sent: dict[str, int] = defaultdict(int)
    for row in raw.messages:
        if row["test"] or row["member_id"] not in arm_of:
            continue
        member = row["member_id"]
        start[member] = min(start.get(member, row["created_at"]), row["created_at"])
        sent[member] += row["state"] in ("sent", "delivered")
    start = {one: at for one, at in start.items() if kinds[one] == "consumer" and one not in raw.opted_out}
    start = {one: at for one, at in start.items() if arm_of[one]["arm"] != "global_holdout"}
    arms: dict[str, set[bool]] = defaultdict(set)
    for member in start:
        arms[arm_of[member]["unit"]].add(arm_of[member]["arm"] == "treated")
    start = {one: at for one, at in start.items() if len(arms[arm_of[one]["unit"]]) == 1}
    found: dict[str, Household] = {}
    for member in start:
        unit = arm_of[member]["unit"]
        one = found.setdefault(
            unit, Household(arm_of[member]["arm"] == "treated", 0, defaultdict(float), defaultdict(float))
        )
        one.members += 1
        one.after["cost"] += sent[member] * contact
    _add_purchases(raw, found, start, arm_of, window, zone)
    _add_coupons(raw, found, start, arm_of, window)
    for one in found.values():
        one.after["margin"] += one.after["discount"]
        one.after["profit"] = one.after["margin"] - one.after["cost"]
        one.before["profit"] = one.before["margin"]
    return found


def _add_purchases(
    raw: Raw,
    found: dict[str, Household],
    start: Mapping[str, datetime],
    arm_of: Mapping[str, Row],
    window: timedelta,
    zone: ZoneInfo,
) -> None:
    orders: dict[tuple[str, bool], set[Any]] = defaultdict(set)
    days: dict[tuple[str, bool], set[Any]] = defaultdict(set)
    covered: set[str] = set()
    scopes = {"dairy": lambda item: item["category"] == "food > dairy", "all": lambda item: True}
    for line in purchases(raw):
        member = line["member"]
        if member not in start or not start[member] - window <= line["at"] < start[member] + window:
            continue
        later = line["at"] >= start[member]
        one = found[arm_of[member]["unit"]]
        sums = one.after if later else one.before
        sums["sales"] += line["paid"]
        sums["margin"] += line["margin"]
        orders[member, later].add(line["order"])
        days[member, later].add(line["at"].astimezone(zone).date())
        offer = arm_of[member]["offer_id"]
        if later and line["item"]["restricted_class"] is None and scopes[offer](line["item"]):
            covered.add(member)
    for name, kept in (("orders", orders), ("visits", days)):
        for (member, later), things in kept.items():
            one = found[arm_of[member]["unit"]]
            (one.after if later else one.before)[name] += len(things)
    for member in covered:
        found[arm_of[member]["unit"]].after["buyers"] += 1


def _add_coupons(
    raw: Raw, found: dict[str, Household], start: Mapping[str, datetime], arm_of: Mapping[str, Row], window: timedelta
) -> None:
    owner = {row["coupon_id"]: row for row in raw.coupons}
    own = {row["offer_id"]: 1 - (row["funded_share"] or 0) for row in raw.offers}
    uses = [
        (owner[row["coupon_id"]]["member_id"], row["offer_id"], owner[row["coupon_id"]]["discount_cents"], row["at"])
        for row in raw.ledger
        if row["entry"] == "redeem"
    ]
    uses += [(row["member_id"], row["offer_id"], row["discount_cents"], row["redeemed_at"]) for row in raw.elsewhere]
    redeemers = set()
    for member, offer, cents, at in uses:
        if member in start and start[member] <= at < start[member] + window:
            one = found[arm_of[member]["unit"]]
            one.after["discount"] += cents
            one.after["cost"] += cents * own[offer]
            redeemers.add(member)
    for member in redeemers:
        found[arm_of[member]["unit"]].after["redeemers"] += 1


def adjusted(ones: Sequence[Household], name: str) -> list[float]:
    """The outcome with what the time before foretold taken out: least squares within the groups, solved by hand."""
    names = list(dict.fromkeys((name, "sales", "visits")))
    columns = [[one.after[name] for one in ones], *([one.before[key] for one in ones] for key in names)]
    within = []
    for column in columns:
        mean = {}
        for treated in (True, False):
            rows = [place for place, one in enumerate(ones) if one.treated is treated]
            mean[treated] = sum(column[place] for place in rows) / sum(ones[place].members for place in rows)
        within.append([value - one.members * mean[one.treated] for value, one in zip(column, ones, strict=True)])
    left = [[dot(one, other) for other in within[1:]] for one in within[1:]]
    theta = solve(left, [dot(one, within[0]) for one in within[1:]])
    everybody = sum(one.members for one in ones)
    found = list(columns[0])
    for weight, column in zip(theta, columns[1:], strict=True):
        mean_all = sum(column) / everybody
        found = [
            value - weight * (before - one.members * mean_all)
            for value, before, one in zip(found, column, ones, strict=True)
        ]
    return found


def effect(ones: Sequence[Household], outcome: Sequence[float]) -> tuple[float, float, float, float]:
    """Difference per member, its bounds, and its standard error."""
    means, parts = {}, {}
    for treated in (True, False):
        rows = [place for place, one in enumerate(ones) if one.treated is treated]
        whole = sum(ones[place].members for place in rows)
        means[treated] = sum(outcome[place] for place in rows) / whole
        squares = sum((outcome[place] - means[treated] * ones[place].members) ** 2 for place in rows)
        parts[treated] = (squares / whole**2 * len(rows) / (len(rows) - 1), len(rows) - 1)
    variance = sum(part for part, _ in parts.values())
    freedom = variance**2 / sum(part**2 / free for part, free in parts.values())
    half = float(stats.t.ppf(0.975, freedom)) * math.sqrt(variance)
    gap = means[True] - means[False]
    return gap, gap - half, gap + half, math.sqrt(variance)


def return_bounds(ones: Sequence[Household], margin: Sequence[float]) -> tuple[float, float, float]:
    """Return iROI and its bounds: the returns r for which margin - r x cost cannot be told from none, found by halving.

    The quantile is that of the margin's degrees of freedom.
    """
    cost = [one.after["cost"] for one in ones]
    gained, spent = effect(ones, margin), effect(ones, cost)
    point = gained[0] / spent[0]
    quantile = (gained[2] - gained[0]) / gained[3]

    def outside(ratio: float) -> bool:
        rest = effect(ones, [m - ratio * c for m, c in zip(margin, cost, strict=True)])
        return abs(rest[0]) > quantile * rest[3]

    bounds = []
    for direction in (-1, 1):
        inner, outer = point, point + direction
        while not outside(outer):
            outer = point + (outer - point) * 2
        for _ in range(80):
            middle = (inner + outer) / 2
            inner, outer = (inner, middle) if outside(middle) else (middle, outer)
        bounds.append(outer - 1)
    return point - 1, bounds[0], bounds[1]


def anyway(ones: Sequence[Household]) -> float:
    """Share of redeemers who would have bought without the offer, before it is cut to 0 and 1."""
    share = {}
    for treated in (True, False):
        group = [one for one in ones if one.treated is treated]
        share[treated] = sum(one.after["buyers"] for one in group) / sum(one.members for one in group)
    treated_group = [one for one in ones if one.treated]
    used = sum(one.after["redeemers"] for one in treated_group) / sum(one.members for one in treated_group)
    return 1 - (share[True] - share[False]) / used


def dot(left: Sequence[float], right: Sequence[float]) -> float:
    return sum(one * other for one, other in zip(left, right, strict=True))


def solve(left: list[list[float]], right: list[float]) -> list[float]:
    """Gaussian elimination with pivots."""
    rows = [[*row, value] for row, value in zip(left, right, strict=True)]
    size = len(rows)
    for place in range(size):
        best = max(range(place, size), key=lambda at: abs(rows[at][place]))
        rows[place], rows[best] = rows[best], rows[place]
        for other in range(size):
            if other != place:
                factor = rows[other][place] / rows[place][place]
                rows[other] = [a - factor * b for a, b in zip(rows[other], rows[place], strict=True)]
    return [rows[place][size] / rows[place][place] for place in range(size)]
