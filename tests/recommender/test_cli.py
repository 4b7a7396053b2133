"""The command: lazy, and plain about expected errors."""

from __future__ import annotations

import subprocess
import sys
import types

import click
import pytest
from click.testing import CliRunner, Result

from recommender import cli
from recommender.cli import COMMANDS, EXTRAS, CommandPlace, main
from recommender.errors import InputError


@pytest.fixture
def fake_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands that fail in several ways, in a module of their own."""
    module = types.ModuleType("fake_commands")

    @click.command()
    def wrong() -> None:
        raise InputError("That cannot be.\nReally.", field="x", value="7", accepted="1 to 3")

    @click.command()
    def bug() -> None:
        raise ZeroDivisionError

    @click.command()
    def extra() -> None:
        raise ModuleNotFoundError("No module named 'implicit'", name="implicit.cpu")

    @click.command()
    def lost() -> None:
        raise ModuleNotFoundError("No module named 'nothing'", name="nothing")

    names = {"wrong": wrong, "bug": bug, "extra": extra, "lost": lost}
    for name, command in names.items():
        setattr(module, name, command)
        monkeypatch.setitem(COMMANDS, name, CommandPlace(f"fake_commands:{name}", "For a test."))
    monkeypatch.setitem(sys.modules, "fake_commands", module)


def run(*words: str) -> Result:
    return CliRunner().invoke(main, words)


@pytest.mark.usefixtures("fake_commands")
def test_an_expected_error_is_one_line_and_exit_code_2() -> None:
    done = run("wrong")
    assert done.exit_code == 2
    assert done.stdout == ""
    assert done.stderr == "Error: That cannot be. Really.; field: x; value: '7'; accepted: 1 to 3\n"


@pytest.mark.usefixtures("fake_commands")
def test_a_missing_extra_is_named() -> None:
    done = run("extra")
    assert done.exit_code == 2
    assert "pip install 'memberwise[train]'" in done.stderr


@pytest.mark.usefixtures("fake_commands")
def test_our_own_mistakes_are_not_hidden() -> None:
    assert isinstance(run("bug").exception, ZeroDivisionError)
    assert isinstance(run("lost").exception, ModuleNotFoundError)


def test_help_lists_every_command_without_importing_one() -> None:
    program = (
        "import sys; from recommender.cli import main; "
        "main(['--help'], standalone_mode=False); "
        "print([name for name in sys.modules if name.startswith(('api', 'training', 'sqlalchemy', 'numpy'))])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("[]\n")
    assert all(f"  {name} " in done.stdout for name in COMMANDS)


def test_an_unknown_command_is_told() -> None:
    done = run("trian")
    assert done.exit_code == 2
    assert "trian" in done.stderr


def test_version() -> None:
    assert run("--version").stdout.startswith("memberwise, version ")


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_exists(name: str) -> None:
    command = main.get_command(click.Context(main), name)
    assert command is not None
    assert command.help


def test_extras_are_those_of_the_distribution() -> None:
    assert set(EXTRAS.values()) <= {"train", "demo", "postgres"}
    assert cli.one_line(InputError("a\n b")) == "a b"
