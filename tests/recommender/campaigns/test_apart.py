"""Reports made in a process of their own: the same figures, the same errors."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from recommender.campaigns.apart import campaign_report_apart, kpis_apart
from recommender.campaigns.kpi_texts import GroupBy
from recommender.campaigns.kpis import Asked, read_kpis
from recommender.campaigns.report import read_report
from recommender.campaigns.report_texts import Segmentation
from recommender.errors import EventLogError, InputError, NotFoundError
from recommender.settings import CoreSettings
from recommender.storage.database import Database
from recommender.storage.event_log import open_event_log, registered_files
from tests.factories import NOW
from tests.recommender.campaigns.report_world import CAMPAIGN, START, make_rows, write_rows

ANYWHERE: dict[str, str | None] = {"store_id": None, "region": None, "channel": None}


@pytest.fixture
def settings(database: Database, database_url: str, tmp_path: Path) -> CoreSettings:
    found = CoreSettings(home=tmp_path / "home", database_url=database_url, pilot_stores=("s1",), hash_key="k" * 16)
    write_rows(database, found, make_rows())
    return found


def test_the_figures_are_the_same(database: Database, settings: CoreSettings) -> None:
    apart = campaign_report_apart(settings, CAMPAIGN, NOW, Segmentation.TIER)
    direct = read_report(database, settings, CAMPAIGN, NOW, Segmentation.TIER)
    assert apart == json.loads(json.dumps(direct))
    period = (START - timedelta(days=10), START + timedelta(days=10))
    kpis = kpis_apart(settings, NOW, period, GroupBy.CHANNEL, ANYWHERE)
    assert kpis == json.loads(json.dumps(read_kpis(database, settings, Asked(*period, GroupBy.CHANNEL), NOW)))


def test_the_errors_are_the_same(database: Database, settings: CoreSettings) -> None:
    with pytest.raises(NotFoundError) as unknown:
        campaign_report_apart(settings, "nothing", NOW, Segmentation.HISTORY)
    assert (unknown.value.field, unknown.value.value) == ("campaign_id", "nothing")
    with pytest.raises(InputError, match="no time"):
        kpis_apart(settings, NOW, (NOW, NOW), GroupBy.ALL, ANYWHERE)
    with database.read() as connection:
        file = registered_files(connection)[0]
    open_event_log(settings).full_path(file).unlink()
    with pytest.raises(EventLogError, match="missing"):
        campaign_report_apart(settings, CAMPAIGN, NOW, Segmentation.HISTORY)


def test_a_process_that_breaks_says_so(settings: CoreSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(EventLogError, match="ask again"):
        campaign_report_apart(settings, CAMPAIGN, NOW, Segmentation.HISTORY)
