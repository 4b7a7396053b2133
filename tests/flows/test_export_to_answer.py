"""From an export to an answer that changes: ingest, train, serve, ask, act, ask again; by the commands alone."""

import csv
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from api.settings import ServiceSettings
from recommender.query import Scenario
from tests.flows.running import Asker, asker, memberwise, running, wait_until
from tests.shop import ITEMS, MEMBERS, NOW, settings_at

WEEKS = 16
NOON = NOW.replace(hour=12, minute=0)
"""Purchases lie within one day whenever the test runs: some minutes after midnight they would lie in two."""


def write(path: Path, rows: Iterable[dict[str, object]]) -> None:
    listed = list(rows)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(listed[0]))
        writer.writeheader()
        writer.writerows(listed)


def export(folder: Path) -> Path:
    """Write canonical tables: each member buys six items of their own weekly, and one other item now and then."""
    folder.mkdir()
    write(folder / "members.csv", ({"member_id": member_id, "home_store_id": "s1"} for member_id in MEMBERS))
    write(folder / "stores.csv", [{"store_id": "s1", "city": "Shanghai"}])
    write(
        folder / "items.csv",
        (
            {"item_id": item_id, "title": f"Item {number}", "price_cents": 100 + number}
            for number, item_id in enumerate(ITEMS)
        ),
    )
    write(folder / "inventory.csv", ({"store_id": "s1", "item_id": item_id, "on_hand": 9} for item_id in ITEMS))
    write(
        folder / "events.csv",
        (
            {
                "event_id": f"{member_id}-{week}-{place}",
                "occurred_at": (NOON - timedelta(days=7 * week + 1, minutes=number)).isoformat(),
                "kind": "purchase",
                "channel": "pos",
                "member_id": member_id,
                "item_id": ITEMS[(number + place + (place == 6) * week) % 28],
                "store_id": "s1",
                "order_id": f"{member_id}-{week}",
                "order_line": place,
                "quantity": 1,
            }
            for number, member_id in enumerate(MEMBERS)
            for week in range(WEEKS)
            for place in range(7)
        ),
    )
    return folder


def slate(who: Asker, member_id: str, **asked: object) -> list[str]:
    status, answer = who.ask("POST", "/v1/recommendations", {"member_id": member_id, **asked})
    assert status == 200, answer
    return [item["item_id"] for item in answer["items"]]


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> ServiceSettings:
    """An installation that loaded the export and learned from it."""
    folder = tmp_path_factory.mktemp("installation")
    settings = settings_at(folder)
    loaded = memberwise(settings, "ingest", str(export(folder / "export")))
    assert loaded.returncode == 0, loaded.stderr
    trained = memberwise(settings, "train")
    assert trained.returncode == 0, trained.stderr
    return settings


def test_from_an_export_to_an_answer_that_changes(learned: ServiceSettings) -> None:
    made = memberwise(learned, "keys", "create", "app", "--scopes", "recommend,events")
    assert made.returncode == 0, made.stderr
    token = made.stdout.strip()
    with running(learned, "--workers", "2") as service:
        who = asker(service, token)
        before = slate(who, "m05", count=15)
        assert set(before[:6]) == {ITEMS[5 + place] for place in range(6)}
        assert ITEMS[29] not in before
        event = {
            "event_id": "look-1",
            "occurred_at": datetime.now(UTC).isoformat(),
            "kind": "view",
            "channel": "mini_program",
            "member_id": "m05",
            "item_id": ITEMS[29],
        }
        status, result = who.ask("POST", "/v1/events", {"events": [event]})
        assert (status, result["accepted"]) == (200, 1)
        after = slate(who, "m05", count=15)
        assert ITEMS[29] in after, "what was looked at a moment ago comes in"
        assert after[:6] == before[:6], "what is bought every week stays in front"
        assert ITEMS[29] not in slate(who, "m06", count=15)
        agree_with_the_command(learned, who)
        revoke(learned, who, made.stderr.split()[1])


def agree_with_the_command(settings: ServiceSettings, who: Asker) -> None:
    """`memberwise recommend` and the API give the same lists, also after fresh events."""
    asked = settings.home / "asked.csv"
    write(asked, ({"member_id": member_id} for member_id in MEMBERS[:8]))
    about = {
        "similar": ({"item_id": ITEMS[3]}, ("--item", ITEMS[3])),
        "substitutes": ({"item_id": ITEMS[3]}, ("--item", ITEMS[3])),
        "basket": ({"basket_item_ids": ITEMS[3:5]}, ("--basket", ITEMS[3], "--basket", ITEMS[4])),
        "session": (
            {"events": [{"item_id": ITEMS[7]}, {"item_id": ITEMS[9]}]},
            ("--viewed", ITEMS[7], "--viewed", ITEMS[9]),
        ),
    }
    for scenario in Scenario:
        context, options = about.get(scenario, ({}, ()))
        out = settings.home / f"{scenario}.csv"
        words = (
            "--members",
            str(asked),
            "--scenario",
            scenario,
            "--count",
            "9",
            "--stock",
            "--out",
            str(out),
            *options,
        )
        done = memberwise(settings, "recommend", *words)
        assert done.returncode == 0, done.stderr
        lists: dict[str, list[str]] = {}
        with out.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                lists.setdefault(row["member_id"], []).append(row["item_id"])
        for member_id in MEMBERS[:8]:
            answer = slate(who, member_id, scenario=scenario, count=9, context=context)
            assert answer == lists[member_id], (scenario, member_id)


def revoke(settings: ServiceSettings, who: Asker, key_id: str) -> None:
    """A revoked key stops working within a second."""
    listed = memberwise(settings, "keys", "list")
    assert key_id in listed.stdout
    assert who.token not in listed.stdout
    assert memberwise(settings, "keys", "revoke", key_id).returncode == 0
    revoked = time.monotonic()
    wait_until(lambda: who.ask("GET", "/v1/members/m05/recommendations")[0] == 401, "the key is refused", seconds=5)
    assert time.monotonic() - revoked < 2.0
    assert "revoked" in memberwise(settings, "keys", "list").stdout
