"""Message: what a campaign says, in each language, with placeholders that are filled for every member."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from recommender.campaigns.reading import Fields
from recommender.errors import InputError

LANGUAGES = ("zh", "en")
PLACEHOLDERS = ("offer", "discount", "until", "store", "campaign")
"""What a text may name in braces: the offer's title, what it takes off, the last day of its use, the member's store,
the campaign's name."""
MARKETING, SERVICE = "marketing", "service"
PURPOSES = (MARKETING, SERVICE)
MOST_TITLE, MOST_BODY, MOST_LINK = 100, 2000, 500
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True, slots=True)
class Text:
    """A message in one language."""

    body: str
    title: str = ""

    def filled(self, facts: Mapping[str, str]) -> Text:
        """Return the text with its placeholders filled; one that nothing is known of is left out."""
        return Text(_fill(self.body, facts), _fill(self.title, facts))


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent.

    texts: by language; at least one.  purpose: marketing or service; some transports carry service messages only.
    template: the provider's, where it asks for one.  link: where a tap leads.
    """

    texts: Mapping[str, Text] = field(default_factory=dict)
    purpose: str = MARKETING
    template: str | None = None
    link: str | None = None

    def text(self, language: str) -> Text:
        """Return the text in a language, else in the first one there is; an empty one if there is none."""
        if language in self.texts:
            return self.texts[language]
        return next((self.texts[one] for one in LANGUAGES if one in self.texts), Text(""))


def parse_message(value: object, path: str = "message") -> Message:
    """Read a message. Raises: InputError that names the place, the value found and what is accepted."""
    found = Fields(value, path, ("purpose", "template", "link", "texts"))
    texts = Fields(found.get("texts"), found.place("texts"), LANGUAGES)
    read = {
        language: _text(texts.get(language), texts.place(language))
        for language in LANGUAGES
        if texts.get(language) is not None
    }
    if not read:
        raise found.wrong("texts", "a text in " + " or ".join(LANGUAGES), "A message needs a text.")
    return Message(
        read,
        found.choice("purpose", MARKETING, PURPOSES),
        found.text("template", None),
        found.text("link", None, MOST_LINK),
    )


def _text(value: object, path: str) -> Text:
    found = Fields(value, path, ("title", "body"))
    body = found.text("body", None, MOST_BODY)
    if body is None:
        raise found.wrong("body", f"a text of 1 to {MOST_BODY} characters")
    text = Text(body, found.text("title", "", MOST_TITLE))
    for name, part in (("body", text.body), ("title", text.title)):
        for named in _PLACEHOLDER.findall(part):
            if named not in PLACEHOLDERS:
                accepted = ", ".join(f"{{{one}}}" for one in PLACEHOLDERS)
                raise InputError(
                    "There is no such placeholder.", field=found.place(name), value=f"{{{named}}}", accepted=accepted
                )
    return text


def _fill(text: str, facts: Mapping[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda match: facts.get(match.group(1), ""), text)
