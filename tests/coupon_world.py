"""A made-up retailer whose truth is known: what every offer changes for every member; and its canonical tables.

Members have needs by category and a sensitivity to prices that nobody sees; both show, dimly, in what they buy.
Past campaigns gave each member one offer by lot, or none. A coupon is used by those who buy anyway, and makes others
come who would not have: they then also buy other things. What that is worth is known in expectation.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

FloatVector = npt.NDArray[np.float64]
FloatMatrix = npt.NDArray[np.float64]

START = datetime(2025, 1, 6, tzinfo=UTC)
CATEGORIES = 12
ITEMS_EACH = 12
OFFERS = 10
WEEKS = 24
CAMPAIGN_WEEKS = (12, 16, 20)
"""When past campaigns began; the one to be planned begins at WEEKS."""
WINDOW_WEEKS = 2
HOLDOUT = 0.25
USE = 0.75
"""Chance that who buys anyway uses the coupon."""
SPILL = 1.5
"""Units of other goods, on average, that a visit brings that only a coupon caused."""


@dataclass(frozen=True, slots=True)
class Offers:
    """Offers of one campaign: the category each is for, cents off and the least spend; float64 or int64, (k,)."""

    category: npt.NDArray[np.int64]
    value: FloatVector
    minimum: FloatVector


@dataclass(frozen=True, slots=True)
class World:
    """A retailer.

    need: float64, (n, CATEGORIES), purchases a week.  sensitivity: float64, (n,), 0 to 1.
    price, cost: float64, (CATEGORIES, ITEMS_EACH), cents.  taste: int64, (n, CATEGORIES), the favourite item of each.
    """

    seed: int
    need: FloatMatrix
    sensitivity: FloatVector
    price: FloatMatrix
    cost: FloatMatrix
    taste: npt.NDArray[np.int64]

    @property
    def members(self) -> int:
        """How many members there are."""
        return len(self.need)

    @property
    def until(self) -> datetime:
        """When the campaign to be planned begins."""
        return START + timedelta(weeks=WEEKS)

    def chances(self, offers: Offers) -> tuple[FloatMatrix, FloatMatrix]:
        """Return the chances to buy in an offer's category without it, and to come only because of it; (n, k)."""
        need = self.need[:, offers.category]
        buys = 1 - np.exp(-need * WINDOW_WEEKS)
        strength = offers.value / (self.price[offers.category].mean(axis=1) + 0.5 * offers.minimum)
        pull = -3.2 + 0.8 * np.log(need + 0.02) + 4.0 * self.sensitivity[:, None] * np.minimum(strength, 1.5) + 1.6
        return buys, (1 - buys) / (1 + np.exp(-pull))

    def truth(self, offers: Offers) -> tuple[FloatMatrix, FloatMatrix]:
        """Return incremental profit and cost expected of giving each offer to each member, cents, (n, k)."""
        buys, comes = self.chances(offers)
        margin = (self.price - self.cost).mean(axis=1)
        uses = buys * USE + comes
        cost = uses * offers.value
        spilled = SPILL * float(margin.mean())
        return comes * (margin[offers.category] + spilled) - cost, cost


def make_world(members: int, seed: int) -> World:
    """Draw a retailer."""
    rng = np.random.default_rng(seed)
    activity = rng.gamma(2.0, 0.5, (members, 1))
    likes = rng.gamma(0.5, 1.0, (members, CATEGORIES)) * rng.gamma(3.0, 1 / 3, CATEGORIES)
    price = np.exp(rng.normal(6.3, 0.35, (CATEGORIES, 1)) + rng.normal(0, 0.25, (CATEGORIES, ITEMS_EACH)))
    return World(
        seed,
        activity * likes * 0.35,
        rng.beta(1.5, 2.5, members),
        np.round(price),
        np.round(price * rng.uniform(0.45, 0.7, (CATEGORIES, 1))),
        rng.integers(0, ITEMS_EACH, (members, CATEGORIES)),
    )


