"""What a web worker loads: nothing that only learning, loading or compacting needs."""

import subprocess
import sys
from pathlib import Path

from tests.flows.running import environment
from tests.shop import open_shop, settings_at

HEAVY = ("duckdb", "implicit", "lightgbm", "matplotlib", "optuna", "pandas", "pyarrow", "sklearn", "training")

PROGRAM = """
import sys
import api.wsgi
from api.app import build_services, close_services, create_app
from api.settings import ServiceSettings
from recommender.settings import read_settings
import os

services = build_services(read_settings(ServiceSettings, os.environ))
client = create_app(services).test_client()
assert client.get("/readyz").status_code == 200
assert client.get("/openapi.json").status_code == 200
close_services(services)
print(" ".join(sorted(name for name in sys.modules if "." not in name)))
"""


def test_a_web_worker_stays_small(tmp_path: Path) -> None:
    settings = settings_at(tmp_path)
    open_shop(settings)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment(settings),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.splitlines()[-1].split())
    assert {"flask", "numpy"} <= loaded
    assert not loaded & set(HEAVY)
