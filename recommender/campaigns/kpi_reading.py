"""Figures across channels that SQL keeps: coupons, attributed sales and slates; added up by place in Python."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy.engine import Connection

from recommender.campaigns.kpi_texts import GroupBy
from recommender.campaigns.kpi_views import Selection
from recommender.house import SHADOW
from recommender.storage.exposures import NOT_FLAGGED, flag_pattern
from recommender.storage.statements import fetch

Amounts = dict[str, tuple[int, int]]
"""By group: what is counted, and what it stands on."""

_ISSUED = """
SELECT COUNT(*), SUM(CASE WHEN c.status = 'redeemed' THEN 1 ELSE 0 END) FROM wallet_coupons c
WHERE c.issued_at >= ? AND c.issued_at < ?"""
_REDEEMED = """
SELECT COALESCE(store_id, ''), SUM(spent_cents), SUM(CASE WHEN entry IN ('redeem', 'offline') THEN 1
  WHEN entry IN ('rollback', 'return') THEN -1 ELSE 0 END)
FROM coupon_ledger WHERE at >= ? AND at < ?
  AND (spent_cents <> 0 OR entry IN ('redeem', 'offline', 'rollback', 'return'))
GROUP BY COALESCE(store_id, '')"""
_ELSEWHERE = """
SELECT COALESCE(r.store_id, ''), COALESCE(r.channel, ''), SUM(COALESCE(r.discount_cents, 0)), COUNT(*)
FROM redemptions r WHERE r.redeemed_at >= ? AND r.redeemed_at < ?
  AND NOT EXISTS (SELECT 1 FROM wallet_coupons w WHERE w.coupon_id = r.coupon_id)
GROUP BY COALESCE(r.store_id, ''), COALESCE(r.channel, '')"""
_SHOWN = f"""
SELECT COALESCE(store_id, ''), COALESCE(channel, ''), SUM(revenue_cents), SUM(assisted_cents), COUNT(*) FROM exposures
WHERE occurred_at >= ? AND occurred_at < ? AND {NOT_FLAGGED} GROUP BY COALESCE(store_id, ''), COALESCE(channel, '')"""
_SOLD_OUT = f"""
SELECT COALESCE(e.store_id, ''), COALESCE(e.channel, ''), SUM(CASE WHEN a.dropped LIKE ? THEN 1 ELSE 0 END), COUNT(*)
FROM answers a JOIN exposures e ON e.recommendation_id = a.recommendation_id AND e.position = 1
WHERE a.occurred_at >= ? AND a.occurred_at < ? AND {NOT_FLAGGED}
GROUP BY COALESCE(e.store_id, ''), COALESCE(e.channel, '')"""


def read_kept_figures(
    connection: Connection, selection: Selection, regions: Mapping[str, str]
) -> dict[str, Amounts | None]:
    """Return figures by name and group; None: they are not told for such a selection."""
    period = (selection.start, selection.end)
    redeemed = fetch(connection, _REDEEMED, period)
    elsewhere = fetch(connection, _ELSEWHERE, period)
    shown = fetch(connection, _SHOWN, (*period, flag_pattern(SHADOW)))
    sold_out = fetch(connection, _SOLD_OUT, ('%"out_of_stock":%', *period, flag_pattern(SHADOW)))
    discounts: Amounts | None = None
    if selection.channel is None and selection.group_by is not GroupBy.CHANNEL:
        discounts = _sums(selection, regions, [(row[0], "", *row[1:]) for row in redeemed] + elsewhere)
    found: dict[str, Amounts | None] = {
        "discounts": discounts,
        "attributed_sales": _sums(selection, regions, [(*row[:2], row[2], row[4]) for row in shown]),
        "assisted_sales": _sums(selection, regions, [(*row[:2], row[3], row[4]) for row in shown]),
        "sold_out_avoided": _sums(selection, regions, sold_out),
        "redemption": None,
    }
    if not selection.narrow:
        issued, used = fetch(connection, _ISSUED, period)[0]
        found["redemption"] = {"": (int(used or 0), int(issued))}
    return found


def _sums(selection: Selection, regions: Mapping[str, str], rows: Iterable[tuple[Any, ...]]) -> Amounts:
    """Add rows of (store, channel, counted, of) up by group."""
    found: Amounts = {}
    for store, channel, counted, of in rows:
        region = regions.get(store, "")
        wanted = ((selection.store_id, store), (selection.region, region), (selection.channel, channel))
        if any(asked is not None and asked != place for asked, place in wanted):
            continue
        group = {
            GroupBy.ALL: "",
            GroupBy.STORE: store,
            GroupBy.REGION: region,
            GroupBy.CHANNEL: channel,
        }[selection.group_by]
        before = found.get(group, (0, 0))
        found[group] = (before[0] + int(counted or 0), before[1] + int(of or 0))
    return found