def make_offers(world: World, number: int) -> Offers:
    """Draw the offers of a campaign."""
    rng = np.random.default_rng((world.seed, number))
    category = rng.permutation(CATEGORIES)[:OFFERS]
    middle = world.price[category].mean(axis=1)
    value = np.round(middle * rng.choice([0.15, 0.25, 0.4, 0.6], OFFERS))
    return Offers(category, value, np.round(middle * rng.choice([0.0, 0.0, 0.5], OFFERS)))


def write_world(world: World, folder: Path) -> None:
    """Write the canonical tables of a retailer, all that happened before `until`, and the campaign to be planned."""
    rng = np.random.default_rng((world.seed, 10_000))
    folder.mkdir(parents=True, exist_ok=True)
    book = [make_offers(world, number) for number in range(len(CAMPAIGN_WEEKS) + 1)]
    parts = [_usual(world, rng)]
    sends: list[dict[str, object]] = []
    redemptions: list[dict[str, object]] = []
    for number, week in enumerate(CAMPAIGN_WEEKS):
        parts.append(_campaign(world, book[number], number, week, rng, sends, redemptions))
    lines = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    _write(folder / "events.parquet", _events(world, lines, rng))
    _write(folder / "sends.parquet", pa.Table.from_pylist(sends))
    _write(folder / "redemptions.parquet", pa.Table.from_pylist(redemptions))
    _write_catalogue(world, book, folder)


def member_ids(world: World) -> list[str]:
    """Return the ids of all members, in order of their rows."""
    return [f"m{number:06d}" for number in range(world.members)]


def _usual(world: World, rng: np.random.Generator) -> dict[str, npt.NDArray[np.float64]]:
    """Return what members buy without coupons; on promotions those who mind prices buy more."""
    found = []
    for week in range(WEEKS):
        promoted = rng.random(CATEGORIES) < 0.25
        rate = world.need * np.where(promoted, 0.8 + 0.8 * world.sensitivity[:, None], 1.0)
        member, category = np.nonzero(bought := rng.poisson(rate))
        times = bought[member, category]
        member, category = np.repeat(member, times), np.repeat(category, times)
        found.append(_lines(member, category, week, rng, np.where(promoted[category], 0.2, 0.0)))
    return {name: np.concatenate([part[name] for part in found]) for name in found[0]}


def _campaign(
    world: World,
    offers: Offers,
    number: int,
    week: int,
    rng: np.random.Generator,
    sends: list[dict[str, object]],
    redemptions: list[dict[str, object]],
) -> dict[str, npt.NDArray[np.float64]]:
    """Draw who got what in a past campaign; return what was bought because of it."""
    chance = (1 - HOLDOUT) / OFFERS
    drawn = rng.choice(OFFERS + 1, world.members, p=[chance] * OFFERS + [HOLDOUT])
    buys, comes = world.chances(offers)
    sent_at = START + timedelta(weeks=week)
    names = member_ids(world)
    for member, offer in enumerate(drawn.tolist()):
        held = offer == OFFERS
        sends.append(
            {
                "campaign_id": f"c{number}",
                "member_id": names[member],
                "offer_id": None if held else f"o{number}-{offer}",
                "sent_at": sent_at,
                "arm": "holdout" if held else "treated",
                "propensity": HOLDOUT if held else chance,
            }
        )
    member = np.flatnonzero(drawn < OFFERS)
    offer = drawn[member]
    roll = rng.random(len(member))
    uses, more = buys[member, offer] * USE, comes[member, offer]
    came, used = roll < more, roll < more + uses
    for one, which in zip(member[used].tolist(), offer[used].tolist(), strict=True):
        at = sent_at + timedelta(minutes=int(rng.integers(0, WINDOW_WEEKS * 7 * 1440)))
        redemptions.append(
            {
                "redemption_id": f"r{number}-{one}",
                "member_id": names[one],
                "offer_id": f"o{number}-{which}",
                "campaign_id": f"c{number}",
                "redeemed_at": at,
                "discount_cents": int(offers.value[which]),
            }
        )
    extra = _lines(member[came], offers.category[offer[came]], week, rng, 0.0)
    times = rng.poisson(SPILL, int(came.sum()))
    spilled = np.repeat(member[came], times)
    other = _lines(spilled, rng.integers(0, CATEGORIES, len(spilled)), week, rng, 0.0)
    return {name: np.concatenate((extra[name], other[name])) for name in extra}


