"""What the values of a column tell: how times and money are written, and what words of event kinds mean."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from training.sources.times import ISO

_LOOKED_AT, _MOST_FORMATS = 300, 3
TIME_FORMATS = (
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d %H:%M",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%Y%m%d%H%M%S",
    "%Y%m%d %H:%M:%S",
    "%Y%m%d%H%M",
    "%Y%m%d",
    "%Y年%m月%d日 %H:%M:%S",
    "%Y年%m月%d日 %H:%M",
    "%Y年%m月%d日 %H时%M分%S秒",
    "%Y年%m月%d日",
    "%Y.%m.%d %H:%M:%S",
    "%Y.%m.%d",
    "%d/%m/%Y %H:%M:%S",
    "%d/%m/%Y %H:%M",
    "%d/%m/%Y",
    "%m/%d/%Y %H:%M:%S",
    "%m/%d/%Y %H:%M",
    "%m/%d/%Y",
    "%d.%m.%Y %H:%M:%S",
    "%d.%m.%Y %H:%M",
    "%d.%m.%Y",
)
KINDS = {
    "purchase": (
        "purchase buy bought order pay paid transaction sale sales 销售 购买 支付 付款 下单 消费 成交 正常销售 零售"
    ),
    "return": "return refund 退货 退款 退单 销售退货 退",
    "view": (
        "view pv click browse pageview detail viewdetail itemview viewitem productview viewproduct goodsview "
        "viewgoods 浏览 点击 查看 访问 曝光点击 商品浏览 浏览商品"
    ),
    "search": "search 搜索",
    "favorite": "favorite favourite fav collect wishlist 收藏",
    "basket_add": "basket_add cart add_to_cart add_cart 加购 加入购物车 加购物车",
    "basket_remove": "basket_remove remove_from_cart 移出购物车 删除购物车",
    "rating": "rating review comment 评价 评分 评论",
    "share": "share 分享 转发",
}
"""Words for event kinds."""

UNPAID = {
    "cancelled": "cancelled canceled closed 已取消 取消 交易关闭 已关闭 关闭",
    "unpaid": "unpaid 待付款 未付款 未支付 待支付 等待买家付款",
}
"""Words for statuses that do not count."""


def _word(value: str) -> str:
    return re.sub(r"[\s_\-]", "", value).lower()


_KIND_WORDS = {_word(word): kind for kind, words in KINDS.items() for word in words.split()}
_STATUS_WORDS = {_word(word): status for status, words in UNPAID.items() for word in words.split()}


def guess_time(values: Sequence[str]) -> dict[str, Any]:
    """Return the keys of a rule that reads most of the values as times; nothing for ISO 8601 alone.

    Numbers are seconds or milliseconds since 1970, or days counted from a date that a person must fill in.
    """
    values = values[:: len(values) // _LOOKED_AT + 1]
    if all(re.fullmatch(r"\d{10}|\d{13}", value) for value in values):
        unit = "second" if len(values[0]) == 10 else "millisecond"
        return {"origin": "1970-01-01T00:00:00Z", "unit": unit}
    formats: list[str] = []
    left = list(values)
    while left and len(formats) < _MOST_FORMATS:
        fits = {one: sum(_fits(value, one) for value in left) for one in (ISO, *TIME_FORMATS)}
        best = max(fits, key=lambda one: fits[one])
        if fits[best] <= (len(values) // 20 if formats else 0):
            break
        formats.append(best)
        left = [value for value in left if not _fits(value, best)]
    if not formats and all(re.fullmatch(r"\d+(\.\d+)?", value) for value in values):
        return {"origin": "???", "unit": "day"}
    return {} if formats in ([], [ISO]) else {"formats": formats}


def is_time_of_day(values: Sequence[str]) -> bool:
    """Whether values are times without a date."""
    return bool(values) and all(re.fullmatch(r"\d{1,2}:\d{2}(:\d{2})?", value) for value in values)


def join_time_of_day(date: dict[str, Any], values: Sequence[str]) -> dict[str, Any]:
    """Return the keys of a rule for a date, a space and a time of day.

    Args:
        date: the keys for the date alone.
        values: the times of day.
    """
    clock = "%H:%M:%S" if values[0].count(":") == 2 else "%H:%M"
    return {"formats": [f"{one} {clock}" for one in date["formats"]]} if "formats" in date else {}


def guess_money(header: str, values: Sequence[str]) -> str:
    """Return how amounts are written: in cents if the header says so, else as decimals."""
    whole = all(re.fullmatch(r"[+-]?\d+", value) for value in values)
    return "cents" if whole and re.search(r"(?i)cents|[(（]分[)）]|_fen$", header) else "decimal"


def guess_kinds(values: Sequence[str]) -> dict[str, str]:
    """Return event kinds by word, without the words that are not known."""
    found = {value: _KIND_WORDS.get(_word(value)) for value in dict.fromkeys(values)}
    return {value: kind for value, kind in found.items() if kind is not None}


def guess_statuses(values: Sequence[str]) -> dict[str, str]:
    """Return the statuses that do not count by word, without the words that are no such status."""
    found = {value: _STATUS_WORDS.get(_word(value)) for value in dict.fromkeys(values)}
    return {value: status for value, status in found.items() if status is not None}


def _fits(value: str, format_: str) -> bool:
    if format_ == ISO:
        return _is_iso(value)
    try:
        datetime.strptime(value, format_)  # noqa: DTZ007
    except ValueError:
        return False
    return True


def _is_iso(value: str) -> bool:
    """Whether a text is ISO 8601 with hyphens, as ingest reads it."""
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return re.match(r"\d{4}-\d{2}-\d{2}", value) is not None
