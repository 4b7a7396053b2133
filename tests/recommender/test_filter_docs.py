"""docs/filters.md and the document describe every filter that is read, and show only such ones."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from api.openapi import document
from api.routes import OPERATIONS
from api.steering_schemas import FILTER_EXAMPLES
from recommender.filter_parsing import KINDS, parse_filter
from recommender.placement import Placement, parse_placement

PAGE = (Path(__file__).parents[2] / "docs" / "filters.md").read_text("utf-8")
CELLS = re.findall(r"\| `(\{.*?\})` \|", PAGE)
SETTINGS = [json.loads(text)["settings"] for text in re.findall(r"-d '(\{\"settings\".*?)'", PAGE)]
ASKED = [json.loads(text)["filters"] for text in re.findall(r"-d '(\{\"member_id\".*?)'", PAGE)]


@pytest.mark.parametrize("example", [*map(json.loads, CELLS), *ASKED, *FILTER_EXAMPLES], ids=str)
def test_examples_are_filters(example: dict[str, object]) -> None:
    assert parse_filter(example).key


def test_settings_shown_can_be_put() -> None:
    assert SETTINGS
    assert all(parse_placement(settings).cool_down.active for settings in SETTINGS)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_described(kind: str) -> None:
    assert f"`{kind}`" in PAGE
    assert any(next(iter(json.loads(cell))) == kind for cell in CELLS)


def test_every_setting_is_described() -> None:
    for name in ("filters", "boosts", "bury", "pins", *Placement.__slots__):
        if name not in ("steering", "version"):
            assert f"`{name}`" in PAGE


def test_the_document_knows_the_same_kinds() -> None:
    schema = document(OPERATIONS, "0")["components"]["schemas"]["Filter"]
    assert set(schema["properties"]) == set(KINDS)
    assert (schema["minProperties"], schema["maxProperties"]) == (1, 1)
    assert "required" not in schema
    assert not any("default" in part for part in schema["properties"].values())
