"""The query over a selection of events that gives rows as the event log stores them."""

from __future__ import annotations

from recommender.events import member_subject
from recommender.quoting import text
from recommender.storage.content import CONTENT, content_hash_sql
from recommender.storage.events import LOG_COLUMNS
from training.sources.selection import Selection

MARKS = ("key", "month", "problem", "shown", "skipped")
"""Columns that follow LOG_COLUMNS: a hash of the event id, months since year 0, and how the row fared."""

_INTEGERS = ("revision", "position")
_COMPUTED = ("occurred_at", "kind", "subject", "revision", "status")


def event_query(selection: Selection, source: str) -> str:
    """Write the query: LOG_COLUMNS, then MARKS, in the order of the file.

    Without an event id in the file, ids are hashes of source and content; repeated content gets the same one.
    """
    plain = [column for column in CONTENT if column not in _COMPUTED]
    values = [f"{_typed(selection, column)} AS {column}" for column in plain]
    values += [
        f"{selection.value('occurred_at')} AS micros",
        f"make_timestamp({selection.value('occurred_at')}) AS moment",
        f"{selection.value('kind')} AS kind",
        f"{_subject(selection)} AS subject",
        f"coalesce({_typed(selection, 'revision')}, 0) AS revision",
        f"lower({selection.value('status')}) AS status",
        "problem",
        "shown",
        "skipped",
    ]
    given = "event_id" in selection.filled
    inner = f"SELECT {selection.value('event_id')} AS given_id, {', '.join(values)} FROM ({selection.layer})"
    event_id = "given_id" if given else _made_id(source)
    digest = content_hash_sql({"occurred_at": "moment"})
    inner = f"SELECT *, {event_id} AS event_id, {digest} AS content_hash FROM ({inner})"
    month = "CAST(date_part('year', moment) * 12 + date_part('month', moment) - 1 AS INTEGER)"
    columns = {
        "occurred_at": "make_timestamptz(micros) AS occurred_at",
        "source": f"{text(source)} AS source",
    }
    chosen = ", ".join(columns.get(column, column) for column in LOG_COLUMNS)
    return f"SELECT {chosen}, hash(event_id) AS key, {month} AS month, problem, shown, skipped FROM ({inner})"


def _typed(selection: Selection, column: str) -> str:
    value = selection.value(column)
    return f"TRY_CAST({value} AS INTEGER)" if column in _INTEGERS else value


def _subject(selection: Selection) -> str:
    cases = []
    if "member_id" in selection.filled:
        cases.append(f"WHEN v_member_id IS NOT NULL THEN {text(member_subject(''))} || v_member_id")
    if "namespace" in selection.filled:
        cases.append("WHEN v_namespace IS NOT NULL THEN v_namespace || ':' || v_identity_value")
    return f"CASE {' '.join(cases)} END" if cases else "CAST(NULL AS VARCHAR)"


def _made_id(source: str) -> str:
    names = ["micros" if column == "occurred_at" else column for column in CONTENT]
    parts = ", ".join(f"coalesce(CAST({column} AS VARCHAR), '')" for column in names)
    return f"'h' || md5(concat_ws(chr(31), {text(source)}, {parts}))"
