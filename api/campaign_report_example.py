"""An example of a campaign's report, for the document."""

from __future__ import annotations

from typing import Any


def _bounds(value: float, low: float, high: float) -> dict[str, float]:
    return {"value": value, "low": low, "high": high}


def _effect(treated: float, control: float, half: float) -> dict[str, Any]:
    gap = round(treated - control, 4)
    low, high = round(gap - half, 4), round(gap + half, 4)
    return {
        "treated_mean": treated,
        "control_mean": control,
        "per_member": _bounds(gap, low, high),
        "total": _bounds(*(round(9000 * one) for one in (gap, low, high))),
        "relative": _bounds(*(round(one / control, 4) for one in (gap, low, high))),
        "p_value": 0.004,
        "verdict": "rise" if low > 0 else "undetermined",
    }


def _measured(treated: float, control: float, half: float) -> dict[str, Any]:
    one = _effect(treated, control, half)
    raw = _effect(treated, control, 1.3 * half)
    return {"adjusted": one, "raw": raw, "winsorised": {**one, "cut": 60000.0}, "narrowed": 0.23, "skewed": False}


_SEGMENT = {
    "segment": "heavy",
    "treated_units": 2900,
    "control_units": 320,
    "per_member": _bounds(310.0, 20.0, 600.0),
    "p_value": 0.036,
    "corrected_p_value": 0.108,
    "verdict": "undetermined",
}

EXAMPLE: dict[str, Any] = {
    "campaign_id": "spring-2026",
    "name": "Spring",
    "status": "finished",
    "made_at": "2026-05-01T00:00:00+00:00",
    "window": {
        "from": "2026-03-02T09:00:00+00:00",
        "to": "2026-03-30T09:00:00+00:00",
        "days": 28,
        "days_before": 28,
        "complete": True,
    },
    "assumed_margin_share": 0.04,
    "groups": {
        "treated": {"units": 6200, "members": 9000},
        "control": {"units": 690, "members": 1000},
        "control_arm": "holdout",
        "left_out": [{"reason": "opted_out", "treated": 40, "control": 5}],
    },
    "sample_ratio": {"p_value": 0.96, "alarm": False, "expected_treated": 6201.0},
    "verdict": {"figure": "profit", "says": "rise", "because": []},
    "effects": {
        "sales": _measured(15400.0, 14700.0, 480.0),
        "margin": _measured(4300.0, 4020.0, 170.0),
        "profit": _measured(4230.0, 4020.0, 170.0),
        "orders": _measured(2.31, 2.22, 0.06),
        "visits": _measured(2.02, 1.95, 0.05),
    },
    "costs": {
        "discount_cents": 900000,
        "own_discount_cents": 585000,
        "contact_cents": 45000,
        "total_cents": 630000,
        "control_cents": 0,
        "budget_cents": 1000000,
    },
    "planned": {"profit_cents": _bounds(2100000.0, 900000.0, 3300000.0), "cost_cents": 640000.0},
    "return_on_cost": {
        "adjusted": {**_bounds(3.0, 0.6, 5.6), "method": "fieller", "verdict": "rise"},
        "raw": {**_bounds(2.7, -0.4, 6.1), "method": "fieller", "verdict": "undetermined"},
    },
    "bought_anyway": {"redeemers": 1800, "share": _bounds(0.62, 0.44, 0.79), "members": 1116.0, "method": "fieller"},
    "segments": {
        "by": "history",
        "figure": "profit",
        "comparisons": 3,
        "expected_by_chance": 0.15,
        "any_by_chance": 0.143,
        "differ_p_value": 0.41,
        "rows": [_SEGMENT],
    },
    "detectable": {
        "figure": "sales",
        "power": 0.8,
        "per_member": 690.0,
        "relative": 0.047,
        "remedies": [{"change": "larger_holdout", "size": 0.2, "relative": 0.035}],
    },
    "funnel": {
        "treated": {"queued": 9040, "waiting": 0, "skipped": 310, "failed": 20, "sent": 8710, "delivered": 8400}
        | {"opened": 1900, "clicked": 400},
        "control": {"queued": 1005, "withheld": 970, "skipped": 35},
        "lost": [{"group": "treated", "state": "skipped", "reason": "capped", "messages": 310}],
        "coupons": {"expired": 6900, "redeemed": 1800},
    },
    "definitions": {"sales": "What members paid for goods in the window, after all discounts ..."},
}
