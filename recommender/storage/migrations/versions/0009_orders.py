"""Coupons found by the order that uses them.

Revision ID: 0009
Revises: 0008
"""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the index."""
    op.create_index("ix_wallet_coupons_order_id", "wallet_coupons", ["order_id"])


def downgrade() -> None:
    """Drop it."""
    op.drop_index("ix_wallet_coupons_order_id", "wallet_coupons")
