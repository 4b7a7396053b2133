"""Audiences that cannot be read: the error names the place, the value and what is accepted."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.campaigns.audience_conditions import All
from recommender.campaigns.audience_parsing import KINDS, named_audiences, parse_expression
from recommender.errors import InputError
from recommender.json_trees import MAX_CONDITIONS, MAX_DEPTH


@pytest.mark.parametrize(
    ("expression", "field"),
    [
        (None, "expression"),
        ([], "expression"),
        ({}, "expression"),
        ({"tier": "gold", "city": "x"}, "expression"),
        ({"shoe_size": 43}, "expression"),
        ({"and": []}, "expression.and"),
        ({"and": [{"tier": 5}]}, "expression.and[0].tier"),
        ({"not": [{"tier": "gold"}]}, "expression.not"),
        ({"everyone": False}, "expression.everyone"),
        ({"kind": "robot"}, "expression.kind"),
        ({"bought": {}}, "expression.bought"),
        ({"birth_month": 13}, "expression.birth_month"),
        ({"birth_month": True}, "expression.birth_month"),
        ({"birth_month": []}, "expression.birth_month"),
        ({"points": {}}, "expression.points"),
        ({"points": {"min": 5, "max": 4}}, "expression.points.max"),
        ({"points": {"min": "5"}}, "expression.points.min"),
        ({"attribute": {"name": "a"}}, "expression.attribute"),
        ({"attribute": {"is": 1}}, "expression.attribute.name"),
        ({"consent": {"channel": "sms"}}, "expression.consent.purpose"),
        ({"consent": {"purpose": "push", "granted": "yes"}}, "expression.consent.granted"),
        ({"days_since": {"what": "birth", "min": 1}}, "expression.days_since.what"),
        ({"days_since": {"what": "registered"}}, "expression.days_since"),
        ({"orders": {"within_days": 0, "min": 1}}, "expression.orders.within_days"),
        ({"orders": {"within_days": 30}}, "expression.orders"),
        ({"orders": {"within_day": 30, "min": 1}}, "expression.orders.within_day"),
        ({"discount_share": {"min": "a"}}, "expression.discount_share.min"),
        ({"rfm": {"recency": 6}}, "expression.rfm.recency"),
        ({"rfm": {"age": 1}}, "expression.rfm.age"),
        ({"bought": {"category": ">"}}, "expression.bought.category"),
        ({"bought": {"min_times": 0, "brand": "a"}}, "expression.bought.min_times"),
        ({"bought": {"channel": ["pos", 3]}}, "expression.bought.channel[1]"),
        ({"browsed": {"kind": ["purchase"]}}, "expression.browsed.kind"),
        ({"due": {"within_days": -1}}, "expression.due.within_days"),
        ({"affinity": {"item_id": "a"}}, "expression.affinity"),
        ({"affinity": {"top": 5}}, "expression.affinity"),
        ({"affinity": {"item_id": "a", "offer_id": "o", "top": 5}}, "expression.affinity"),
        ({"affinity": {"item_id": "a", "top_share": 0}}, "expression.affinity.top_share"),
        ({"random": {"salt": "a"}}, "expression.random.share"),
        ({"random": {"share": 1.5}}, "expression.random.share"),
        ({"card_list": ["a", "b"]}, "expression.card_list[0]"),
        ({"member_id": ["a"] * 1001}, "expression.member_id"),
    ],
)
def test_what_cannot_be_read_is_named(expression: Any, field: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_expression(expression)
    assert caught.value.field == field
    assert caught.value.accepted


def test_expressions_have_a_depth_and_a_size() -> None:
    deep: Any = {"tier": "gold"}
    for _ in range(MAX_DEPTH):
        deep = {"not": deep}
    with pytest.raises(InputError, match="too deep"):
        parse_expression(deep)
    many = {"or": [{"tier": "gold"}] * MAX_CONDITIONS}
    with pytest.raises(InputError, match="too many conditions"):
        parse_expression(many)


def test_several_fifths_all_hold() -> None:
    found = parse_expression({"rfm": {"recency": [4, 5], "monetary": 5}})
    assert isinstance(found, All)
    assert len(found.parts) == 2


def test_named_audiences_are_found_wherever_they_stand() -> None:
    expression = {"and": [{"not": {"audience": "a"}}, {"or": [{"audience": "b"}, {"card_list": "c"}]}]}
    assert named_audiences(expression) == {"a", "b"}


WORDS = ("name", "is", "in", "min", "max", "within_days", "channel", "item_id", "top", "share", "what", "purpose")
VALUES = st.none() | st.booleans() | st.integers(-5, 20) | st.floats() | st.sampled_from(["a", "", "> >", "this"])
JSON = st.recursive(
    VALUES,
    lambda parts: st.lists(parts, max_size=3) | st.dictionaries(st.sampled_from((*WORDS, *KINDS)), parts, max_size=3),
    max_leaves=8,
)


def refused_at(expression: Any) -> str | None:
    """Return the place that an error names, None if the expression is read."""
    try:
        parse_expression(expression)
    except InputError as error:
        return error.field or ""
    return None


@given(expression=st.dictionaries(st.sampled_from(KINDS), JSON, min_size=1, max_size=1))
def test_whatever_is_sent_is_read_or_refused_at_a_place(expression: dict[str, Any]) -> None:
    place = refused_at(expression)
    assert place is None or place.startswith("expression")
    named_audiences(expression)
