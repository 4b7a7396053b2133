"""The hash key is replaced while the service runs: identities are linked under the new key first, then it is used."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from api.app import build_services, close_services, create_app
from api.settings import ServiceSettings
from recommender.errors import SettingsError
from recommender.storage.statements import fetch
from tests.api.checked import CheckedClient
from tests.shop import make_key

PHONE = {"namespace": "phone", "value": "138 0013 8000"}
SAME = {"namespace": "phone", "value": "+8613800138000"}


def client_of(settings: ServiceSettings) -> CheckedClient:
    services = build_services(settings)
    return CheckedClient(create_app(services), make_key(services.database, "recommend", "events", "catalog"))


def strategy(client: CheckedClient, identity: dict[str, str]) -> str:
    body = {"identity": identity, "scenario": "home", "count": 3}
    answer = client.post("/v1/recommendations", body).json
    assert answer is not None
    return str(answer["strategy"])


def test_no_history_is_lost_when_the_key_is_replaced(shop_settings: ServiceSettings) -> None:
    old = client_of(shop_settings)
    newer = replace(shop_settings, hash_key="a-new-key-of-32-characters-0123", hash_key_version=2)
    for number in range(3):
        event = {
            "event_id": f"by-phone-{number}",
            "occurred_at": datetime.now(UTC).isoformat(),
            "kind": "view",
            "channel": "app",
            "item_id": "i25",
            "identity": PHONE,
        }
        assert old.post("/v1/events", {"events": [event]}).status_code == 200
    link = {"identities": [PHONE | {"member_id": "new-member"}]}
    assert old.put("/v1/identities", link).status_code == 200
    # A load of the identities with the new key, while the service still uses the old one.
    loader = client_of(newer)
    assert loader.put("/v1/identities", link).status_code == 200
    assert strategy(old, SAME) == "personal"
    assert strategy(loader, SAME) == "personal"
    services = build_services(newer)
    with services.database.read() as connection:
        values = [row[0] for row in fetch(connection, "SELECT value FROM identities WHERE member_id = 'new-member'")]
    assert {value.partition(":")[0] for value in values} == {"h1", "h2"}
    close_services(services)


def test_a_new_key_needs_a_new_version(shop_settings: ServiceSettings) -> None:
    client_of(shop_settings)
    with pytest.raises(SettingsError, match="another hash key"):
        build_services(replace(shop_settings, hash_key="a-new-key-of-32-characters-0123"))
