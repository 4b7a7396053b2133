"""The API on PostgreSQL: the calls that read and write, once more."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from api.app import build_services, close_services, create_app
from api.services import Services
from api.worker import compact_events
from recommender.coupons.counters import prune_claims
from recommender.coupons.coupon_rows import select_coupons
from recommender.coupons.ledger import Entry, read_ledger
from tests.api import (
    test_audiences,
    test_catalog,
    test_coupons,
    test_events,
    test_guides,
    test_members,
    test_recommendations,
)
from tests.api.checked import CheckedClient
from tests.api.conftest import SCOPES
from tests.shop import NOW, fill, make_key, open_shop, settings_at

pytestmark = pytest.mark.postgres


@pytest.fixture
def postgres_client(postgres_url: str, tmp_path: Path) -> Iterator[CheckedClient]:
    settings = replace(settings_at(tmp_path), database_url=postgres_url)
    open_shop(settings)
    services = build_services(settings)
    yield CheckedClient(create_app(services), make_key(services.database, *SCOPES))
    close_services(services)


@pytest.fixture
def postgres_services(postgres_url: str, tmp_path: Path) -> Iterator[Services]:
    """Services of a shop without a bundle."""
    services = build_services(replace(settings_at(tmp_path), database_url=postgres_url))
    fill(services.database)
    yield services
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


def test_a_members_own_data_and_its_end(postgres_url: str, tmp_path: Path) -> None:
    settings = replace(settings_at(tmp_path), database_url=postgres_url)
    open_shop(settings)
    services = build_services(settings)
    admin = CheckedClient(create_app(services), make_key(services.database, "admin"))
    test_members.test_a_profile_says_what_is_known_and_not_who(admin)
    test_members.test_what_was_shown_says_why_and_under_which_consent(admin, services)
    assert admin.get("/v1/audit").status_code == 200
    with services.database.write() as connection:
        for table in ("answers", "exposures", "consents", "identities"):
            connection.exec_driver_sql(f"DELETE FROM {table}")
    erased = test_members.erase_m05(admin, services)
    assert erased["sql"]["exposures"]["rows"] == 3
    test_members.test_erasure_ends_all_use_at_once(erased, admin, services)
    test_members.test_others_keep_what_is_theirs(erased, admin)
    compact_events(services.database, settings, NOW)
    export = test_members.body_of(admin, "/v1/members/m07/export")
    assert (len(export["event_log"]), len(export["tables"]["members"])) == (80, 1)
    close_services(services)


@pytest.mark.parametrize(
    "story",
    [
        test_coupons.test_a_coupon_s_life,
        test_coupons.test_the_budget_is_held_over_http,
        test_coupons.test_codes_at_the_till,
        test_coupons.test_a_redemption_is_rolled_back_also_before_it_comes,
        test_coupons.test_a_number_of_which_everything_was_refused_may_come_again,
    ],
    ids=lambda story: story.__name__,
)
def test_the_wallet(postgres_services: Services, story: Callable[[CheckedClient], None]) -> None:
    for client in test_coupons.open_wallet(postgres_services):
        story(client)


@pytest.mark.parametrize(
    "story",
    [
        test_coupons.test_a_call_is_done_once_per_key_and_per_request_number,
        test_coupons.test_below_cost_needs_a_second_key,
        test_coupons.test_a_frozen_offer,
        test_coupons.test_coupons_of_another_system_are_followed,
    ],
    ids=lambda story: story.__name__,
)
def test_the_wallet_beside_its_tables(
    postgres_services: Services, story: Callable[[Services, CheckedClient], None]
) -> None:
    for client in test_coupons.open_wallet(postgres_services):
        story(postgres_services, client)
    with postgres_services.database.write() as connection:
        assert prune_claims(connection, NOW) == 0
        coupons = select_coupons(connection, "1 = 1")
        assert all(read_ledger(connection, one.coupon_id)[0].entry is Entry.ISSUE for one in coupons)


def test_audiences_and_guides(postgres_url: str, tmp_path: Path) -> None:
    settings = replace(settings_at(tmp_path), database_url=postgres_url)
    open_shop(settings)
    services = build_services(settings)
    later = replace(services, clock=lambda: datetime.now(UTC) + timedelta(days=5))
    test_audiences.agree(services.database, *test_audiences.AGREED)
    test_guides.fill(later)
    marketer = CheckedClient(create_app(services), make_key(services.database, "campaigns"))
    guide = CheckedClient(create_app(later), make_key(services.database, "campaigns"))
    test_audiences.test_what_members_did_narrows_it_down(marketer)
    test_audiences.test_audiences_are_saved_in_versions(marketer)
    test_audiences.test_a_list_is_taken_in_once(marketer)
    test_audiences.test_members_are_ranked_for_items(marketer)
    test_guides.test_what_is_due_is_worth_its_margin_times_the_effect(guide)
    test_guides.test_what_a_guide_did_is_an_event_and_a_contact(guide, later)
    close_services(services)
