"""The figures of /metrics: by scenario, stage, reason and rule, counted a moment later; and what waits here."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from api.measures import waiting_exposures
from api.metrics import FILE_BYTES, Metrics, SlateFigures
from api.services import Services
from api.settings import METRICS_FOLDER_VARIABLE
from recommender.stages import Stage, Stages
from tests.api.checked import CheckedClient


def figures_of(text: str) -> dict[str, float]:
    """Return value by name and labels."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def figures(client: CheckedClient) -> dict[str, float]:
    return figures_of(client.get("/metrics").text)


def slate(strategy: str = "personal", **changes: object) -> SlateFigures:
    given: dict[str, object] = {
        "scenario": "home",
        "strategy": strategy,
        "asked": 10,
        "served": 10,
        "flags": (),
        "dropped": {},
        "seconds": {},
    }
    return SlateFigures(**(given | changes))  # type: ignore[arg-type]


def test_an_answer_is_counted_by_scenario_and_stage(client: CheckedClient) -> None:
    assert client.post("/v1/recommendations", {"member_id": "m01", "store_id": "s1", "count": 5}).status_code == 200
    found = figures(client)
    assert found['memberwise_slates_total{scenario="home",strategy="personal"}'] == 1
    assert found['memberwise_slate_items_asked_total{scenario="home"}'] == 5
    assert found['memberwise_slate_items_total{scenario="home"}'] == 5
    assert found['memberwise_requests_total{operation="post_recommendations",status="200"}'] == 1
    place = '{operation="post_recommendations",scenario="home"}'
    assert found[f"memberwise_request_seconds_count{place}"] == 1
    stages = {stage: found[f'memberwise_stage_seconds_total{{scenario="home",stage="{stage}"}}'] for stage in Stage}
    assert all(seconds > 0 for seconds in stages.values())
    assert sum(stages.values()) <= found[f"memberwise_request_seconds_sum{place}"]


def test_short_slates_and_dropped_candidates_are_counted(client: CheckedClient) -> None:
    client.post("/v1/recommendations", {"member_id": "m01", "store_id": "s1", "count": 100})
    found = figures(client)
    assert found['memberwise_short_slates_total{scenario="home"}'] == 1
    assert found['memberwise_dropped_candidates_total{rule="out_of_stock"}'] >= 1


def test_reasons_of_fallbacks() -> None:
    assert list(slate().fallbacks()) == []
    assert list(slate("personal+filled").fallbacks()) == ["too_few_candidates"]
    assert list(slate("popular", flags=["anonymous"]).fallbacks()) == ["anonymous"]
    assert list(slate("popular", flags=["unknown_member", "empty_history"]).fallbacks()) == ["unknown_member"]
    assert list(slate("popular", flags=["stock_unknown"]).fallbacks()) == ["no_history"]


def test_fallbacks_are_counted_by_reason(client: CheckedClient) -> None:
    client.post("/v1/recommendations", {"count": 3})
    client.post("/v1/recommendations", {"count": 3, "member_id": "stranger"})
    found = figures(client)
    assert found['memberwise_fallbacks_total{reason="anonymous",scenario="home"}'] == 1
    assert found['memberwise_fallbacks_total{reason="unknown_member",scenario="home"}'] == 1


def test_notes_are_counted_in_the_background_and_at_the_end() -> None:
    metrics = Metrics()
    metrics.start()
    for _ in range(3):
        metrics.note(slate(dropped={"excluded": 2}))
    metrics.stop()
    metrics.note(slate())
    found = figures_of(metrics.text().decode())
    assert found['memberwise_dropped_candidates_total{rule="excluded"}'] == 6
    assert found['memberwise_slates_total{scenario="home",strategy="personal"}'] == 4


def test_the_lag_of_events_is_that_of_the_oldest(client: CheckedClient) -> None:
    now = datetime.now(UTC)
    rows = [
        {"event_id": f"e{age}", "occurred_at": (now - timedelta(seconds=age)).isoformat(), "kind": "view"}
        for age in (2, 100)
    ]
    client.post("/v1/events", {"events": [row | {"channel": "app", "item_id": "i01"} for row in rows]})
    found = figures(client)
    assert found["memberwise_event_lag_seconds_count"] == 1
    assert found["memberwise_event_lag_seconds_sum"] == pytest.approx(100, abs=20)
    assert found['memberwise_events_total{status="accepted"}'] == 2
    assert found["memberwise_events_uncopied"] >= 2
    assert found["memberwise_events_uncopied_seconds"] > 0


def test_the_queue_of_exposures_and_the_age_of_the_bundle(client: CheckedClient, services: Services) -> None:
    for _ in range(3):
        client.post("/v1/recommendations", {"member_id": "m01"})
    found = figures(client)
    (file,) = services.settings.spool_folder.glob("*.jsonl")
    assert found["memberwise_exposure_queue_lines"] == 3
    assert found["memberwise_exposure_queue_bytes"] == file.stat().st_size
    assert 0 < found["memberwise_bundle_age_seconds"] < 3 * 86_400
    assert found["memberwise_database_up"] == 1


def test_what_waits_in_the_spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert waiting_exposures(tmp_path / "none", {}) == (0, 0)
    (tmp_path / "a.jsonl").write_bytes(b"12345678\n" * 10)
    (tmp_path / "b.jsonl").write_bytes(b"12345678\n" * 10)
    assert waiting_exposures(tmp_path, {"a.jsonl": 81}) == (99, 11)
    monkeypatch.setattr("api.measures.MOST_READ_BYTES", 45)
    assert waiting_exposures(tmp_path, {}) == (180, 20), "estimated past what is read"


def test_stages_add_up() -> None:
    stages = Stages()
    for stage in (Stage.RETRIEVE, Stage.RANK, Stage.RETRIEVE):
        stages.end(stage)
    assert set(stages.seconds) == {Stage.RETRIEVE, Stage.RANK}
    assert all(seconds >= 0 for seconds in stages.seconds.values())


def test_what_cannot_be_counted_does_not_end_the_counting() -> None:
    metrics = Metrics()
    metrics.start()
    metrics.note(object())  # type: ignore[arg-type]
    deadline = time.monotonic() + 10
    while metrics._noted:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    metrics.note(slate())
    while metrics._noted:
        assert time.monotonic() < deadline, "notes pile up"
        time.sleep(0.01)
    metrics.stop()


PROGRAM = """
import os, resource, sys
limit = int(sys.argv[1])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
from api.metrics import Metrics, RequestFigures, reserve_files
print(reserve_files())
metrics = Metrics()
metrics.note(RequestFigures("live", "", 200, 0.1))
metrics.text()
print(metrics.registry.get_sample_value("memberwise_requests_total", {"operation": "live", "status": "200"}))
"""


@pytest.mark.parametrize("limit", [0, 100_000])
def test_figures_have_their_place_on_the_disk_or_stay_in_memory(tmp_path: Path, limit: int) -> None:
    """A worker that wrote figures to a full disk through its memory maps would be killed."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(limit)],
        env={**os.environ, METRICS_FOLDER_VARIABLE: str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.split() == [str(not limit), "1.0"], done.stderr
    held = [file.stat().st_blocks * 512 for file in tmp_path.iterdir()]
    assert held == [] if limit else min(held) >= FILE_BYTES
