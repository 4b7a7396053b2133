"""One member's own data as answers tell it: profile, what was shown, export."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy.engine import Connection

from api.services import Services
from api.serving import Serving
from recommender.columns import LEARNED_KINDS
from recommender.coupons.ledger import member_lines
from recommender.errors import NotFoundError
from recommender.events import KIND_CODES, member_subject
from recommender.prepared import SCENARIOS as PREPARED_SCENARIOS
from recommender.storage.event_log import open_event_log, registered_files
from recommender.storage.log_reader import read_log_events
from recommender.storage.members import PERSONALIZATION, MemberRow, read_member
from recommender.storage.personal import LONGEST_EXPORT_ROWS, Held, count_held, read_held, subjects_held
from recommender.storage.shown import Consent, ShownAnswer, read_consents
from recommender.storage.statements import fetch

Body = dict[str, Any]

MOST_LINKS = 1_000

HOW = {
    "en": (
        "Recommendations are computed from what you bought and looked at: what you buy again and when, what people"
        " with similar purchases like, what is bought together, and what is popular in your store. They are ordered by"
        " how likely you are to want them, then filtered by stock and by the shop's rules. You can switch this off:"
        " then everybody's popular goods are shown in place of yours."
    ),
    "zh": (
        "推荐来自您的购买和浏览记录：您会再次购买的商品及时间、购买习惯相似的会员喜欢的商品、常一起购买的商品，以及"
        "您所在门店的热卖商品。系统按您可能需要的程度排序，再按库存和商店规则筛选。您可以关闭个性化推荐，关闭后展示"
        "面向所有人的热卖商品。"
    ),
}
"""The algorithm in plain words; docs/privacy.md says more."""


def refuse_erased(connection: Connection, member_id: str) -> None:
    """Raises: NotFoundError if the member was erased: nothing is held."""
    if fetch(connection, "SELECT 1 FROM erased_subjects WHERE subject = ?", (member_subject(member_id),)):
        raise NotFoundError("Nothing is held on this member: they were erased.")


def profile_body(services: Services, member_id: str, language: str, now: datetime) -> Body:
    """Return what is known of a member, without values that identify them elsewhere. Raises: NotFoundError."""
    with services.database.read() as connection:
        refuse_erased(connection, member_id)
        subjects = subjects_held(connection, member_id)
        held = count_held(connection, member_id, subjects)
        tables = dict(read_held(connection, member_id, subjects, MOST_LINKS, ("members", "identities")))
        consents = read_consents(connection, member_id)
        member = read_member(connection, member_id, now)
    row = tables["members"][0] if tables["members"] else {}
    bundle = bundle_history(services, subjects)
    return {
        "member_id": member_id,
        "personalised": member is None or member.personalised,
        "because": _because(member, consents),
        "fields": sorted(name for name, value in row.items() if value is not None and name not in _OWN_FIELDS),
        "identities": [
            {"namespace": link["namespace"], "linked_at": _iso(link["linked_at"])}
            for link in tables["identities"]
            if link["unlinked_at"] is None
        ],
        "consents": [consent_body(consent) for consent in consents],
        "held": {name: _held(one) for name, one in held.items() if one.rows},
        "bundle_id": None if bundle is None else bundle["bundle_id"],
        "items_in_bundle": 0 if bundle is None else len({entry["item_id"] for entry in bundle["history"]}),
        "how": HOW[language],
    }


_OWN_FIELDS = frozenset({"member_id", "change_sequence"})


def consent_body(consent: Consent) -> Body:
    """Return a consent as answers hold it."""
    return asdict(consent) | {"at": consent.at.isoformat()}


def shown_body(answer: ShownAnswer) -> Body:
    """Return an answer of the past as answers hold it."""
    return asdict(answer) | {
        "occurred_at": answer.occurred_at.isoformat(),
        "consent": None if answer.consent is None else consent_body(answer.consent),
    }


def span_of(day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Return the beginning and the end of a local day, in UTC."""
    start, end = (datetime.combine(moment, time(), zone) for moment in (day, day + timedelta(days=1)))
    return start.astimezone(UTC), end.astimezone(UTC)


def export_body(services: Services, member_id: str, now: datetime) -> Body:
    """Return everything held on a member. Raises: NotFoundError; EventLogError if the log cannot be read."""
    log = open_event_log(services.settings)
    with services.database.read(snapshot=True) as connection:
        refuse_erased(connection, member_id)
        subjects = subjects_held(connection, member_id)
        tables = dict(read_held(connection, member_id, subjects))
        tables["coupon_ledger"] = list(member_lines(connection, member_id, LONGEST_EXPORT_ROWS))
        files = log.paths(registered_files(connection))
    logged = read_log_events(files, subjects, LONGEST_EXPORT_ROWS)
    truncated = [name for name, rows in tables.items() if len(rows) == LONGEST_EXPORT_ROWS]
    return {
        "member_id": member_id,
        "made_at": now.isoformat(),
        "tables": {name: [_plain(row) for row in rows] for name, rows in tables.items()},
        "event_log": logged,
        "bundle": bundle_history(services, subjects),
        "truncated": truncated + (["event_log"] if len(logged) == LONGEST_EXPORT_ROWS else []),
    }


def bundle_history(services: Services, subjects: Sequence[str]) -> Body | None:
    """Return what the bundle that serves holds of some subjects; None without a bundle."""
    serving = services.serving.current()
    if serving is None:
        return None
    items, kinds = serving.recommender.items, list(KIND_CODES)
    found = []
    for subject in subjects:
        row = serving.bundle.subjects.row(subject)
        if row is None:
            continue
        history = serving.bundle.histories.of(row)
        entries = zip(history.item_row.tolist(), history.minute.tolist(), history.kind.tolist(), strict=True)
        found += [
            {
                "item_id": items.id(item),
                "at": datetime.fromtimestamp(minute * 60, UTC).isoformat(),
                "kind": str(kinds[kind]),
            }
            for item, minute, kind in entries
        ]
    return {
        "bundle_id": serving.bundle.bundle_id,
        "history": found,
        "ranked_in_advance": _ranked_in_advance(serving, subjects),
    }


def _ranked_in_advance(serving: Serving, subjects: Sequence[str]) -> dict[str, list[str]]:
    """Return the items that a bundle ranked in advance for a member, by scenario."""
    prepared = serving.bundle.prepared
    rows = sorted(row for subject in subjects if (row := serving.bundle.subjects.row(subject)) is not None)
    if prepared is None:
        return {}
    found = {str(scenario): prepared.of(scenario, rows) for scenario in PREPARED_SCENARIOS}
    items = serving.recommender.items
    return {name: list(items.ids(ready.row)) for name, ready in found.items() if ready is not None}


def _because(member: MemberRow | None, consents: Sequence[Consent]) -> str:
    if member is None:
        return "nothing_known"
    said = next((one.granted for one in consents if one.purpose == PERSONALIZATION), None)
    if member.kind not in LEARNED_KINDS:
        return "kind"
    if said is False:
        return "opted_out"
    if not member.personalised:
        return "minor"
    return "agreed" if said else "not_refused"


def _held(held: Held) -> Body:
    return {"rows": held.rows, "first_at": _iso(held.first_at), "last_at": _iso(held.last_at)}


def _plain(row: Mapping[str, Any]) -> Body:
    """Return a row with times as text."""
    return {name: value.isoformat() if isinstance(value, date) else value for name, value in row.items()}


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
