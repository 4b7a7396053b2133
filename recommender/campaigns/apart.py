"""Reports made in a process of their own: the libraries that read the event log stay out of web workers.

A report is asked for on standard input, as JSON, and answered on standard output: `{"report": ...}`, or
`{"error": ...}` with what a MemberwiseError holds.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from recommender import errors
from recommender.campaigns.kpi_texts import GroupBy
from recommender.campaigns.report_texts import Document, Segmentation
from recommender.errors import EventLogError, MemberwiseError
from recommender.settings import CoreSettings

SECONDS = 600.0
"""How long a report may take."""


def campaign_report_apart(
    settings: CoreSettings, campaign_id: str, now: datetime, segmentation: Segmentation
) -> Document:
    """Return the report of a campaign, made in another process.

    Raises: as report.read_report; EventLogError also where it takes too long.
    """
    asked = {"campaign_id": campaign_id, "segment_by": segmentation.value}
    return _ask(settings, "campaign", now, asked)


def kpis_apart(
    settings: CoreSettings,
    now: datetime,
    period: tuple[datetime, datetime],
    group_by: GroupBy,
    places: Mapping[str, str | None],
) -> Document:
    """Return figures across channels, made in another process.

    Args:
        period: from the first until before the second.  places: `store_id`, `region` and `channel`; None: any.
    Raises: as kpis.read_kpis; EventLogError also where it takes too long.
    """
    start, end = (time.isoformat() for time in period)
    return _ask(settings, "omnichannel", now, {"start": start, "end": end, "group_by": group_by.value, **places})


def _ask(settings: CoreSettings, kind: str, now: datetime, asked: Mapping[str, Any]) -> Document:
    question = {"settings": _plain(settings), "kind": kind, "now": now.isoformat(), **asked}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "recommender.campaigns.apart"],
            input=orjson.dumps(question),
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise EventLogError("The report could not be made in time.") from None
    if done.returncode != 0:
        raise EventLogError("The report could not be made; a file of the log may have been replaced: ask again.")
    answer: dict[str, Any] = orjson.loads(done.stdout)
    if "error" in answer:
        raise _error(answer["error"])
    report: Document = answer["report"]
    return report


def _plain(settings: CoreSettings) -> dict[str, object]:
    """Return the settings as JSON values."""
    found = {entry.name: getattr(settings, entry.name) for entry in fields(CoreSettings)}
    return {name: str(value) if isinstance(value, Path) else value for name, value in found.items()}


def _settings(values: Mapping[str, Any]) -> CoreSettings:
    paths = {entry.name for entry in fields(CoreSettings) if isinstance(getattr(CoreSettings(), entry.name), Path)}
    lists = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
    return CoreSettings(**{**values, **lists, **{name: Path(values[name]) for name in paths}})


def _error(found: Mapping[str, Any]) -> MemberwiseError:
    kind = getattr(errors, found["kind"], MemberwiseError)
    error: MemberwiseError = kind(
        found["message"], field=found["field"], value=found["value"], accepted=found["accepted"]
    )
    return error


def _make(question: Mapping[str, Any]) -> Document:
    from recommender.campaigns.kpis import Asked, read_kpis
    from recommender.campaigns.report import read_report
    from recommender.storage.database import open_database

    settings = _settings(question["settings"])
    database, now = open_database(settings), datetime.fromisoformat(question["now"])
    try:
        if question["kind"] == "omnichannel":
            start, end = (datetime.fromisoformat(question[name]) for name in ("start", "end"))
            places = {name: question[name] for name in ("store_id", "region", "channel")}
            return read_kpis(database, settings, Asked(start, end, GroupBy(question["group_by"]), **places), now)
        return read_report(database, settings, question["campaign_id"], now, Segmentation(question["segment_by"]))
    finally:
        database.dispose()


def main() -> None:
    """Answer what stands on standard input."""
    try:
        answer: dict[str, Any] = {"report": _make(orjson.loads(sys.stdin.buffer.read()))}
    except MemberwiseError as error:
        held = {"message": error.message, "field": error.field, "value": error.value, "accepted": error.accepted}
        answer = {"error": {"kind": type(error).__name__, **held}}
    sys.stdout.buffer.write(orjson.dumps(answer))


if __name__ == "__main__":
    main()
