"""Promises of the documents: links lead somewhere, commands exist, languages agree, settings are listed."""

import itertools
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from recommender.cli import main
from recommender.columns import TABLES
from recommender.retrievers import RETRIEVERS
from tests import settings_page

ROOT = Path(__file__).parent.parent
READMES = (ROOT / "README.md", ROOT / "README.zh-CN.md")
IGNORED = {".venv", "var", "build", "dist", "node_modules"}

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def pages() -> list[Path]:
    return sorted(path for path in ROOT.rglob("*.md") if not IGNORED & set(path.relative_to(ROOT).parts))


def page_name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def prose(text: str) -> str:
    return FENCE.sub("", text)


def shell_lines(text: str) -> Iterator[str]:
    """Yield the commands of all `sh` blocks, continued lines joined, comments removed."""
    for language, block in FENCE.findall(text):
        if language == "sh":
            for line in block.replace("\\\n", " ").splitlines():
                command = re.sub(r"(^|\s+)#.*$", "", line).strip()
                if command:
                    yield re.sub(r"\s+", " ", command)


def memberwise_calls(text: str) -> Iterator[list[str]]:
    """Yield the words after `memberwise` of every such command in shell blocks, also behind variables and docker."""
    for line in shell_lines(text):
        for part in re.split(r"\s(?:&&|\|)\s", line):
            words = list(itertools.dropwhile(lambda word: "=" in word, shlex.split(part)))
            if "memberwise" in words and words[0] in ("memberwise", "docker"):
                yield words[words.index("memberwise") + 1 :]


def anchors(path: Path) -> set[str]:
    """Return the anchors that a hosting site gives to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", prose(path.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", pages(), ids=page_name)
def test_relative_links_lead_to_a_file_and_a_heading(page: Path) -> None:
    for target in LINK.findall(prose(page.read_text("utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), f"{page_name(page)} links to {target}"
        if anchor:
            assert anchor in anchors(file), f"{page_name(page)} links to {target}: no such heading"


@pytest.mark.parametrize("page", pages(), ids=page_name)
def test_documented_commands_and_options_exist(page: Path) -> None:
    for words in memberwise_calls(page.read_text("utf-8")):
        command: click.Command = main
        context = click.Context(command, info_name="memberwise")
        while words and isinstance(command, click.Group) and not words[0].startswith("-"):
            found = command.get_command(context, words[0])
            assert found is not None, f"{page_name(page)}: no command {words[0]!r} in `memberwise {' '.join(words)}`"
            command, words = found, words[1:]
        known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
        used = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)} - {"--help"}
        assert used <= known, f"{page_name(page)}: `{command.name}` has no option {sorted(used - known)}"


def test_every_make_target_is_explained_in_both_readmes() -> None:
    targets = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert "demo" in targets
    for readme in READMES:
        text = readme.read_text("utf-8")
        assert [target for target in targets if f"make {target}" not in text] == [], page_name(readme)


def test_documented_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for page in pages():
        used = re.findall(r"(?:^|`)(?:[A-Z_]+=\S+ )*make ([a-z][a-z -]*[a-z])", page.read_text("utf-8"), re.MULTILINE)
        names = {name for line in used for name in line.split()}
        assert names <= targets, f"{page_name(page)}: no make target {sorted(names - targets)}"


def test_both_readmes_have_the_same_sections_and_commands() -> None:
    english, chinese = (readme.read_text("utf-8") for readme in READMES)
    levels = [re.findall(r"^(#+) ", prose(text), re.MULTILINE) for text in (english, chinese)]
    assert levels[0] == levels[1]
    assert list(shell_lines(english)) == list(shell_lines(chinese))
    tables = [[line.count("|") for line in text.splitlines() if line.startswith("|")] for text in (english, chinese)]
    assert tables[0] == tables[1]


def test_every_setting_is_documented_as_it_is() -> None:
    assert settings_page.PAGE.read_text("utf-8") == settings_page.render(), "run `make docs`"


def test_the_data_contract_names_every_table_and_column() -> None:
    text = (ROOT / "docs" / "data-contract.md").read_text("utf-8")
    written = dict(re.findall(r"^\| (\w+) \| (\w+\*.*) \|$", text, re.MULTILINE))
    expected = {
        name: ", ".join(column.name + "*" * column.required for column in spec.columns) for name, spec in TABLES.items()
    }
    assert written == expected


def test_every_retriever_is_described() -> None:
    text = (ROOT / "docs" / "retrievers.md").read_text("utf-8")
    assert set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) == set(RETRIEVERS)


def test_changelog_has_the_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    assert re.search(rf"^## \[{re.escape(version)}\]", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)


def test_constraints_are_plain_exact_versions() -> None:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert pins
    assert [pin for pin in pins if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!+_-]+", pin)] == []
