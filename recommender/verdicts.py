"""Verdicts: what became of an item, in one sentence, in Chinese or English."""

from __future__ import annotations

from recommender.arrangement import PINNED
from recommender.explanation import Explanation, Outcome
from recommender.query import Scenario

_OUTCOMES: dict[str, dict[Outcome, str]] = {
    "en": {
        Outcome.SHOWN: "Shown at position {position}; by score it is number {rank} of {candidates} candidates.",
        Outcome.BELOW_THE_CUT: "Not shown: number {rank} of {candidates} candidates by score; the slate holds {count}.",
        Outcome.DROPPED: "Not shown: {rule}.",
        Outcome.NOT_OF_SCENARIO: "Not shown: {about}.",
        Outcome.NOT_FOUND: "Not shown: none of the retrievers that count here has it among its candidates.",
        Outcome.NEWER_THAN_MODELS: "Not shown: the models are older than the item, and what it is like ranks too low.",
        Outcome.UNKNOWN_ITEM: "Not shown: the catalogue has no such item.",
    },
    "zh": {
        Outcome.SHOWN: "展示在第{position}位；按得分在{candidates}个候选商品中排第{rank}。",
        Outcome.BELOW_THE_CUT: "未展示：按得分在{candidates}个候选商品中排第{rank}，而列表只有{count}个位置。",
        Outcome.DROPPED: "未展示：{rule}。",
        Outcome.NOT_OF_SCENARIO: "未展示：{about}。",
        Outcome.NOT_FOUND: "未展示：此场景所用的召回方法都没有选中它。",
        Outcome.NEWER_THAN_MODELS: "未展示：商品比模型新，而与它相似的商品排名不够靠前。",
        Outcome.UNKNOWN_ITEM: "未展示：商品目录中没有此商品。",
    },
}
_FILLED = {"en": "Shown at position {position}, to fill up the slate.", "zh": "展示在第{position}位，用于补足列表。"}
_JOINED = {
    "newcomers": {
        "en": "Shown at position {position}: it is newer than the models, and like items that rank high here.",
        "zh": "展示在第{position}位：商品比模型新，与此处排名靠前的商品相似。",
    },
    "substitutes": {
        "en": "Shown at position {position}, in place of an item that is sold out.",
        "zh": "展示在第{position}位，代替已售罄的商品。",
    },
}
_PINNED = {"en": "Pinned at position {position}.", "zh": "固定展示在第{position}位。"}
_MOVED = {
    "en": " Its score alone would put it at {without_moves}: variety, boosts, pins, substitutes or new items moved it.",
    "zh": "仅按得分应排第{without_moves}位，因列表多样性、加权、固定位置、替代商品或新品而调整。",
}
_RULES: dict[str, dict[str, str]] = {
    "en": {
        "not_sellable": "it cannot be sold to this customer now",
        "excluded": "the request excludes it",
        "in_context": "the request is about it",
        "delicate": "delicate goods are not shown beside others",
        "recalled": "it is recalled",
        "out_of_scope": "it lies outside the pilot",
        "replaced": "another item has taken its place",
        "not_interested": "the customer does not want to see it, its brand or its category",
        "not_listed": "the store does not carry it",
        "out_of_stock": "it is out of stock",
        "scenario_filter": "the filter of this placement's settings leaves it out",
        "filtered": "the request's filter leaves it out",
        "shown_before": "an earlier page of this slate showed it",
        "buried": "it is shown only where nothing else is left",
        "cool_down": "it was bought too lately to be shown again",
    },
    "zh": {
        "not_sellable": "目前不能向该顾客出售",
        "excluded": "请求排除了它",
        "in_context": "请求本身就是关于它的",
        "delicate": "敏感商品不与其他商品并列展示",
        "recalled": "该商品已被召回",
        "out_of_scope": "不在试点范围内",
        "replaced": "该商品已由其他商品取代",
        "not_interested": "顾客对该商品、品牌或品类不感兴趣",
        "not_listed": "该门店不经营此商品",
        "out_of_stock": "已缺货",
        "scenario_filter": "此场景的设置过滤掉了它",
        "filtered": "请求的过滤条件排除了它",
        "shown_before": "此列表的前一页已展示过它",
        "buried": "只有在没有其他商品可展示时才展示它",
        "cool_down": "最近刚买过，暂不再次展示",
    },
}
_RULE = {"en": "the rule {rule} removed it", "zh": "被规则{rule}移除"}
_ABOUT: dict[str, dict[Scenario, str]] = {
    "en": {
        Scenario.BUY_AGAIN: "this placement is for what was bought before, and it was not; others only fill it up",
        Scenario.DISCOVER: "this placement shows only what was not bought before, and it was",
        Scenario.NEW: "this placement is for new items that were not bought before; others only fill it up",
    },
    "zh": {
        Scenario.BUY_AGAIN: "此场景展示买过的商品，而该商品没有买过；其他商品只用于补足列表",
        Scenario.DISCOVER: "此场景只展示没有买过的商品，而该商品已买过",
        Scenario.NEW: "此场景展示没有买过的新品；其他商品只用于补足列表",
    },
}
_KNOWN = {"en": "the request is about it", "zh": "请求本身就是关于它的"}


def verdict(found: Explanation, scenario: Scenario, count: int, language: str) -> str:
    """Say what became of an item.

    Args:
        found: the explanation.
        scenario, count: the placement, and how many items were asked for.
        language: "en" or "zh"; anything else is English.
    """
    spoken = language if language in _OUTCOMES else "en"
    filled = found.outcome is Outcome.SHOWN and found.rank is None
    text = _FILLED[spoken] if filled else _OUTCOMES[spoken][found.outcome]
    if filled and found.source in _JOINED:
        text = _JOINED[found.source][spoken]
    if found.source == PINNED:
        return _PINNED[spoken].format(position=found.position)
    said = text.format(
        position=found.position,
        rank=found.rank,
        candidates=found.candidates,
        count=count,
        rule=_rule(found.rule, spoken),
        about=_ABOUT[spoken].get(scenario, _KNOWN[spoken]),
    )
    best = found.without_moves
    moved_out = found.outcome is Outcome.BELOW_THE_CUT and best is not None and best <= count
    return said + (_MOVED[spoken].format(without_moves=best) if found.moved or moved_out else "")


def _rule(rule: str | None, language: str) -> str:
    return _RULES[language].get(rule or "") or _RULE[language].format(rule=rule)
