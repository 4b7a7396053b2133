"""The report of a campaign against an independent script over the raw tables, and campaigns that say little."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from recommender.campaigns.report import read_report
from recommender.campaigns.report_texts import FIGURES, Segmentation
from recommender.errors import NotFoundError
from recommender.settings import CoreSettings
from recommender.storage.campaign_tables import campaign_members, campaign_states, deliveries
from recommender.storage.database import Database
from recommender.storage.tables import CANONICAL
from recommender.storage.wallet_tables import coupon_ledger, wallet_coupons
from tests.factories import NOW
from tests.recommender.campaigns.recomputed import (
    Household,
    Raw,
    adjusted,
    anyway,
    effect,
    households,
    return_bounds,
)
from tests.recommender.campaigns.report_world import (
    CAMPAIGN,
    CONTACT_CENTS,
    OPTED_OUT,
    OWN_CHANCE,
    START,
    WINDOW_DAYS,
    Rows,
    all_rows,
    make_rows,
    write_rows,
)

ZONE = "Asia/Shanghai"


@pytest.fixture
def settings(tmp_path: Path) -> CoreSettings:
    return CoreSettings(home=tmp_path / "home", time_zone=ZONE)


def raw_of(database: Database, rows: Rows) -> Raw:
    tables = [CANONICAL[name] for name in ("members", "identities", "items", "offers")]
    tables += [campaign_members, deliveries, wallet_coupons, coupon_ledger, CANONICAL["redemptions"]]
    return Raw(*(all_rows(database, table) for table in tables), rows.events, {OPTED_OUT})


def recompute(database: Database, rows: Rows) -> list[Household]:
    found = households(raw_of(database, rows), timedelta(days=WINDOW_DAYS), CONTACT_CENTS, ZoneInfo(ZONE))
    return [found[name] for name in sorted(found)]


def test_an_independent_script_finds_the_same(database: Database, settings: CoreSettings) -> None:
    rows = make_rows()
    write_rows(database, settings, rows)
    report: Any = read_report(database, settings, CAMPAIGN, NOW)
    ones = recompute(database, rows)
    for name in FIGURES:
        outcome = [one.after[name] for one in ones]
        for kind, values in (("raw", outcome), ("adjusted", adjusted(ones, name))):
            said, (value, low, high, _) = report["effects"][name][kind], effect(ones, values)
            assert said["per_member"] == {
                "value": pytest.approx(value),
                "low": pytest.approx(low),
                "high": pytest.approx(high),
            }
            treated = sum(one.members for one in ones if one.treated)
            assert said["total"]["value"] == pytest.approx(value * treated)
    margins = {"raw": [one.after["margin"] for one in ones], "adjusted": adjusted(ones, "margin")}
    for kind, margin in margins.items():
        value, low, high = return_bounds(ones, margin)
        said = report["return_on_cost"][kind]
        assert (said["value"], said["low"], said["high"]) == (
            pytest.approx(value),
            pytest.approx(low),
            pytest.approx(high),
        )
        assert said["method"] == "fieller"
    share = report["bought_anyway"]
    assert share["share"]["value"] == pytest.approx(min(max(anyway(ones), 0), 1))
    assert share["redeemers"] == sum(one.after["redeemers"] for one in ones if one.treated)
    assert report["costs"]["total_cents"] == round(sum(one.after["cost"] for one in ones if one.treated))
    assert report["costs"]["discount_cents"] == round(sum(one.after["discount"] for one in ones if one.treated))


def test_groups_and_messages_are_counted(sqlite_database: Database, settings: CoreSettings) -> None:
    rows = make_rows()
    write_rows(sqlite_database, settings, rows)
    report: Any = read_report(sqlite_database, settings, CAMPAIGN, NOW)
    ones = recompute(sqlite_database, rows)
    groups = report["groups"]
    for name, treated in (("treated", True), ("control", False)):
        inside = [one for one in ones if one.treated is treated]
        assert groups[name] == {"units": len(inside), "members": sum(one.members for one in inside)}
    kept_from_all = [row["member_id"] for row in rows.groups if row["arm"] == "global_holdout"]
    assert {row["reason"]: row["treated"] + row["control"] for row in groups["left_out"]} == {
        "erased": 1,
        "global_holdout": len(kept_from_all),
        "mixed_household": 2,
        "no_consumer": 1,
        "opted_out": 1,
    }
    assert report["sample_ratio"]["expected_treated"] == pytest.approx(OWN_CHANCE * len(ones))
    assert not report["sample_ratio"]["alarm"]
    real = [row for row in rows.messages if not row["test"]]
    funnel = report["funnel"]
    assert (funnel["treated"]["opened"], funnel["treated"]["clicked"]) == (2, 1)
    for name, states in (("queued", None), ("sent", {"sent", "delivered"}), ("skipped", {"skipped"})):
        treated = [row for row in real if row["arm"] == "treated" and (states is None or row["state"] in states)]
        assert funnel["treated"][name] == len(treated)
    assert funnel["control"]["withheld"] == sum(row["state"] == "withheld" for row in real)
    lost = {(row["group"], row["reason"]): row["messages"] for row in funnel["lost"]}
    assert lost["treated", "unreachable"] == sum(row["reason"] == "unreachable" for row in real)
    assert sum(row["messages"] for row in funnel["lost"]) == sum(row["reason"] is not None for row in real)
    assert len({(row["group"], row["state"], row["reason"]) for row in funnel["lost"]}) == len(funnel["lost"])
    assert report["planned"] == {"profit_cents": {"value": 900.0, "low": 100.0, "high": 1700.0}, "cost_cents": 400.0}
    assert report["window"]["complete"]
    assert report["window"]["days"] == WINDOW_DAYS


@pytest.mark.parametrize("segmentation", list(Segmentation))
def test_segments(sqlite_database: Database, settings: CoreSettings, segmentation: Segmentation) -> None:
    rows = make_rows()
    write_rows(sqlite_database, settings, rows)
    report: Any = read_report(sqlite_database, settings, CAMPAIGN, NOW, segmentation)
    found = {row["segment"]: row for row in report["segments"]["rows"]}
    units = report["groups"]["treated"]["units"] + report["groups"]["control"]["units"]
    assert sum(row["treated_units"] + row["control_units"] for row in found.values()) == units
    wanted = {
        Segmentation.HISTORY: {"none", "light", "heavy"},
        Segmentation.OFFER: {"all", "dairy"},
        Segmentation.TIER: {"", "gold", "silver"},
        Segmentation.CITY: {"Suzhou"},
        Segmentation.HOME_STORE: {""},
    }
    assert set(found) == wanted[segmentation]
    assert report["segments"]["comparisons"] == sum(row["p_value"] is not None for row in found.values())


def test_what_happened_later_is_not_known_yet(sqlite_database: Database, settings: CoreSettings) -> None:
    write_rows(sqlite_database, settings, make_rows())
    early: Any = read_report(sqlite_database, settings, CAMPAIGN, START + timedelta(days=5))
    assert not early["window"]["complete"]
    assert "window_open" in early["verdict"]["because"]
    before: Any = read_report(sqlite_database, settings, CAMPAIGN, START - timedelta(days=5))
    assert before["verdict"] == {"figure": "profit", "says": "undetermined", "because": ["nobody_reached"]}
    assert before["effects"]["sales"]["adjusted"]["per_member"] == {"value": None, "low": None, "high": None}


def test_groups_of_the_wrong_sizes_say_nothing(sqlite_database: Database, settings: CoreSettings) -> None:
    rows = make_rows()
    for row in rows.groups:
        row["propensity"] = 0.81
    write_rows(sqlite_database, settings, rows)
    report: Any = read_report(sqlite_database, settings, CAMPAIGN, NOW)
    assert report["sample_ratio"]["alarm"]
    assert report["verdict"]["says"] == "undetermined"
    assert "sample_ratio" in report["verdict"]["because"]


def test_without_messages_the_groups_are_as_assigned(sqlite_database: Database, settings: CoreSettings) -> None:
    rows = make_rows()
    rows.messages = []
    rows.groups[0]["offer_id"] = None
    write_rows(sqlite_database, settings, rows)
    report: Any = read_report(sqlite_database, settings, CAMPAIGN, NOW)
    counted = report["groups"]["treated"]["members"] + report["groups"]["control"]["members"]
    assert counted == sum(row["arm"] != "global_holdout" for row in rows.groups[1:]) - 4
    assert report["window"]["from"] == START.isoformat()
    assert report["costs"]["contact_cents"] == 0


def test_only_without_a_holdout_of_its_own_the_global_one_is_the_control(
    sqlite_database: Database, settings: CoreSettings
) -> None:
    rows = make_rows()
    for row in rows.groups:
        row["arm"] = "treated" if row["arm"] == "holdout" else row["arm"]
        row["propensity"] = 0.9
    write_rows(sqlite_database, settings, rows)
    report: Any = read_report(sqlite_database, settings, CAMPAIGN, NOW)
    assert report["groups"]["control_arm"] == "global_holdout"
    assert "global_control" in report["verdict"]["because"]
    units = report["groups"]["treated"]["units"] + report["groups"]["control"]["units"]
    assert report["sample_ratio"]["expected_treated"] == pytest.approx(0.9 * units)


@pytest.mark.parametrize(
    ("status", "launch_at"), [("planned", None), ("scheduled", START), ("cancelled", START + timedelta(hours=1))]
)
def test_a_campaign_that_never_ran_reached_nobody(
    sqlite_database: Database, settings: CoreSettings, status: str, launch_at: datetime | None
) -> None:
    rows = make_rows()
    rows.messages = []
    write_rows(sqlite_database, settings, rows)
    with sqlite_database.write() as connection:
        connection.execute(campaign_states.update().values(status=status, launch_at=launch_at))
    report: Any = read_report(sqlite_database, settings, CAMPAIGN, NOW)
    assert report["verdict"]["because"] == ["nobody_reached"]


def test_an_unknown_campaign(sqlite_database: Database, settings: CoreSettings) -> None:
    with pytest.raises(NotFoundError):
        read_report(sqlite_database, settings, "nothing", NOW)
