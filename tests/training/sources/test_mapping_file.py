"""Errors of mapping files: each names the file, the key, the value and what is accepted."""

from __future__ import annotations

from pathlib import Path

import pytest

from recommender.errors import MappingError
from training.sources.mapping_file import parse_mapping, read_mapping

GOOD = """
source = "till"
[[tables]]
name = "items"
[tables.columns]
item_id = "code"
price_cents = "price"
available_from = "from"
"""


def told(text: str) -> str:
    with pytest.raises(MappingError) as caught:
        parse_mapping(text, "till.toml")
    assert "till.toml" in caught.value.message
    return str(caught.value)


def test_a_good_one_is_read() -> None:
    mapping = parse_mapping(GOOD, "till.toml")
    assert (mapping.source, mapping.used, mapping.money_decimals) == ("till", ("code", "price", "from"), 2)
    assert parse_mapping(GOOD.replace('source = "till"', ""), "pos.old.toml").source == "pos"


@pytest.mark.parametrize(
    ("old", "new", "field", "accepted"),
    [
        ('source = "till"', 'sauce = "till"', "sauce", "source, file, tables"),
        ('source = "till"', "source = 5", "source", "a text"),
        ('name = "items"', 'name = "things"', "tables[1].name", "members, consents"),
        ("[[tables]]", "[tables]", "tables", "one or several [[tables]]"),
        ('item_id = "code"', "", "tables[1].columns.item_id", "every row of items needs it"),
        ('item_id = "code"', "item_id = 5", "tables[1].columns.item_id", "a column of the file"),
        ('item_id = "code"', "item_id = {}", "tables[1].columns.item_id.column", "exactly one of column, join"),
        ('"code"', '{ column = "a", join = ["b"] }', "tables[1].columns.item_id.join", "exactly one of"),
        ('"code"', '{ column = "a", formats = ["%Y"] }', "tables[1].columns.item_id.formats", "column, join"),
        ('item_id = "code"', 'item = "code"', "tables[1].columns.item", "item_id, title"),
        ('"price"', '{ column = "p", money = "yuan" }', "tables[1].columns.price_cents.money", "decimal, cents"),
        ('"from"', '{ column = "d", origin = "x", unit = "day" }', "available_from.origin", "ISO 8601"),
        ('"from"', '{ column = "d", origin = "2024-01-01" }', "available_from.unit", "millisecond, second"),
        ('"from"', '{ column = "d", align = "end" }', "available_from.origin", "the time that align refers to"),
        (
            '"from"',
            '{ column = "d", origin = "2024-01-01", unit = "day", per = "m" }',
            "available_from.per",
            'only beside align = "end"',
        ),
        ('"from"', '{ column = "d", time_zone = "Mars" }', "available_from.time_zone", "an IANA time zone"),
        ('"code"', '{ column = "c", otherwise = "x" }', "item_id.values", "beside otherwise"),
        ("[[tables]]", '[file]\nencoding = "klingon"\n[[tables]]', "file.encoding", "utf-8, gb18030"),
        ("[[tables]]", '[file]\ndelimiter = "||"\n[[tables]]', "file.delimiter", "one ASCII character"),
        ("[[tables]]", '[file]\nformat = "xlsx"\n[[tables]]', "file.format", "csv, jsonl, parquet"),
        ("[[tables]]", "[file]\nskip_lines = -1\n[[tables]]", "file.skip_lines", "from 0 to"),
        ("[tables.columns]", 'only = { "a" = 5 }\n[tables.columns]', "tables[1].only.a", "a list of texts"),
        (
            "[tables.columns]",
            '[tables.scale_barcode]\ncolumn = "c"\n[tables.columns]',
            "scale_barcode",
            "item_id and quantity",
        ),
    ],
)
def test_wrong_keys_and_values(old: str, new: str, field: str, accepted: str) -> None:
    error = told(GOOD.replace(old, new))
    assert field in error
    assert accepted in error


def test_a_slip_of_the_pen_is_recognised() -> None:
    assert "Did you mean encoding?" in told(GOOD + '[file]\nencodng = "gb18030"')


def test_files_that_are_no_mapping(tmp_path: Path) -> None:
    assert "not TOML" in told("a = ")
    with pytest.raises(MappingError, match="cannot be read"):
        read_mapping(tmp_path / "none.toml")
    (tmp_path / "gb.toml").write_bytes('source = "门店"'.encode("gb18030"))
    with pytest.raises(MappingError, match="not UTF-8"):
        read_mapping(tmp_path / "gb.toml")
