"""The report of a campaign over HTTP and on the command line: JSON, CSV and pages in both languages."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner

from api.app import build_services, close_services, create_app
from api.services import Services
from api.settings import ServiceSettings
from recommender.campaigns.report import read_report
from recommender.campaigns.report_table import HEADER
from recommender.campaigns.report_texts import DEFINITIONS
from recommender.cli import main
from tests.api.checked import CheckedClient
from tests.flows.running import environment
from tests.recommender.campaigns.report_world import CAMPAIGN, make_rows, write_rows
from tests.shop import make_key, settings_at

PATH = f"/v1/campaigns/{CAMPAIGN}/report"


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """Services of an installation with a campaign that has ended."""
    built = build_services(settings_at(tmp_path_factory.mktemp("told")))
    write_rows(built.database, built.settings, make_rows())
    yield built
    close_services(built)


@pytest.fixture(scope="module")
def marketer(told: Services) -> CheckedClient:
    return CheckedClient(create_app(told), make_key(told.database, "campaigns"))


def test_as_json(told: Services, marketer: CheckedClient) -> None:
    answer = marketer.get(f"{PATH}?segment_by=tier").json
    assert answer is not None
    assert answer["campaign_id"] == CAMPAIGN
    assert answer["segments"]["by"] == "tier"
    assert set(answer["definitions"]) == set(DEFINITIONS)
    chinese = marketer.get(PATH, headers={"Accept-Language": "zh-CN"}).json
    assert chinese is not None
    assert chinese["definitions"]["orders"] == DEFINITIONS["orders"].meaning.zh
    direct = read_report(told.database, told.settings, CAMPAIGN, told.clock())
    assert chinese["effects"] == json.loads(json.dumps(direct["effects"]))


def test_as_csv_every_number_has_its_meaning(marketer: CheckedClient) -> None:
    answer = marketer.get(f"{PATH}?format=csv")
    assert answer.content_type == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert tuple(rows[0]) == HEADER
    assert all(row["meaning"] for row in rows)
    report = marketer.get(PATH).json
    assert report is not None
    found = {(row["part"], row["figure"], row["kind"], row["group"], row["unit"]): row for row in rows}
    profit = report["effects"]["profit"]["adjusted"]["per_member"]
    row = found["per_member", "profit", "adjusted", "", "cents per member"]
    assert (float(row["value"]), float(row["low"])) == (profit["value"], profit["low"])
    assert row["meaning"].startswith(DEFINITIONS["profit"].meaning.en)
    assert found["costs", "total_cents", "", "", "cents"]["value"] == str(report["costs"]["total_cents"])
    assert float(found["return_on_cost", "", "raw", "", "ratio"]["high"]) == report["return_on_cost"]["raw"]["high"]


class Page(HTMLParser):
    """Remembers the tags and the text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.words += data


@pytest.mark.parametrize("language", ["en", "zh"])
def test_as_a_page(marketer: CheckedClient, language: str) -> None:
    answer = marketer.get(f"{PATH}?format=html", headers={"Accept-Language": language})
    assert answer.content_type == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    page = Page(answer.text)
    assert page.tags.count("svg") == 3
    assert not {"script", "img", "link"} & set(page.tags)
    words = " ".join(page.words.split())
    for name in ("sales", "profit", "per_member", "verdict", "return_on_cost", "bought_anyway", "segments", "funnel"):
        assert " ".join(DEFINITIONS[name].meaning.of(language).split()) in words, name


def test_what_it_does_not_know(marketer: CheckedClient, told: Services) -> None:
    assert marketer.get("/v1/campaigns/nothing/report").status_code == 404
    assert marketer.get(f"{PATH}?format=pdf").status_code == 400
    assert marketer.get(f"{PATH}?segment_by=colour").status_code == 400
    reader = CheckedClient(create_app(told), make_key(told.database, "recommend"))
    assert reader.get(PATH).status_code == 403


def test_a_campaign_in_which_nothing_happened(tmp_path: Path) -> None:
    built = build_services(settings_at(tmp_path))
    rows = make_rows()
    rows.groups, rows.messages = [], []
    write_rows(built.database, built.settings, rows)
    client = CheckedClient(create_app(built), make_key(built.database, "campaigns"))
    answer = client.get(PATH).json
    assert answer is not None
    assert answer["verdict"]["because"] == ["nobody_reached"]
    for kind in ("csv", "html"):
        assert client.get(f"{PATH}?format={kind}").status_code == 200
    close_services(built)


@pytest.fixture
def shell(told: Services, monkeypatch: pytest.MonkeyPatch) -> ServiceSettings:
    for name in [name for name in os.environ if name.startswith("MEMBERWISE_")]:
        monkeypatch.delenv(name)
    for name, value in environment(told.settings).items():
        monkeypatch.setenv(name, value)
    return told.settings


@pytest.mark.usefixtures("shell")
def test_on_the_command_line(tmp_path: Path) -> None:
    shown = CliRunner().invoke(main, ["campaigns", "report", CAMPAIGN])
    assert shown.exit_code == 0, shown.output
    assert "profit: " in shown.output
    assert "return on cost" in shown.output
    for suffix, sign in (("json", b'"return_on_cost"'), ("csv", b"\xef\xbb\xbfpart,"), ("html", "毛利".encode())):
        file = tmp_path / f"report.{suffix}"
        words = ["campaigns", "report", CAMPAIGN, "--out", str(file), "--language", "zh"]
        done = CliRunner().invoke(main, words)
        assert done.exit_code == 0, done.output
        assert sign in file.read_bytes()
    wrong = CliRunner().invoke(main, ["campaigns", "report", CAMPAIGN, "--out", "report.pdf"])
    assert wrong.exit_code == 2
    assert ".html" in wrong.output
    unknown = CliRunner().invoke(main, ["campaigns", "report", "nothing"])
    assert (unknown.exit_code, "no such campaign" in unknown.output) == (2, True)
