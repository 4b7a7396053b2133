"""Promises of docs/privacy.md and docs/security.md: the data map is complete and says what the code does."""

import re
from pathlib import Path

from api.auth import Scope
from api.headers import DEFAULT_HEADERS, SECURITY_HEADERS
from api.rate_limits import WINDOW_SECONDS
from api.routes import OPERATIONS
from api.settings import ServiceSettings
from api.strict_json import MAX_DEPTH
from recommender.retrievers import RETRIEVERS
from recommender.settings import describe
from recommender.storage.members import ADULT_AGE_YEARS, GUARDIAN_PERSONALIZATION, PERSONALIZATION
from recommender.storage.personal import PERSONAL
from recommender.storage.tables import metadata

DOCS = Path(__file__).parent.parent / "docs"
PRIVACY = (DOCS / "privacy.md").read_text("utf-8")
SECURITY = (DOCS / "security.md").read_text("utf-8")
TOMBSTONES = {"erased_subjects"}
KINDS_OF_UNITS = {"experiments"}
"""Tables whose `unit` is no household or member, but says by which of them something is drawn."""


def rows(text: str, first: str) -> dict[str, list[str]]:
    """Return the rows of the table whose head begins with a cell, by each name in the first cell."""
    (table,) = re.findall(rf"^\| {first} \|.*\n\|[-|]+\n((?:\|.*\n)+)", text, re.MULTILINE)
    found = {}
    for line in table.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        for name in re.findall(r"`([^`]+)`", cells[0]) or [cells[0]]:
            found[name] = [cell.strip(" |") for cell in cells[1:]]
    return found


def test_every_table_is_on_the_data_map() -> None:
    assert set(rows(PRIVACY, "table")) == set(metadata.tables)


def test_the_data_map_says_what_erasure_does() -> None:
    said = {table: cells[-1] for table, cells in rows(PRIVACY, "table").items()}
    assert {table: fate for table, fate in said.items() if fate in ("deleted", "unnamed", "book")} == {
        one.table: str(one.fate) for one in PERSONAL
    }


def test_every_table_that_names_members_is_looked_after() -> None:
    naming = {
        name
        for name, table in metadata.tables.items()
        if {"member_id", "subject", "household_id", "unit"} & set(table.c.keys())
    }
    assert naming - TOMBSTONES - KINDS_OF_UNITS <= {one.table for one in PERSONAL}
    for one in PERSONAL:
        assert {one.column, one.time, *one.cleared, *one.also} <= set(one.sql.c.keys())


def test_every_method_is_explained() -> None:
    assert set(rows(PRIVACY, "method")) == set(RETRIEVERS)


def test_settings_and_numbers_are_right() -> None:
    known = {row.environment for row in describe(ServiceSettings)}
    for text in (PRIVACY, SECURITY):
        assert set(re.findall(r"MEMBERWISE_[A-Z_]+", text)) <= known
    assert f"the age is\n{ADULT_AGE_YEARS}." in PRIVACY
    assert f"{MAX_DEPTH} levels" in SECURITY
    assert WINDOW_SECONDS == 10
    assert "ten seconds" in SECURITY
    assert f"`{GUARDIAN_PERSONALIZATION}`" in PRIVACY
    assert f"consents/{PERSONALIZATION}`" in PRIVACY


def test_calls_that_are_named_exist() -> None:
    known = {f"{operation.method} {operation.path}" for operation in OPERATIONS}
    known |= {call.replace("{purpose}", PERSONALIZATION) for call in known}
    for text in (PRIVACY, SECURITY):
        named = {call.partition("?")[0] for call in re.findall(r"`((?:GET|PUT|POST|DELETE) /v1[^`]*)`", text)}
        assert named <= known


def test_scopes_and_headers_are_the_ones_in_use() -> None:
    assert set(rows(SECURITY, "scope")) == set(Scope)
    for name, value in (*SECURITY_HEADERS, *DEFAULT_HEADERS):
        assert f"`{name}: {value.partition(';')[0]}`" in SECURITY
    for path in (operation.path for operation in OPERATIONS if operation.scope is None):
        assert f"`{path}`" in SECURITY
    assert sum(operation.scope is None and operation.signed is None for operation in OPERATIONS) == 4
