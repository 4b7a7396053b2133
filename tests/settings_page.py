"""Writes docs/settings.md from the settings themselves: `make docs`. tests/test_docs.py compares the two."""

from collections.abc import Sequence
from pathlib import Path

from api.settings import ServiceSettings
from recommender.settings import CoreSettings, SettingRow, describe
from training.ingest_settings import IngestSettings
from training.settings import TrainingSettings

PAGE = Path(__file__).parent.parent / "docs" / "settings.md"

INTRODUCTION = """\
# Settings

<!-- Written by `make docs` from the settings in the code. -->

A setting is read from the environment under the name in the first column, or from a TOML file under the same
name without `MEMBERWISE_` and in lower case. The environment wins. The file is the one named by
`MEMBERWISE_SETTINGS`, else `memberwise.toml` in `MEMBERWISE_HOME` if there is one. A wrong value stops the
program at its start, with the setting, the value and what is accepted; so does an unknown name in the file.
An unknown `MEMBERWISE_` variable is a warning.

```toml
# memberwise.toml
database_url = "postgresql+psycopg://memberwise@localhost/memberwise"
time_zone = "Asia/Shanghai"
currency = "CNY"
```
"""

TRAINING = """
## A training run

These decide the models and nothing else does: they come from the TOML file that `memberwise train` is given,
never from the environment, and are copied into the bundle. A name with a dot stands in a table:
`factors.alpha` is `alpha` under `[factors]`.
"""


def render() -> str:
    """Return the whole page: what every process shares, what the service adds, what a run can be told."""
    core = describe(CoreSettings)
    ingest, service = (
        [(row.environment, row) for row in describe(kind) if row not in core]
        for kind in (IngestSettings, ServiceSettings)
    )
    return "\n".join(
        (
            INTRODUCTION,
            "## Every process\n",
            _table([(row.environment, row) for row in core]),
            "\n## Loading exports (`memberwise ingest`, `memberwise profile`)\n",
            _table(ingest),
            "\n## The service (`memberwise serve`, `memberwise worker`)\n",
            _table(service),
            TRAINING,
            _table([(row.name, row) for row in describe(TrainingSettings)]),
            "",
        )
    )


def _table(rows: Sequence[tuple[str, SettingRow]]) -> str:
    lines = ["| setting | default | unit | meaning |", "|---|---|---|---|"]
    lines += [f"| `{name}` | {_code(row.default)} | {row.unit} | {row.meaning} |" for name, row in rows]
    return "\n".join(lines)


def _code(value: object) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"`{text}`" if text else "empty"


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
