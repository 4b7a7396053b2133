"""The pages about mappings name every key and every reason, and what they show can be read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from training.loading.rejects import EXPLANATIONS
from training.sources import mapping_file, mapping_rules
from training.sources.mapping_file import parse_mapping

FOLDER = Path(__file__).parents[3] / "docs" / "mappings"
PAGES = [FOLDER / "README.md", FOLDER / "README.zh-CN.md"]
KEYS = {
    *mapping_file._TOP,
    *mapping_file._FILE,
    *mapping_file._TABLE,
    *mapping_file._SCALE,
    *(key for keys in mapping_rules._KEYS.values() for key in keys),
}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_key_and_reason_is_explained(page: Path) -> None:
    text = page.read_text("utf-8")
    assert [key for key in sorted(KEYS) if not re.search(rf"\b{key}\b", text)] == []
    assert [reason for reason in EXPLANATIONS if f"`{reason}`" not in text] == []
    assert [unit for unit in mapping_rules.UNITS if unit not in text] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_mappings_shown_can_be_read(page: Path) -> None:
    whole, members, counted, scale = re.findall(r"```toml\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    assert parse_mapping(whole, "whole.toml").layout.skip_lines == 2
    parse_mapping(whole + scale, "scale.toml")
    rest = 'kind = { constant = "view" }\nchannel = { constant = "app" }\n'
    table = '[[tables]]\nname = "events"\n'
    parse_mapping(table + counted + rest, "counted.toml")
    first, second = (line for line in members.splitlines() if "=" in line)
    parse_mapping(f"{table}[tables.columns]\n{first}\n{rest}", "milliseconds.toml")
    parse_mapping(f'[[tables]]\nname = "members"\n[tables.columns]\nmember_id = "m"\n{second}', "serial.toml")