def _lines(
    member: npt.NDArray[np.integer],
    category: npt.NDArray[np.integer],
    week: int,
    rng: np.random.Generator,
    off: npt.NDArray[np.float64] | float,
) -> dict[str, npt.NDArray[np.float64]]:
    """Return order lines; who buys several things in a week buys them on one of two days."""
    day = rng.integers(0, 2, len(member)) * 3
    return {
        "member": member.astype(np.float64),
        "category": category.astype(np.float64),
        "minute": (week * 7 + day) * 1440.0 + 600 + member % 600,
        "off": np.broadcast_to(np.asarray(off, np.float64), member.shape).copy(),
    }


def _events(world: World, lines: dict[str, FloatVector], rng: np.random.Generator) -> pa.Table:
    member, category = lines["member"].astype(np.int64), lines["category"].astype(np.int64)
    loyal = rng.random(len(member)) < 0.6
    item = np.where(loyal, world.taste[member, category], rng.integers(0, ITEMS_EACH, len(member)))
    price = world.price[category, item]
    names = np.array(member_ids(world))
    micros = int(START.timestamp()) * 1_000_000 + lines["minute"].astype(np.int64) * 60_000_000
    order = np.char.add(np.char.add(names[member], "-"), lines["minute"].astype(np.int64).astype(str))
    return pa.table(
        {
            "event_id": pa.array([f"e{number}" for number in range(len(member))]),
            "occurred_at": pa.array(micros, pa.timestamp("us", tz="UTC")),
            "kind": pa.array(["purchase"] * len(member)),
            "channel": pa.array(["pos"] * len(member)),
            "member_id": pa.array(names[member]),
            "item_id": pa.array([f"i{c:02d}-{i:02d}" for c, i in zip(category.tolist(), item.tolist(), strict=True)]),
            "order_id": pa.array(order),
            "quantity": pa.array(np.ones(len(member))),
            "unit_price_cents": pa.array(price.astype(np.int64)),
            "discount_cents": pa.array(np.round(price * lines["off"]).astype(np.int64)),
        }
    )


def _write_catalogue(world: World, book: list[Offers], folder: Path) -> None:
    items = [
        {
            "item_id": f"i{category:02d}-{item:02d}",
            "category": f"goods > c{category:02d}",
            "brand": f"b{item % 4}",
            "price_cents": int(world.price[category, item]),
            "cost_cents": int(world.cost[category, item]),
        }
        for category in range(CATEGORIES)
        for item in range(ITEMS_EACH)
    ]
    starts = [*CAMPAIGN_WEEKS, WEEKS]
    offers = [
        {
            "offer_id": f"o{number}-{place}",
            "kind": "amount_off",
            "value": int(each.value[place]),
            "minimum_spend_cents": int(each.minimum[place]),
            "scope": f'{{"categories": ["goods > c{each.category[place]:02d}"]}}',
            "valid_from": START + timedelta(weeks=starts[number]),
            "valid_until": START + timedelta(weeks=starts[number] + WINDOW_WEEKS),
        }
        for number, each in enumerate(book)
        for place in range(OFFERS)
    ]
    campaigns = [
        {
            "campaign_id": f"c{number}",
            "starts_at": START + timedelta(weeks=week),
            "ends_at": START + timedelta(weeks=week + WINDOW_WEEKS),
            "offers": "[" + ", ".join(f'"o{number}-{place}"' for place in range(OFFERS)) + "]",
        }
        for number, week in enumerate(starts)
    ]
    _write(folder / "items.parquet", pa.Table.from_pylist(items))
    _write(folder / "offers.parquet", pa.Table.from_pylist(offers))
    _write(folder / "campaigns.parquet", pa.Table.from_pylist(campaigns))
    _write(folder / "members.parquet", pa.table({"member_id": member_ids(world)}))


def _write(path: Path, table: pa.Table) -> None:
    pq.write_table(table, path)
