"""The walk through a coupon's life in docs/coupons.md, run word for word against a running service."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from tests.flows.running import environment, running
from tests.shop import settings_at

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "coupons.md"
ADDRESS = "http://127.0.0.1:8000"


def walk() -> str:
    """Return the shell lines of the walk, as one script."""
    (section,) = re.findall(r"^## By hand\n(.*?)^## ", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return "\n".join(re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL))


@pytest.mark.slow
def test_the_walk_is_true(tmp_path: Path) -> None:
    settings = settings_at(tmp_path)
    with running(settings, "--workers", "1") as service:
        script = walk().replace(ADDRESS, service.url).replace("\ncurl -s", "\necho; curl -s")
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-e", "-c", script],
            env=os.environ | environment(settings) | {"PATH": path},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert "The books balance." in done.stderr
    answers = [
        orjson.loads(line.partition("}]}")[0] + "}]}") for line in done.stdout.splitlines() if '"coupons"' in line
    ]
    outcomes = [(one["result"], one["status"], one["discount_cents"]) for found in answers for one in found["coupons"]]
    assert outcomes == [
        ("refused", "issued", 0),
        ("done", "locked", 1000),
        ("done", "redeemed", 1000),
        ("repeated", "redeemed", 1000),
        ("done", "issued", 0),
    ]
    assert answers[0]["coupons"][0]["message"] == "再消费 14.10 元即可使用这张券。"
