"""file: messages dropped as CSV files into a folder that the push provider fetches from.

Each drop is a table NAME.csv and, when that is complete, its manifest NAME.json with row count and checksum. Both
appear under their names in one step, so a reader never sees half a file: fetch what has a manifest. A message that is
sent again stands in another file under the same message_id.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import orjson

from recommender.campaigns.delivery.base import ACCEPTED, Answer, Outgoing, Result
from recommender.campaigns.delivery.spreadsheet import write_csv

COLUMNS = (
    "message_id",
    "campaign_id",
    "member_id",
    "purpose",
    "language",
    "title",
    "body",
    "link",
    "template",
    "offer_id",
    "coupon_id",
    "coupon_expires_at",
    "test",
    "created_at",
)
MOST_ROWS = 5000
ENCODINGS = {"utf-8": "utf-8", "utf-8-bom": "utf-8-sig", "gb18030": "gb18030"}
"""Encodings by the name that settings give them; the second begins with a byte order mark, for old Excel."""


class FileDrop:
    """Writes messages into files.

    Args:
        folder: made at the first drop.
        encoding: a key of ENCODINGS.
        contacts: namespaces of identities, each a column of its own.
    """

    most = MOST_ROWS

    def __init__(self, name: str, folder: Path, encoding: str = "utf-8-bom", contacts: Sequence[str] = ()) -> None:
        self._name, self._folder = name, folder
        self._encoding = encoding
        self._contacts = tuple(contacts)

    def send(self, messages: Sequence[Outgoing], at: datetime) -> Sequence[Answer]:
        """Write one file of messages and its manifest."""
        name = f"{self._name}-{at:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"
        rows = [(*_cells(one), *(one.contacts.get(each) for each in self._contacts)) for one in messages]
        data = write_csv((*COLUMNS, *self._contacts), rows).encode(ENCODINGS[self._encoding], "replace")
        manifest = {
            "file": f"{name}.csv",
            "rows": len(rows),
            "bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
            "encoding": self._encoding,
            "columns": [*COLUMNS, *self._contacts],
            "written_at": at.isoformat(),
        }
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            _put(self._folder / f"{name}.csv", data)
            _put(self._folder / f"{name}.json", orjson.dumps(manifest, option=orjson.OPT_INDENT_2))
        except OSError:
            return [Answer(Result.AGAIN, "file_not_written")] * len(messages)
        return [ACCEPTED] * len(messages)

    def close(self) -> None:
        """Nothing is held open."""


def _cells(one: Outgoing) -> tuple[object, ...]:
    ends = None if one.coupon_expires_at is None else one.coupon_expires_at.isoformat()
    return (
        *(one.message_id, one.campaign_id, one.member_id, one.purpose, one.language, one.title, one.body, one.link),
        *(one.template, one.offer_id, one.coupon_id, ends, "true" if one.test else "false", one.created_at.isoformat()),
    )


def _put(path: Path, data: bytes) -> None:
    """Have a file appear complete, and on the disk."""
    partial = path.with_name(f".{path.name}.part")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
