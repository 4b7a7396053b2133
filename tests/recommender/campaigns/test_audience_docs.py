"""docs/audiences.md describes every condition that is read, and shows only such ones."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from recommender.campaigns.audience import LeftOut, parse_expression
from recommender.campaigns.audience_parsing import KINDS, SINCE
from recommender.campaigns.audience_preview import NOTES
from recommender.campaigns.card_lists import Unresolved

PAGE = (Path(__file__).parents[3] / "docs" / "audiences.md").read_text("utf-8")
CELLS = re.findall(r"\| `(\{.*?\})` \|", PAGE)
ASKED = [json.loads(text)["expression"] for text in re.findall(r"-d '(\{\"expression\".*?)'", PAGE)]
FILES = [json.loads(text) for text in re.findall(r"<<'JSON'\n(.*?)JSON", PAGE, re.DOTALL)]


@pytest.mark.parametrize("example", [*map(json.loads, CELLS), *ASKED, *FILES], ids=str)
def test_examples_are_audiences(example: dict[str, object]) -> None:
    parse_expression(example)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_described(kind: str) -> None:
    assert any(next(iter(json.loads(cell))) == kind for cell in CELLS)


def test_every_word_is_described() -> None:
    for name in (*SINCE, *LeftOut, *Unresolved, *NOTES):
        assert f"`{name}`" in PAGE
