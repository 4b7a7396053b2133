"""What runs the service outside of the tests agrees with it: containers, the systemd unit, the figures told."""

from __future__ import annotations

import configparser
import re
import shlex
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from api.metrics import Metrics
from api.settings import ServiceSettings
from recommender.cli import main

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "operations.md").read_text("utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
OURS = {name: service for name, service in COMPOSE["services"].items() if "build" in service}


def unit() -> configparser.ConfigParser:
    (text,) = re.findall(r"^```ini\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    found = configparser.ConfigParser(strict=False)
    found.optionxform = str  # type: ignore[assignment,method-assign]
    found.read_string(text)
    return found


def command_of(words: list[str]) -> click.Command:
    assert Path(words[0]).name == "memberwise"
    found = main.get_command(click.Context(main), words[1])
    assert found is not None
    options = {name for parameter in found.params for name in parameter.opts}
    assert {word for word in words[2:] if word.startswith("-")} <= options
    return found


def test_stops_wait_for_running_requests() -> None:
    needed = ServiceSettings().graceful_seconds + 5
    assert int(unit()["Service"]["TimeoutStopSec"]) > needed
    assert all(int(service["stop_grace_period"].rstrip("s")) > needed for service in OURS.values())


def test_commands_exist() -> None:
    command_of(shlex.split(unit()["Service"]["ExecStart"]))
    for service in OURS.values():
        if "command" in service:
            command_of(service["command"])
    for words in re.findall(r"^CMD \[(\"memberwise\".*)\]$", DOCKERFILE, re.MULTILINE):
        assert "--help" in words or command_of([word.strip(' "') for word in words.split(",")])


@pytest.mark.parametrize("name", sorted(OURS))
def test_containers_run_without_rights(name: str) -> None:
    service = OURS[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert service["build"]["target"] in re.findall(r"^FROM \S+ AS (\S+)$", DOCKERFILE, re.MULTILINE)
    folders = {volume.split(":")[1] for volume in service["volumes"]}
    assert set(re.findall(r"MEMBERWISE_(?:HOME|MODELS)=(\S+)", DOCKERFILE)) <= folders


def test_images_run_as_a_user() -> None:
    stages = re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)
    final = [stage for stage in stages if re.match(r"runtime AS (serve|train)\n", stage)]
    assert len(final) == 2
    assert all("\nUSER memberwise\n" in stage for stage in final)


def test_every_figure_is_explained() -> None:
    metrics = Metrics()
    text = metrics.text().decode()
    names = set(re.findall(r"^# TYPE (\w+) \w+$", text, re.MULTILINE))
    source = (ROOT / "api" / "measures.py").read_text("utf-8")
    measured = set(re.findall(r'(?:_gauge\(|GaugeMetricFamily\("memberwise_)"?(\w+)"', source))
    exported = {name for name in names if not name.endswith("_created")} | {f"memberwise_{name}" for name in measured}
    table = "\n".join(line for line in PAGE.splitlines() if line.startswith("| `memberwise_"))
    assert set(re.findall(r"`(memberwise_\w+)`", table)) == exported
