"""The API on PostgreSQL: the calls that read and write, once more."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from api.app import build_services, close_services, create_app
from tests.api import test_catalog, test_events, test_recommendations
from tests.api.checked import CheckedClient
from tests.api.conftest import SCOPES
from tests.shop import make_key, open_shop, settings_at

pytestmark = pytest.mark.postgres


@pytest.fixture
def postgres_client(postgres_url: str, tmp_path: Path) -> Iterator[CheckedClient]:
    settings = replace(settings_at(tmp_path), database_url=postgres_url)
    open_shop(settings)
    services = build_services(settings)
    yield CheckedClient(create_app(services), make_key(services.database, *SCOPES))
    close_services(services)


def test_it_answers_and_records_the_same(postgres_client: CheckedClient) -> None:
    test_recommendations.test_a_member_gets_what_they_buy(postgres_client)
    test_recommendations.test_what_is_sold_out_is_not_shown(postgres_client)
    test_recommendations.test_a_view_and_a_purchase_change_the_next_answer(postgres_client)
    test_recommendations.test_a_link_brings_the_history_and_unlinking_takes_it_back(postgres_client)
    batch = [test_events.event(f"pg-{number}") for number in range(100)]
    assert test_events.send(postgres_client, *batch)["accepted"] == 100
    assert test_events.send(postgres_client, *batch)["duplicate"] == 100
    test_catalog.test_a_value_linked_to_two_members_is_a_conflict_until_one_is_unlinked(postgres_client)
    assert postgres_client.get("/readyz").status_code == 200
