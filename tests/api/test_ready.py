"""/readyz: ready with a bundle, also while the database is away; and what it warns of."""

from __future__ import annotations

import pytest

from api.services import Services
from tests.api.checked import CheckedClient


def ready(client: CheckedClient) -> dict[str, list[str]]:
    response = client.get("/readyz")
    assert response.status_code == 200
    assert response.json is not None
    found: dict[str, list[str]] = response.json
    return found


def test_all_is_well(client: CheckedClient, services: Services) -> None:
    serving = services.serving.current()
    assert serving is not None
    assert ready(client)["bundle_id"] == serving.bundle.bundle_id
    assert ready(client)["warnings"] == []


def test_a_full_spool_is_told(client: CheckedClient, services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    client.post("/v1/recommendations", {"member_id": "m01"})
    monkeypatch.setattr("api.routes.operations.FULL_SPOOL_BYTES", 10)
    (warning,) = ready(client)["warnings"]
    assert "memberwise worker" in warning


def test_without_the_database_it_stays_ready(client: CheckedClient, services: Services) -> None:
    client.post("/v1/recommendations", {"member_id": "m01"})
    services.database.dispose()
    home = services.settings.home
    home.rename(home.with_name("aside"))
    home.write_text("no folder")
    (warning,) = ready(client)["warnings"]
    assert warning.startswith("The database is away")
    figures = client.get("/metrics").text
    assert "memberwise_database_up 0.0" in figures
    assert "memberwise_exposure_queue_lines" not in figures
    services.database.dispose()
    home.unlink()
    home.with_name("aside").rename(home)
    assert ready(client)["warnings"] == []


def test_without_a_bundle_both_are_named(bare_client: CheckedClient) -> None:
    response = bare_client.get("/readyz")
    assert response.status_code == 503
    assert response.json is not None
    assert [error["field"] for error in response.json["errors"]] == ["bundle"]
