"""Which language an answer is written in."""

from __future__ import annotations

import functools

LANGUAGES = ("en", "zh")
DEFAULT_LANGUAGE = "en"


@functools.lru_cache(maxsize=512)
def choose_language(header: str | None) -> str:
    """Return the language of LANGUAGES that an Accept-Language header prefers; the default if it names
    none.
    """
    ranked: list[tuple[float, int, str]] = []
    for place, part in enumerate((header or "").split(",")[:20]):
        name, _, parameter = part.strip().partition(";")
        language = name.split("-")[0].strip().lower()
        quality = _quality(parameter)
        if language in LANGUAGES and quality > 0:
            ranked.append((-quality, place, language))
    return min(ranked)[2] if ranked else DEFAULT_LANGUAGE


def _quality(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0
