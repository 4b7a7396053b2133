"""Reasons: what is said of each item, with evidence, in English and Chinese."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest
import scipy.sparse as sp

from recommender.history import MINUTES_PER_DAY
from recommender.pipeline import Recommender
from recommender.query import Context, Mask, Query, Scenario
from recommender.ranking import Blend
from recommender.reasons import LANGUAGES, Reason, ReasonCode, explain, reason_summary
from recommender.retrievers.converted import ConvertedRetriever
from recommender.retrievers.linear import LinearRetriever
from recommender.retrievers.occasion import DAYS_PER_WEEK, SEASONS, OccasionRetriever, season_of, weekday_of
from recommender.retrievers.peers import PeerRetriever, lengths, telling
from recommender.retrievers.sections import SectionRetriever
from recommender.retrievers.similar import SimilarRetriever
from recommender.retrievers.substitutes import SubstituteRetriever
from recommender.retrievers.together import TogetherRetriever
from tests.learning import AS_OF, VIEW, ask, mask_of, plain_weights
from tests.toy_shop import HOME_WEIGHTS, ranked_lists, toy_recommender

TODAY = date(1970, 1, 1) + timedelta(days=AS_OF // MINUTES_PER_DAY)
SHOP = toy_recommender(
    popular=[8, 4, 2, 1, 1, 0],
    near={(1, 4): 0.5, (2, 4): 0.25},
    stores=[{5: 1.0}],
    trending={3: 2.0},
    new={5: 0.1},
    weights={
        **dict.fromkeys((Scenario.HOME, Scenario.BUY_AGAIN), HOME_WEIGHTS),
        Scenario.TRENDING: {"trending": 1.0, "popularity": 0.1},
        Scenario.DISCOVER: {"store_popularity": 1.0, "arrivals": 0.5, "popularity": 0.1},
    },
)

STORE_FIRST = {scenario: {"store_popularity": 1.0, "popularity": 0.1} for scenario in Scenario}


def said(query: Query, recommender: Recommender = SHOP) -> dict[int, list[tuple[str, dict[str, object]]]]:
    """Return code and evidence of the reasons of each item of the slate."""
    slate = recommender.recommend([query])[0]
    reasons = explain(slate, query, recommender)
    assert len(reasons) == len(slate.row)
    return {
        int(row): [(str(reason.code), dict(reason.evidence)) for reason in part]
        for row, part in zip(slate.row, reasons, strict=True)
    }


def days_before(days: int) -> str:
    return (TODAY - timedelta(days=days)).isoformat()


def test_items_of_the_season_say_their_place() -> None:
    day = AS_OF // MINUTES_PER_DAY
    number = int(season_of(np.array([day]))[0]) * DAYS_PER_WEEK + int(weekday_of(np.array([day]))[0])
    lists = ranked_lists(*({3: 2.0, 2: 1.0} if at == number else {} for at in range(SEASONS * DAYS_PER_WEEK)))
    occasion = OccasionRetriever(lists, 0)
    weights = {**SHOP.ranker.weights, Scenario.TRENDING: {"occasion": 1.0}}
    parts = (*SHOP.retrievers, occasion)
    shop = replace(SHOP, retrievers=parts, ranker=Blend(weights), depth={**SHOP.depth, "occasion": 10})
    assert said(ask(scenario=Scenario.TRENDING), shop)[2] == [("of_the_season", {"place": 2})]


def test_own_purchases_are_told_with_times_interval_and_day() -> None:
    # Bought 26, 12 and 4 days ago: two gaps in 22 days.
    found = said(ask((1, 26), (1, 12), (1, 4), (2, 6), (3, 5, VIEW)))
    assert found[1] == [("bought_regularly", {"times": 3, "every_days": 11, "last_on": days_before(4)})]
    assert found[2] == [("bought_before", {"times": 1, "last_on": days_before(6)})]
    assert found[3] == [("viewed", {"last_on": days_before(5)})]


def test_neighbours_name_the_item_that_speaks_most_for_them() -> None:
    # Item 4 is near item 1 (0.5) and item 2 (0.25); of item 2 twice as much was bought, but long ago.
    assert said(ask((1, 4), (2, 10)))[4] == [("goes_with", {"item_id": "i01"})]
    # 2 ** -2.5 * 0.5 from item 1, 2 ** -0.5 * 0.25 from item 2.
    assert said(ask((1, 50), (2, 10)))[4] == [("goes_with", {"item_id": "i02"})]


def test_other_sources() -> None:
    assert said(ask())[0] == [("popular", {"place": 1})]
    assert said(ask())[2] == [("popular", {"place": 3})]
    assert said(ask(scenario=Scenario.TRENDING))[3] == [("trending", {"place": 1})]
    assert said(ask(scenario=Scenario.DISCOVER))[5] == [("new", {"since_on": "1970-01-06"})]
    in_store = said(ask(scenario=Scenario.DISCOVER, store_row=0))[5]
    assert in_store == [("popular_in_store", {"store_id": "s0", "place": 1})]


def test_what_was_ranked_for_another_store_is_not_called_popular_here() -> None:
    shop = toy_recommender(popular=[8, 4, 2, 1, 1, 0], stores=[{5: 1.0}, {3: 1.0}], weights=STORE_FIRST)
    query = ask(store_row=0)
    ready = shop.best([query], 6)[0]
    assert said(replace(query, ready=ready), shop)[5] == [("popular_in_store", {"store_id": "s0", "place": 1})]
    for elsewhere in (1, None):
        query = ask(store_row=elsewhere)
        (slate,) = shop.recommend([replace(query, ready=ready)])
        for reasons in explain(slate, replace(query, ready=ready), shop):
            assert [reason.code for reason in reasons] == [ReasonCode.POPULAR]
            assert reasons[0].text("en") == "Popular now"


def test_similar_members_are_counted() -> None:
    # Both of the pool have item 0, as the member does; one of them has item 4.
    bought = sp.csr_matrix(np.array([[1, 0, 0, 0, 1, 0], [1, 0, 0, 0, 0, 1]], np.float32))
    rarity = np.ones(6, np.float32)
    pool = telling(bought, rarity)
    weights = plain_weights()
    peers = PeerRetriever(weights, 0.5, 10, 5, 1.0, rarity, pool.T.tocsr(), lengths(pool), bought)
    shop = replace(
        SHOP,
        retrievers=(*SHOP.retrievers, peers),
        depth={**SHOP.depth, "peers": 10},
        ranker=Blend({scenario: {"peers": 1.0, "popularity": 0.001} for scenario in Scenario}),
    )
    assert said(ask((0, 1)), shop)[4] == [("similar_members", {"members": 1, "of": 2})]


def test_what_is_like_the_context_names_the_item_that_speaks_most_for_it() -> None:
    likeness = np.zeros((6, 6), np.float32)
    likeness[1, 4], likeness[2, 4], likeness[2, 3] = 0.5, 0.25, 1.0
    matrix = sp.csr_matrix(likeness)
    weights = {scenario: {"similar": 1.0, "popularity": 0.01} for scenario in Scenario}
    weights[Scenario.SUBSTITUTES] = {"substitutes": 1.0, "popularity": 0.01}
    shop = replace(
        SHOP,
        retrievers=(*SHOP.retrievers, SimilarRetriever(matrix), SubstituteRetriever(matrix)),
        depth={**SHOP.depth, "similar": 10, "substitutes": 10},
        ranker=Blend(weights),
    )
    found = said(ask(scenario=Scenario.SESSION, context=[1, 2]), shop)
    assert found[4] == [("similar_to", {"item_id": "i01"})]
    assert found[3] == [("similar_to", {"item_id": "i02"})]
    assert found[0] == [("popular", {"place": 1})]
    # Now item 2 weighs five times as much as item 1.
    visit = replace(ask(scenario=Scenario.SESSION), context=Context.of([2, 1], decay=0.2))
    assert said(visit, shop)[4] == [("similar_to", {"item_id": "i02"})]
    assert said(ask(scenario=Scenario.SUBSTITUTES, context=[2]), shop)[3] == [("instead_of", {"item_id": "i02"})]


def led_to(name: str, says: dict[tuple[int, int], float]) -> Recommender:
    """Return the shop with one more retriever, which alone counts, and in which items speak for others."""
    matrix = np.zeros((6, 6), np.float32)
    for place, value in says.items():
        matrix[place] = value
    lists, weights = sp.csr_matrix(matrix), plain_weights(purchase_half_life=10, browse_half_life=5)
    section_row = np.array([[0], [1], [1], [6], [0], [1]], np.int32)
    made = {
        "linear": LinearRetriever(weights, 0.5, 100, lists),
        "together": TogetherRetriever(weights, 100, lists),
        "converted": ConvertedRetriever(weights, 100, lists),
        "sections": SectionRetriever(weights, 0.5, 100, section_row, sp.vstack((lists, lists[:1])).tocsr()),
    }
    return replace(
        SHOP,
        retrievers=(*SHOP.retrievers, made[name]),
        depth={**SHOP.depth, name: 10},
        ranker=Blend({scenario: {name: 1.0, "popularity": 0.001} for scenario in Scenario}),
    )


def test_partners_of_the_last_order_are_said_to_be_of_it() -> None:
    shop = led_to("together", {(1, 4): 0.5, (2, 5): 0.5, (3, 5): 0.25})
    found = said(ask((1, 3.2), (2, 9), (3, 3.1)), shop)
    assert found[4] == [("fits_last_order", {"item_id": "i01", "last_on": days_before(4)})]
    # Item 5 goes with item 2 by 2 ** -0.45 * 0.5 and with item 3 by 2 ** -0.15 * 0.25: the earlier order speaks more.
    assert found[5] == [("bought_with", {"item_id": "i02"})]
    basket = ask((1, 3.2), scenario=Scenario.BASKET, context=[1])
    assert said(basket, shop)[4] == [("bought_with", {"item_id": "i01"})]


def test_what_speaks_against_an_item_is_not_named() -> None:
    shop = led_to("linear", {(1, 4): 0.25, (2, 4): 0.5, (3, 4): -0.75})
    # Item 1 by 2 ** -0.5 * 0.25, item 2 by 2 ** -2 * 0.5.
    assert said(ask((1, 10), (2, 40), (3, 90)), shop)[4] == [("goes_with", {"item_id": "i01"})]


def test_what_is_bought_after_browsing_names_what_was_browsed() -> None:
    shop = led_to("converted", {(1, 4): 0.25, (2, 4): 0.5})
    assert said(ask((1, 2, VIEW), (2, 2)), shop)[4] == [("bought_after_viewing", {"item_id": "i01"})]


def test_best_sellers_of_a_section_name_the_members_heaviest_item_of_it() -> None:
    shop = led_to("sections", {(0, 4): 0.5, (1, 5): 0.5})
    found = said(ask((1, 10), (2, 2), (0, 30)), shop)
    assert found[5] == [("popular_among_like", {"item_id": "i02"})]
    assert found[4] == [("popular_among_like", {"item_id": "i00"})]


def test_an_item_can_have_two_reasons_its_own_history_first() -> None:
    found = said(ask((5, 3), scenario=Scenario.HOME, store_row=0))
    assert found[5][0] == ("bought_before", {"times": 1, "last_on": days_before(3)})
    trend = said(ask((3, 3), scenario=Scenario.TRENDING))[3]
    assert [code for code, _ in trend] == ["bought_before", "trending"]


def test_every_item_of_every_slate_has_a_reason() -> None:
    for scenario in Scenario:
        for query in (ask(scenario=scenario), ask((1, 3), (2, 1, VIEW), scenario=scenario, store_row=0)):
            assert all(said(query).values())


def test_who_opted_out_hears_nothing_of_their_history() -> None:
    for reasons in said(ask((1, 26), (1, 12), (2, 3, VIEW), personal=False)).values():
        assert [code for code, _ in reasons] == ["popular"]


def test_days_are_local() -> None:
    east = Recommender(
        SHOP.items, SHOP.stores, SHOP.channels, SHOP.retrievers, SHOP.ranker, SHOP.depth, day_offset_minutes=480
    )
    # 10 hours before midnight UTC is 22:00 in Shanghai; 6 hours before is 2:00 of the next day.
    assert said(ask((1, 10 / 24)), east)[1][0][1]["last_on"] == days_before(1)
    assert said(ask((1, 6 / 24)), east)[1][0][1]["last_on"] == days_before(0)
    assert said(ask((1, 6 / 24)))[1][0][1]["last_on"] == days_before(1)


def test_sentences() -> None:
    regular = Reason(ReasonCode.BOUGHT_REGULARLY, {"times": 3, "every_days": 12, "last_on": "2024-05-06"})
    assert regular.text("en") == "Bought 3 times, about every 12 days, last on 6 May 2024"
    assert regular.text("zh") == "买过3次，约每12天一次，上次是2024年5月6日"
    goes_with = Reason(ReasonCode.GOES_WITH, {"item_id": "i1"})
    assert goes_with.text("zh", {"i1": "牛奶 {1}"}) == "与牛奶 {1}搭配"
    assert goes_with.text("en") == "Goes with i1"
    assert goes_with.text("en", {"i1": ""}) == "Goes with i1"
    assert Reason(ReasonCode.POPULAR, {}).text("fr") == "Popular now"


@pytest.mark.parametrize("name", ["ABCD-12-XY", "2024-13-45", "2024-05-06"])
def test_ids_that_look_like_days_are_said_as_they_are(name: str) -> None:
    assert Reason(ReasonCode.GOES_WITH, {"item_id": name}).text("en") == f"Goes with {name}"
    assert Reason(ReasonCode.POPULAR_IN_STORE, {"store_id": name}).text("en") == f"Popular in store {name}"


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("code", list(ReasonCode))
def test_every_reason_can_be_said_in_every_language(language: str, code: ReasonCode) -> None:
    evidence: dict[str, str | int | float] = {
        "times": 2,
        "every_days": 7,
        "last_on": "2024-05-06",
        "item_id": "i1",
        "store_id": "s1",
    }
    text = Reason(code, evidence).text(language)
    assert text
    assert "{" not in text


def test_the_summary_is_the_leading_code() -> None:
    assert reason_summary([Reason(ReasonCode.VIEWED, {}), Reason(ReasonCode.NEW, {})]) == "viewed"


def test_items_newer_than_the_models_have_a_reason_too() -> None:
    newer = (Mask("not_sellable", mask_of(8, 6, 7)),)
    assert said(ask(masks=newer)) == {6: [("popular", {})], 7: [("popular", {})]}
