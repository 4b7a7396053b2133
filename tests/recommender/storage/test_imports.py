"""Web workers stay small: what they import of storage loads no analytics library."""

from __future__ import annotations

import subprocess
import sys

SERVING = ("database", "events", "identities", "members", "live", "keys", "catalog", "subject_state", "audit")
HEAVY = ("duckdb", "pyarrow", "pandas", "lightgbm", "alembic", "implicit", "flask", "pydantic")


def test_serving_modules_load_no_analytics_library() -> None:
    imports = "; ".join(f"import recommender.storage.{name}" for name in SERVING)
    program = f"import sys; {imports}; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_event_log_loads_arrow_only_when_it_writes() -> None:
    program = (
        "import sys; import recommender.storage.compact, recommender.storage.event_log; print('pyarrow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
