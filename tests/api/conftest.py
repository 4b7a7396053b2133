"""Fixtures of the API's tests: settings below a temporary folder."""

from pathlib import Path

import pytest

from api.settings import ServiceSettings


@pytest.fixture
def settings(tmp_path: Path) -> ServiceSettings:
    return ServiceSettings(home=tmp_path / "home", models=tmp_path / "models", hash_key="0123456789abcdef")
