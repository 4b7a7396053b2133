"""Fixtures of the API's tests: settings, and a small shop with a trained bundle behind a checked client."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.app import build_services, close_services, create_app
from api.services import Services
from api.settings import ServiceSettings
from tests.api.checked import CheckedClient
from tests.shop import make_key, open_shop, settings_at

SCOPES = ("recommend", "events", "catalog", "campaigns")


@pytest.fixture
def settings(tmp_path: Path) -> ServiceSettings:
    """Settings of an installation that does not exist yet."""
    return settings_at(tmp_path)


@pytest.fixture(scope="session")
def shop_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop with a promoted bundle, to be copied."""
    folder = tmp_path_factory.mktemp("shop")
    open_shop(settings_at(folder))
    return folder


@pytest.fixture
def shop_settings(shop_folder: Path, tmp_path: Path) -> ServiceSettings:
    """The settings of a shop of this test."""
    shutil.copytree(shop_folder, tmp_path / "shop")
    return settings_at(tmp_path / "shop")


@pytest.fixture
def services(shop_settings: ServiceSettings) -> Iterator[Services]:
    """The services of a shop of this test."""
    built = build_services(shop_settings)
    yield built
    close_services(built)


@pytest.fixture
def client(services: Services) -> CheckedClient:
    """A client with the usual scopes."""
    return CheckedClient(create_app(services), make_key(services.database, *SCOPES))


@pytest.fixture(scope="module")
def shared_services(shop_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """The services of a shop that the tests of one module share, and leave as it is."""
    folder = tmp_path_factory.mktemp("shared") / "shop"
    shutil.copytree(shop_folder, folder)
    built = build_services(settings_at(folder))
    yield built
    close_services(built)


@pytest.fixture(scope="module")
def shared_client(shared_services: Services) -> CheckedClient:
    """A client with the usual scopes, of the shared shop."""
    return CheckedClient(create_app(shared_services), make_key(shared_services.database, *SCOPES))


@pytest.fixture
def bare_client(settings: ServiceSettings) -> Iterator[CheckedClient]:
    """A client of an installation without a bundle."""
    built = build_services(settings)
    yield CheckedClient(create_app(built), make_key(built.database, *SCOPES))
    close_services(built)
