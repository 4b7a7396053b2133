"""The SQL tables: canonical ones made from the data contract, and the operational ones beside them.

Times are BIGINT microseconds, days INTEGER, JSON is text. An optional column that is part of a key holds ''
(text) or the epoch (time) where the export says nothing. Rows that serving keeps in memory carry
`change_sequence`, the global sequence of their last change. The same schema is written out, frozen, in
migrations/versions/.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.types import TypeEngine

from recommender.columns import EVENTS, TABLES, Column, ColumnKind, TableSpec
from recommender.storage.campaign_tables import CAMPAIGN_TABLES as CAMPAIGN_TABLES
from recommender.storage.metadata import metadata as metadata
from recommender.storage.types import EPOCH, ByteText, Day, UtcTime
from recommender.storage.wallet_tables import WALLET_TABLES as WALLET_TABLES

LIVE_TABLES = (
    "members",
    "consents",
    "identities",
    "items",
    "item_relations",
    "stores",
    "prices",
    "assortment",
    "inventory",
)
"""Canonical tables whose rows carry `change_sequence`."""
WATCHED_TABLES = (*LIVE_TABLES, "calendar")
"""Canonical tables whose last change a counter tells."""

SUBJECT_COLUMNS = ("member_id", "namespace", "identity_value")
"""Columns of the events contract that SQL and the event log replace by `subject`."""

_TYPES: dict[ColumnKind, TypeEngine[Any]] = {
    ColumnKind.ID: ByteText,
    ColumnKind.TEXT: ByteText,
    ColumnKind.CHOICE: ByteText,
    ColumnKind.JSON: ByteText,
    ColumnKind.INTEGER: sa.BigInteger(),
    ColumnKind.CENTS: sa.BigInteger(),
    ColumnKind.NUMBER: sa.Double(),
    ColumnKind.BOOLEAN: sa.Boolean(),
    ColumnKind.TIME: UtcTime(),
    ColumnKind.DATE: Day(),
}


def _column(column: Column, spec: TableSpec) -> sa.Column[Any]:
    in_key = column.name in spec.key
    required = column.required or in_key
    return sa.Column(column.name, _TYPES[column.kind], primary_key=in_key, nullable=not required, autoincrement=False)


def key_default(column: Column) -> object:
    """Return what an optional key column holds where nothing is said: '' or the epoch."""
    return EPOCH if column.kind is ColumnKind.TIME else ""


_CLUSTERED = ("item_relations", "prices", "assortment", "inventory")
"""Large tables read by the first part of their key, which SQLite keeps in key order."""

OUTCOMES = ("views", "basket_adds", "purchases", "revenue_cents", "assisted_purchases", "assisted_cents")
"""Columns of exposures that count what came of a shown item."""


def _tally(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger(), nullable=False, server_default=sa.text("0"))


_EXTRA_COLUMNS: dict[str, tuple[sa.Column[Any], ...]] = {
    "items": (sa.Column("hidden", sa.Boolean(), nullable=False, server_default=sa.false()),),
    "identities": (sa.Column("unlinked_at", UtcTime()),),
}


def _canonical(spec: TableSpec) -> sa.Table:
    columns = [_column(column, spec) for column in spec.columns]
    columns += _EXTRA_COLUMNS.get(spec.name, ())
    if spec.name in LIVE_TABLES:
        columns.append(sa.Column("change_sequence", sa.BigInteger(), nullable=False, index=True))
    return sa.Table(spec.name, metadata, *columns, sqlite_with_rowid=spec.name not in _CLUSTERED)


CANONICAL: dict[str, sa.Table] = {name: _canonical(spec) for name, spec in TABLES.items() if name != "events"}
"""Every canonical table but events, by name."""

sa.Index("ix_members_household_id", CANONICAL["members"].c.household_id)
for _name in ("identities", "coupons", "sends", "redemptions"):
    sa.Index(f"ix_{_name}_member_id", CANONICAL[_name].c.member_id)

counters = sa.Table(
    "counters",
    metadata,
    sa.Column("name", ByteText, primary_key=True),
    sa.Column("value", sa.BigInteger(), nullable=False),
)
"""`sequence` is the last sequence given out; `changed:TABLE` that of a table's last change; `logged` that of
the last posted event copied to the event log; `attributed` that of the last event joined to exposures;
`hash_key:VERSION` a fingerprint of the hash key."""

events = sa.Table(
    "events",
    metadata,
    *(_column(column, EVENTS) for column in EVENTS.columns if column.name not in SUBJECT_COLUMNS),
    sa.Column("subject", ByteText),
    sa.Column("source", ByteText, nullable=False),
    sa.Column("content_hash", sa.BigInteger(), nullable=False),
    sa.Column("sequence", sa.BigInteger(), nullable=False),
    sa.Column("in_log", sa.Boolean(), nullable=False),
    sa.Column("received_at", UtcTime(), nullable=False),
    sa.Index("ix_events_subject_sequence", "subject", "sequence"),
    sa.Index("ix_events_sequence", "sequence"),
)
"""Recent events. `in_log`: came with a load whose files hold it too; posted events are in the log once their
sequence is not above the counter `logged`."""

log_files = sa.Table(
    "log_files",
    metadata,
    sa.Column("path", ByteText, primary_key=True),
    sa.Column("month", ByteText, nullable=False, index=True),
    sa.Column("rows", sa.BigInteger(), nullable=False),
    sa.Column("bytes", sa.BigInteger(), nullable=False),
    sa.Column("sha256", ByteText, nullable=False),
    sa.Column("sequence", sa.BigInteger(), nullable=False),
    sa.Column("load_id", ByteText),
    sa.Column("min_time", UtcTime(), nullable=False),
    sa.Column("max_time", UtcTime(), nullable=False),
)
"""The committed files of the event log; `sequence`: the last event sequence a file holds."""

loads = sa.Table(
    "loads",
    metadata,
    sa.Column("load_id", ByteText, primary_key=True),
    sa.Column("source", ByteText, nullable=False),
    sa.Column("file", ByteText, nullable=False),
    sa.Column("checksum", ByteText, nullable=False, index=True),
    sa.Column("read", sa.BigInteger(), nullable=False),
    sa.Column("added", sa.BigInteger(), nullable=False),
    sa.Column("duplicate", sa.BigInteger(), nullable=False),
    sa.Column("rejected", sa.BigInteger(), nullable=False),
    sa.Column("started_at", UtcTime(), nullable=False),
    sa.Column("finished_at", UtcTime()),
)
ledger = sa.Table(
    "ledger",
    metadata,
    sa.Column("source", ByteText, primary_key=True),
    sa.Column("store_id", ByteText, primary_key=True),
    sa.Column("day", Day(), primary_key=True, autoincrement=False),
    sa.Column("rows", sa.BigInteger(), nullable=False),
)
"""Events by source, store ('' = none named) and UTC day."""

recalls = sa.Table(
    "recalls",
    metadata,
    sa.Column("item_id", ByteText, primary_key=True),
    sa.Column("reason", ByteText, nullable=False),
    sa.Column("recalled_at", UtcTime(), nullable=False),
    sa.Column("recalled_by", ByteText, nullable=False),
)
"""Items pulled from every slate; a row goes when the recall is lifted, the audit keeps both."""

stock_policies = sa.Table(
    "stock_policies",
    metadata,
    sa.Column("category", ByteText, primary_key=True),
    sa.Column("trust", ByteText, nullable=False),
    sa.Column("safety_level", sa.Double(), nullable=False),
    sa.Column("max_age_minutes", sa.BigInteger()),
)
"""How far stock is trusted, by category ('' = all others); the policy of the longest path holds."""

dislikes = sa.Table(
    "dislikes",
    metadata,
    sa.Column("subject", ByteText, primary_key=True),
    sa.Column("kind", ByteText, primary_key=True),
    sa.Column("value", ByteText, primary_key=True),
    sa.Column("at", UtcTime(), nullable=False),
    sqlite_with_rowid=False,
)
"""What customers do not want to see: an item, a brand or a category; from events of the kind not_interested."""

idempotent_calls = sa.Table(
    "idempotent_calls",
    metadata,
    sa.Column("caller", ByteText, primary_key=True),
    sa.Column("operation", ByteText, primary_key=True),
    sa.Column("key", ByteText, primary_key=True),
    sa.Column("body_hash", ByteText, nullable=False),
    sa.Column("answer", ByteText, nullable=False),
    sa.Column("at", UtcTime(), nullable=False, index=True),
)
"""Answers to writes with an Idempotency-Key, kept for a day."""

api_keys = sa.Table(
    "api_keys",
    metadata,
    sa.Column("key_id", ByteText, primary_key=True),
    sa.Column("name", ByteText, nullable=False),
    sa.Column("sha256", ByteText, nullable=False, unique=True),
    sa.Column("scopes", ByteText, nullable=False),
    sa.Column("created_at", UtcTime(), nullable=False),
    sa.Column("expires_at", UtcTime()),
    sa.Column("revoked_at", UtcTime()),
    sa.Column("rate_limit", sa.Double()),
)
exposures = sa.Table(
    "exposures",
    metadata,
    sa.Column("recommendation_id", ByteText, primary_key=True),
    sa.Column("position", sa.Integer(), primary_key=True, autoincrement=False),
    sa.Column("item_id", ByteText, nullable=False),
    sa.Column("score", sa.Double()),
    sa.Column("retriever", ByteText),
    sa.Column("reason", ByteText),
    sa.Column("propensity", sa.Double()),
    sa.Column("scenario", ByteText, nullable=False),
    sa.Column("bundle_id", ByteText),
    sa.Column("strategy", ByteText, nullable=False),
    sa.Column("experiment", ByteText),
    sa.Column("subject", ByteText),
    sa.Column("store_id", ByteText),
    sa.Column("channel", ByteText),
    sa.Column("occurred_at", UtcTime(), nullable=False),
    sa.Column("flags", ByteText),
    sa.Column("experiment_group", ByteText),
    sa.Column("experiment_unit", sa.BigInteger()),
    *(_tally(name) for name in OUTCOMES),
    sa.Index("ix_exposures_subject_occurred_at", "subject", "occurred_at"),
    sa.Index("ix_exposures_occurred_at", "occurred_at"),
)
"""Items shown, each with what came of it: `OUTCOMES` are added up by storage/attribution.py. `flags`: those of the
slate, with commas. `experiment_unit`: a salted hash of the customer or household that was assigned."""

attributions = sa.Table(
    "attributions",
    metadata,
    sa.Column("act", ByteText, primary_key=True),
    sa.Column("event_id", ByteText, nullable=False),
    sa.Column("kind", ByteText, nullable=False),
    sa.Column("occurred_at", UtcTime(), nullable=False),
    sa.Column("subject", ByteText),
    sa.Column("item_id", ByteText),
    sa.Column("recommendation_id", ByteText),
    sa.Column("position", sa.Integer()),
    sa.Column("assisted", sa.Boolean(), nullable=False),
    sa.Column("order_id", ByteText),
    sa.Column("order_line", ByteText),
    sa.Column("revision", sa.BigInteger(), nullable=False),
    sa.Column("counted", sa.Boolean(), nullable=False),
    sa.Column("quantity", sa.Double()),
    sa.Column("returned", sa.Double(), nullable=False),
    sa.Column("unit_price_cents", sa.BigInteger()),
    sa.Column("discount_cents", sa.BigInteger()),
    sa.Column("waiting_until", UtcTime()),
    sa.Index("ix_attributions_subject", "subject"),
    sa.Index("ix_attributions_order_id", "order_id"),
    sa.Index("ix_attributions_recommendation_id", "recommendation_id"),
    sa.Index("ix_attributions_waiting_until", "waiting_until"),
)
"""Which shown item an act is credited to, each act once. `act`: an event, or an order line with all its revisions.
`assisted`: the event named no recommendation, the item had been shown. `waiting_until`: until then the recommendation
or purchase it names may still arrive; nothing is credited yet."""

experiments = sa.Table(
    "experiments",
    metadata,
    sa.Column("name", ByteText, primary_key=True),
    sa.Column("salt", ByteText, nullable=False),
    sa.Column("unit", ByteText, nullable=False),
    sa.Column("scenarios", ByteText, nullable=False),
    sa.Column("control", ByteText, nullable=False),
    sa.Column("treatment", ByteText, nullable=False),
    sa.Column("control_share", sa.Integer(), nullable=False),
    sa.Column("treatment_share", sa.Integer(), nullable=False),
    sa.Column("started_at", UtcTime(), nullable=False),
    sa.Column("stopped_at", UtcTime()),
    sa.Column("change_sequence", sa.BigInteger(), nullable=False),
)
"""Comparisons of two ways to recommend. `control`, `treatment`: JSON of an arm; shares are basis points of units."""

spool_files = sa.Table(
    "spool_files",
    metadata,
    sa.Column("file", ByteText, primary_key=True),
    sa.Column("offset", sa.BigInteger(), nullable=False),
)
"""How many bytes of each exposure spool file are in SQL."""

scenario_versions = sa.Table(
    "scenario_versions",
    metadata,
    sa.Column("scenario", ByteText, primary_key=True),
    sa.Column("version", sa.BigInteger(), primary_key=True, autoincrement=False),
    sa.Column("settings", ByteText, nullable=False),
    sa.Column("created_at", UtcTime(), nullable=False),
    sa.Column("created_by", ByteText, nullable=False),
    sa.Column("restored_from", sa.BigInteger()),
)
"""What marketers set of each scenario, every version; the highest one holds."""

retrain_requests = sa.Table(
    "retrain_requests",
    metadata,
    sa.Column("request_id", ByteText, primary_key=True),
    sa.Column("requested_at", UtcTime(), nullable=False),
    sa.Column("requested_by", ByteText, nullable=False),
    sa.Column("reason", ByteText, nullable=False),
    sa.Column("started_at", UtcTime()),
    sa.Column("finished_at", UtcTime()),
    sa.Column("bundle_id", ByteText),
    sa.Column("error", ByteText),
)
erased_subjects = sa.Table(
    "erased_subjects",
    metadata,
    sa.Column("subject", ByteText, primary_key=True),
    sa.Column("erased_at", UtcTime(), nullable=False),
    sa.Column("erasure_id", ByteText, index=True),
)
"""Tombstones: subjects whose events no reader may use again."""

erasures = sa.Table(
    "erasures",
    metadata,
    sa.Column("erasure_id", ByteText, primary_key=True),
    sa.Column("reference", ByteText, nullable=False, index=True),
    sa.Column("requested_at", UtcTime(), nullable=False),
    sa.Column("requested_by", ByteText, nullable=False),
    sa.Column("sequence", sa.BigInteger(), nullable=False),
    sa.Column("finished_at", UtcTime()),
    sa.Column("proof", ByteText, nullable=False),
)
"""Erasures of members. `reference`: a keyed hash of the member id. Bundles that include `sequence` know nothing of the
member. `proof`: JSON, what was removed when; storage/erasure.py."""

answers = sa.Table(
    "answers",
    metadata,
    sa.Column("recommendation_id", ByteText, primary_key=True),
    sa.Column("subject", ByteText, nullable=False),
    sa.Column("occurred_at", UtcTime(), nullable=False),
    sa.Column("dropped", ByteText, nullable=False),
    sa.Index("ix_answers_subject_occurred_at", "subject", "occurred_at"),
)
"""Slates of known customers: how many candidates each rule dropped, as JSON; what was shown is in exposures."""

audit = sa.Table(
    "audit",
    metadata,
    sa.Column("sequence", sa.BigInteger(), primary_key=True, autoincrement=False),
    sa.Column("at", UtcTime(), nullable=False),
    sa.Column("caller", ByteText, nullable=False),
    sa.Column("action", ByteText, nullable=False),
    sa.Column("target", ByteText, nullable=False),
    sa.Column("details", ByteText),
)
"""Who changed what: writes made by a person or an application key."""

audit_counts = sa.Table(
    "audit_counts",
    metadata,
    sa.Column("caller", ByteText, primary_key=True),
    sa.Column("action", ByteText, primary_key=True),
    sa.Column("hour", UtcTime(), primary_key=True, autoincrement=False),
    sa.Column("calls", sa.BigInteger(), nullable=False),
    sa.Column("rows", sa.BigInteger(), nullable=False),
)
"""Writes that come in streams, such as events and stock: counted by caller, action and UTC hour."""
