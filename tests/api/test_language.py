"""Accept-Language: the language of ours that is preferred, else English."""

import pytest

from api.language import choose_language


@pytest.mark.parametrize(
    ("header", "language"),
    [
        (None, "en"),
        ("", "en"),
        ("zh", "zh"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("ZH-Hant-TW", "zh"),
        ("en-GB, zh;q=0.5", "en"),
        ("fr, zh;q=0.5, en;q=0.1", "zh"),
        ("fr", "en"),
        ("zh;q=0, en", "en"),
        ("zh;q=x", "en"),
        (";;;,,,q=", "en"),
    ],
)
def test_choose_language(header: str | None, language: str) -> None:
    assert choose_language(header) == language
