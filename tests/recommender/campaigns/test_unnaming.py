"""Erased members are named in no audience and in no campaign's settings, on both databases."""

from __future__ import annotations

import orjson

from recommender.campaigns.audience_parsing import parse_expression
from recommender.campaigns.audience_store import get_audience, save_audience
from recommender.campaigns.unnaming import unname_erased, without
from recommender.storage.campaign_tables import campaign_states
from recommender.storage.database import Database
from recommender.storage.erasure import request_erasure
from recommender.storage.hashing import HashKey
from tests.factories import NOW

EXPRESSION = {"or": [{"member_id": ["ann", "ben"]}, {"not": {"member_id": "ann"}}, {"tier": "ann"}]}


def test_audiences_and_settings_forget_the_erased(database: Database) -> None:
    settings = {"seeds": ["ann", "ben"], "audience": {"expression": EXPRESSION}}
    with database.write() as connection:
        save_audience(connection, "a", "", EXPRESSION, "key", NOW)
        save_audience(connection, "a", "", {"member_id": "ben"}, "key", NOW)
        state = {"campaign_id": "c", "kind": "one_off", "status": "draft", "version": 1, "salt": "s", "author": "key"}
        state |= {"settings": orjson.dumps(settings).decode(), "created_at": NOW, "updated_at": NOW}
        connection.execute(campaign_states.insert(), state)
    assert unname_erased(database) == 0
    with database.write() as connection:
        request_erasure(connection, "ann", "test", HashKey(b"k" * 32, 1), NOW)
    assert unname_erased(database) == 2
    assert unname_erased(database) == 0
    with database.read() as connection:
        first, second = get_audience(connection, "a", 1), get_audience(connection, "a")
        kept = connection.execute(campaign_states.select()).mappings().one()
    assert first.expression == {
        "or": [{"member_id": ["erased:", "ben"]}, {"not": {"member_id": "erased:"}}, {"tier": "ann"}]
    }
    assert parse_expression(first.expression)
    assert second.expression == {"member_id": "ben"}
    assert orjson.loads(kept["settings"])["seeds"] == ["erased:", "ben"]


def test_other_documents_stay_as_they_are() -> None:
    document = {"a": [1, None, {"b": "ann"}], "member_id": [1, "ben"]}
    assert without(document, {"ann"}) == document
