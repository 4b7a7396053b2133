"""Writes docs/settings.md from the settings themselves: `make docs`. tests/test_docs.py compares the two."""

from collections.abc import Sequence
from pathlib import Path

from api.settings import ServiceSettings
from recommender.settings import CoreSettings, SettingRow, describe

PAGE = Path(__file__).parent.parent / "docs" / "settings.md"

INTRODUCTION = """\
# Settings

<!-- Written by `make docs` from the settings in the code. -->

A setting is read from the environment under the name in the first column, or from a TOML file under the
same name without `MEMBERWISE_` and in lower case. The environment wins. The file is the one named by
`MEMBERWISE_SETTINGS`, else `memberwise.toml` in `MEMBERWISE_HOME` if there is one. A wrong value stops the
program at its start, with the setting, the value and what is accepted; so does an unknown name in the file.

```toml
# memberwise.toml
database_url = "postgresql+psycopg://memberwise@localhost/memberwise"
time_zone = "Asia/Shanghai"
currency = "CNY"
```
"""


def render() -> str:
    """Return the whole page: one table for what every process shares, one for the service."""
    core = describe(CoreSettings)
    shared = {row.name for row in core}
    service = [row for row in describe(ServiceSettings) if row.name not in shared]
    return "\n".join(
        (
            INTRODUCTION,
            "## Every process\n",
            _table(core),
            "\n## The service (`memberwise serve`, `memberwise worker`)\n",
            _table(service),
            "\n## Training\n",
            "The settings of the models are not here: they belong to a training run and are copied into the",
            "bundle it makes. `memberwise train --help` names the file and the options.",
            "",
        )
    )


def _table(rows: Sequence[SettingRow]) -> str:
    lines = ["| setting | default | unit | meaning |", "|---|---|---|---|"]
    lines += [f"| `{row.environment}` | {_code(row.default)} | {row.unit} | {row.meaning} |" for row in rows]
    return "\n".join(lines)


def _code(value: object) -> str:
    text = str(value)
    return f"`{text}`" if text else ""


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
