"""Delivery: the order in which messages are sent, rate limits of transports, and counts of what was delivered.

Revision ID: 0012
Revises: 0011
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Create the index and the tables."""
    op.drop_index("ix_deliveries_state_due_at", "deliveries")
    op.create_index(
        "ix_deliveries_queue",
        "deliveries",
        ["campaign_id", "transport", "state", "due_at", sa.text("worth_cents DESC")],
    )
    failed = sa.text("state = 'failed'")
    op.create_index("ix_deliveries_failed", "deliveries", ["finished_at"], sqlite_where=failed, postgresql_where=failed)
    op.create_table(
        "transport_limits",
        sa.Column("transport", _TEXT, primary_key=True),
        sa.Column("tokens", sa.Double(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("blocked_until", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "delivery_counts",
        sa.Column("transport", _TEXT, primary_key=True),
        sa.Column("outcome", _TEXT, primary_key=True),
        sa.Column("reason", _TEXT, primary_key=True),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("delivery_counts")
    op.drop_table("transport_limits")
    op.drop_index("ix_deliveries_failed", "deliveries")
    op.drop_index("ix_deliveries_queue", "deliveries")
    op.create_index("ix_deliveries_state_due_at", "deliveries", ["state", "due_at"])
