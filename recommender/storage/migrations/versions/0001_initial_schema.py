"""The initial schema.

Revision ID: 0001
Revises: none
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def _text(*names: str, needed: bool = False, key: bool = False) -> list[sa.Column[Any]]:
    return [sa.Column(name, _TEXT, nullable=not (needed or key), primary_key=key) for name in names]


def _big(*names: str, needed: bool = False, key: bool = False) -> list[sa.Column[Any]]:
    return [
        sa.Column(name, sa.BigInteger(), nullable=not (needed or key), primary_key=key, autoincrement=False)
        for name in names
    ]


def _int(*names: str, needed: bool = False, key: bool = False) -> list[sa.Column[Any]]:
    return [
        sa.Column(name, sa.Integer(), nullable=not (needed or key), primary_key=key, autoincrement=False)
        for name in names
    ]


def _number(*names: str, needed: bool = False) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.Double(), nullable=not needed) for name in names]


def _flag(*names: str, needed: bool = False, default: Any = None) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.Boolean(), nullable=not needed, server_default=default) for name in names]


def _live(table: str) -> None:
    op.create_index(f"ix_{table}_change_sequence", table, ["change_sequence"])


def upgrade() -> None:
    """Create every table."""
    _people()
    _catalogue()
    _coupons()
    _history()
    _operations()


def downgrade() -> None:
    """Drop every table."""
    for name in (
        "api_keys",
        "assortment",
        "audit",
        "calendar",
        "campaigns",
        "consents",
        "counters",
        "coupons",
        "erased_subjects",
        "events",
        "exposures",
        "identities",
        "inventory",
        "item_relations",
        "items",
        "ledger",
        "loads",
        "log_files",
        "members",
        "offer_items",
        "offers",
        "prices",
        "promotions",
        "redemptions",
        "retrain_requests",
        "sends",
        "spool_files",
        "stores",
    ):
        op.drop_table(name)


def _people() -> None:
    op.create_table(
        "members",
        *_text("member_id", key=True),
        *_text("kind", "household_id"),
        *_big("registered_at"),
        *_text("home_store_id", "guide_id"),
        *_int("birth_date"),
        *_text("adult", "tier", "city"),
        *_big("points_balance"),
        *_text("attributes"),
        *_big("change_sequence", needed=True),
    )
    _live("members")
    op.create_table(
        "consents",
        *_text("member_id", "purpose", "channel", key=True),
        *_flag("granted", needed=True),
        *_big("at", key=True),
        *_text("wording_version", "source"),
        *_big("change_sequence", needed=True),
    )
    _live("consents")
    op.create_table(
        "identities",
        *_text("namespace", "value", "member_id", key=True),
        *_big("linked_at", "unlinked_at"),
        *_big("change_sequence", needed=True),
    )
    _live("identities")
    op.create_index("ix_identities_member_id", "identities", ["member_id"])


def _catalogue() -> None:
    op.create_table(
        "items",
        *_text("item_id", key=True),
        *_text("title", "category", "brand"),
        *_big("price_cents", "cost_cents"),
        *_text("sale_unit", "pack_content", "restricted_class", "season"),
        *_int("season_until"),
        *_big("available_from", "available_until"),
        *_flag("sponsored"),
        *_text("attributes"),
        *_flag("hidden", needed=True, default=sa.false()),
        *_big("change_sequence", needed=True),
    )
    _live("items")
    op.create_table(
        "item_relations",
        *_text("item_id", "related_item_id", "relation", key=True),
        *_big("change_sequence", needed=True),
        sqlite_with_rowid=False,
    )
    _live("item_relations")
    op.create_table(
        "stores",
        *_text("store_id", key=True),
        *_text("name", "region", "city", "channel", "status"),
        *_int("closed_on"),
        *_text("successor_store_id"),
        *_big("change_sequence", needed=True),
    )
    _live("stores")
    op.create_table(
        "prices",
        *_text("store_id", "item_id", key=True),
        *_big("price_cents", needed=True),
        *_big("member_price_cents"),
        *_big("valid_from", key=True),
        *_big("valid_until"),
        *_big("change_sequence", needed=True),
        sqlite_with_rowid=False,
    )
    _live("prices")
    op.create_table(
        "assortment",
        *_text("store_id", "item_id", key=True),
        *_big("listed_from", "listed_until"),
        *_big("change_sequence", needed=True),
        sqlite_with_rowid=False,
    )
    _live("assortment")
    op.create_table(
        "inventory",
        *_text("store_id", "item_id", key=True),
        *_number("on_hand", needed=True),
        *_big("as_of"),
        *_big("change_sequence", needed=True),
        sqlite_with_rowid=False,
    )
    _live("inventory")
    op.create_table(
        "calendar",
        *_int("date", key=True),
        *_text("festival", "region", key=True),
    )
    op.create_table(
        "promotions",
        *_text("store_id", "item_id", key=True),
        *_big("starts_at", key=True),
        *_big("ends_at"),
        *_text("placement", key=True),
    )


def _coupons() -> None:
    op.create_table(
        "offers",
        *_text("offer_id", key=True),
        *_text("title"),
        *_text("kind", needed=True),
        *_big("value", "assumed_value_cents", "minimum_spend_cents", "maximum_discount_cents"),
        *_text("scope", "stores", "channels", "fulfilment"),
        *_big("points_cost", "valid_from", "valid_until", "stock", "per_member_limit"),
        *_number("funded_share"),
        *_text("wallet", "exclusive_group"),
    )
    op.create_table(
        "offer_items",
        *_text("offer_id", "item_id", key=True),
    )
    op.create_table(
        "coupons",
        *_text("coupon_id", key=True),
        *_text("offer_id", "member_id", "status", needed=True),
        *_big("issued_at", "expires_at"),
        *_text("source"),
    )
    op.create_table(
        "campaigns",
        *_text("campaign_id", key=True),
        *_text("name"),
        *_big("starts_at", "ends_at", needed=True),
        *_big("budget_cents"),
        *_text("offers", "message"),
    )
    op.create_table(
        "sends",
        *_text("campaign_id", "member_id", "offer_id", key=True),
        *_big("sent_at", key=True),
        *_text("arm"),
        *_number("propensity"),
    )
    op.create_table(
        "redemptions",
        *_text("redemption_id", key=True),
        *_text("member_id", "offer_id", needed=True),
        *_text("coupon_id", "campaign_id", "order_id"),
        *_big("redeemed_at", needed=True),
        *_text("channel", "store_id"),
        *_big("discount_cents"),
    )


def _history() -> None:
    op.create_table(
        "events",
        *_text("event_id", key=True),
        *_big("occurred_at", needed=True),
        *_text("kind", "channel", needed=True),
        *_text("item_id", "store_id", "order_id", "order_line"),
        *_big("revision"),
        *_text("status", "fulfilment"),
        *_number("quantity"),
        *_big("unit_price_cents", "discount_cents"),
        *_text("coupon_id", "recommendation_id"),
        *_big("position"),
        *_number("value"),
        *_text("attributes", "subject"),
        *_text("source", needed=True),
        *_big("content_hash", "sequence", needed=True),
        *_flag("in_log", needed=True),
        *_big("received_at", needed=True),
    )
    op.create_index("ix_events_sequence", "events", ["sequence"])
    op.create_index("ix_events_subject_sequence", "events", ["subject", "sequence"])
    op.create_table(
        "log_files",
        *_text("path", key=True),
        *_text("month", needed=True),
        *_big("rows", "bytes", needed=True),
        *_text("sha256", needed=True),
        *_big("sequence", needed=True),
        *_text("load_id"),
        *_big("min_time", "max_time", needed=True),
    )
    op.create_index("ix_log_files_month", "log_files", ["month"])
    op.create_table(
        "loads",
        *_text("load_id", key=True),
        *_text("source", "file", "checksum", needed=True),
        *_big("read", "added", "duplicate", "rejected", "started_at", needed=True),
        *_big("finished_at"),
    )
    op.create_index("ix_loads_checksum", "loads", ["checksum"])
    op.create_table(
        "ledger",
        *_text("source", "store_id", key=True),
        *_int("day", key=True),
        *_big("rows", needed=True),
    )
    op.create_table(
        "erased_subjects",
        *_text("subject", key=True),
        *_big("erased_at", needed=True),
    )


def _operations() -> None:
    op.create_table(
        "counters",
        *_text("name", key=True),
        *_big("value", needed=True),
    )
    op.create_table(
        "api_keys",
        *_text("key_id", key=True),
        *_text("name", "sha256", "scopes", needed=True),
        *_big("created_at", needed=True),
        *_big("expires_at", "revoked_at"),
        sa.UniqueConstraint("sha256"),
    )
    op.create_table(
        "exposures",
        *_text("recommendation_id", key=True),
        *_int("position", key=True),
        *_text("item_id", needed=True),
        *_number("score"),
        *_text("retriever", "reason"),
        *_number("propensity"),
        *_text("scenario", needed=True),
        *_text("bundle_id"),
        *_text("strategy", needed=True),
        *_text("experiment", "subject", "store_id", "channel"),
        *_big("occurred_at", needed=True),
    )
    op.create_index("ix_exposures_subject_occurred_at", "exposures", ["subject", "occurred_at"])
    op.create_table(
        "spool_files",
        *_text("file", key=True),
        *_big("offset", needed=True),
    )
    op.create_table(
        "retrain_requests",
        *_text("request_id", key=True),
        *_big("requested_at", needed=True),
        *_text("requested_by", "reason", needed=True),
        *_big("started_at", "finished_at"),
        *_text("bundle_id", "error"),
    )
    op.create_table(
        "audit",
        *_big("sequence", key=True),
        *_big("at", needed=True),
        *_text("caller", "action", "target", needed=True),
        *_text("details"),
    )
