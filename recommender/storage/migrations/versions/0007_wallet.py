"""The wallet: coupons, their ledger, counters, till codes, business requests, and the state of offers.

Revision ID: 0007
Revises: 0006
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _filled(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, _TEXT, nullable=False) for name in names]


def _key(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, _TEXT, primary_key=True) for name in names]


def upgrade() -> None:
    """Create the tables."""
    _create_coupons()
    _create_ledger()
    op.create_table(
        "coupon_counters",
        *_key("kind", "owner", "subject"),
        sa.Column("used", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_coupon_counters_subject", "coupon_counters", ["subject"])
    op.create_table(
        "coupon_codes",
        *_key("code"),
        *_filled("coupon_id"),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_coupon_codes_expires_at", "coupon_codes", ["expires_at"])
    op.create_table(
        "coupon_requests",
        *_key("operation", "request_no"),
        *_filled("body_hash", "answer"),
        sa.Column("at", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "offer_states",
        *_key("offer_id"),
        *_filled("terms"),
        sa.Column("below_cost", sa.Boolean(), nullable=False),
        *_filled("requested_by"),
        sa.Column("approved_by", _TEXT),
        sa.Column("approved_at", sa.BigInteger()),
        sa.Column("frozen_at", sa.BigInteger()),
        sa.Column("frozen_reason", _TEXT),
    )


def _create_coupons() -> None:
    op.create_table(
        "wallet_coupons",
        *_key("coupon_id"),
        *_filled("offer_id", "member_id"),
        sa.Column("campaign_id", _TEXT),
        *_filled("status"),
        sa.Column("service", sa.Boolean(), nullable=False),
        sa.Column("issued_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger()),
        sa.Column("order_id", _TEXT),
        sa.Column("locked_until", sa.BigInteger()),
        sa.Column("discount_cents", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_wallet_coupons_offer_id", "wallet_coupons", ["offer_id"])
    op.create_index("ix_wallet_coupons_member_id", "wallet_coupons", ["member_id"])
    op.create_index("ix_wallet_coupons_status_expires_at", "wallet_coupons", ["status", "expires_at"])
    op.create_index("ix_wallet_coupons_status_locked_until", "wallet_coupons", ["status", "locked_until"])


def _create_ledger() -> None:
    op.create_table(
        "coupon_ledger",
        sa.Column("sequence", _NUMBER, primary_key=True),
        *_filled("coupon_id", "offer_id"),
        sa.Column("campaign_id", _TEXT),
        *_filled("entry"),
        sa.Column("status", _TEXT),
        sa.Column("reserved_cents", sa.BigInteger(), nullable=False),
        sa.Column("spent_cents", sa.BigInteger(), nullable=False),
        sa.Column("goods_cents", sa.BigInteger()),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("order_id", _TEXT),
        sa.Column("request_no", _TEXT),
        sa.Column("store_id", _TEXT),
        *_filled("caller"),
        sa.Column("details", _TEXT),
    )
    op.create_index("ix_coupon_ledger_coupon_id", "coupon_ledger", ["coupon_id"])
    op.create_index("ix_coupon_ledger_request_no", "coupon_ledger", ["request_no"])
    op.create_index("ix_coupon_ledger_entry_at", "coupon_ledger", ["entry", "at"])


def downgrade() -> None:
    """Drop them."""
    for name in (
        "offer_states",
        "coupon_requests",
        "coupon_codes",
        "coupon_counters",
        "coupon_ledger",
        "wallet_coupons",
    ):
        op.drop_table(name)
