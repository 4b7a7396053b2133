"""The report across channels over HTTP and on the command line."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from api.app import create_app
from api.services import Services
from recommender.campaigns.kpi_texts import DEFINITIONS
from recommender.cli import main
from tests.api.checked import CheckedClient
from tests.flows.running import environment
from tests.shop import MEMBERS, make_key

PATH = "/v1/reports/omnichannel"


@pytest.fixture(scope="module")
def marketer(shared_services: Services) -> CheckedClient:
    return CheckedClient(create_app(shared_services), make_key(shared_services.database, "campaigns"))


def test_as_json(marketer: CheckedClient) -> None:
    answer = marketer.get(f"{PATH}?group_by=store").json
    assert answer is not None
    (group,) = answer["groups"]
    assert group["group"] == "s1"
    # Everybody bought once a week, in the four weeks of the period and in those before.
    for name in ("customers", "repurchase", "retention"):
        assert group["figures"][name]["counted"] == len(MEMBERS)
    assert group["figures"]["repurchase"]["value"] == 1
    assert "no_survey" in answer["notes"]
    chinese = marketer.get(PATH, headers={"Accept-Language": "zh"}).json
    assert chinese is not None
    assert chinese["definitions"]["repurchase"] == DEFINITIONS["repurchase"].meaning.zh


def test_as_csv(marketer: CheckedClient) -> None:
    answer = marketer.get(f"{PATH}?format=csv")
    assert answer.content_type == "text/csv; charset=utf-8"
    rows = {row["figure"]: row for row in csv.DictReader(io.StringIO(answer.text))}
    assert set(DEFINITIONS) - {"cohorts"} <= set(rows)
    assert all(row["meaning"] for row in rows.values())
    assert rows["customers"]["counted"] == str(len(MEMBERS))
    assert rows["nps"]["value"] == ""


def test_bad_questions(marketer: CheckedClient, shared_services: Services) -> None:
    for query in ("group_by=colour", "from=2026-02-01T00:00:00Z&to=2026-01-01T00:00:00Z", "format=html"):
        assert marketer.get(f"{PATH}?{query}").status_code == 400
    reader = CheckedClient(create_app(shared_services), make_key(shared_services.database, "recommend"))
    assert reader.get(PATH).status_code == 403


def test_on_the_command_line(shared_services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("MEMBERWISE_")]:
        monkeypatch.delenv(name)
    for name, value in environment(shared_services.settings).items():
        monkeypatch.setenv(name, value)
    shown = CliRunner().invoke(main, ["reports", "omnichannel", "--group-by", "channel", "--language", "zh"])
    assert shown.exit_code == 0, shown.output
    assert "复购率" in shown.output
    assert "pos" in shown.output
    file = tmp_path / "kpis.json"
    done = CliRunner().invoke(main, ["reports", "omnichannel", "--store", "s1", "--out", str(file)])
    assert done.exit_code == 0, done.output
    assert json.loads(file.read_bytes())["groups"][0]["figures"]["customers"]["counted"] == len(MEMBERS)
    table = tmp_path / "kpis.csv"
    assert CliRunner().invoke(main, ["reports", "omnichannel", "--out", str(table)]).exit_code == 0
    assert table.read_bytes().startswith(b"\xef\xbb\xbffigure,")
    wrong = CliRunner().invoke(main, ["reports", "omnichannel", "--out", "kpis.xls"])
    assert (wrong.exit_code, ".csv" in wrong.output) == (2, True)
