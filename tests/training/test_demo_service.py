"""The demo's service: it starts on a free port, or shows its log."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from recommender.errors import MemberwiseError
from tests.training.shops import environ_of
from training.demo_service import answer_language, free_port, serving
from training.place import Place


def test_a_taken_port_is_avoided() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert free_port(port) != port
    assert free_port(port) == port


def test_a_service_that_does_not_start_shows_its_log(fresh_shop: Place, tmp_path: Path) -> None:
    environ = environ_of(fresh_shop) | {"MEMBERWISE_WORKERS": "many"}
    with (
        pytest.raises(MemberwiseError, match=r"did not start.*MEMBERWISE_WORKERS"),
        serving(environ, tmp_path / "service.log"),
    ):
        pass


def test_reasons_come_in_the_language_of_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    assert answer_language() == "zh"
    monkeypatch.setenv("LANG", "C.UTF-8")
    assert answer_language() == "en"
