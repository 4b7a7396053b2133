"""Recalls, trust in stock, dislikes, and writes that are done once.

Revision ID: 0003
Revises: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0001"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "recalls",
        sa.Column("item_id", _TEXT, primary_key=True),
        sa.Column("reason", _TEXT, nullable=False),
        sa.Column("recalled_at", sa.BigInteger(), nullable=False),
        sa.Column("recalled_by", _TEXT, nullable=False),
    )
    op.create_table(
        "stock_policies",
        sa.Column("category", _TEXT, primary_key=True),
        sa.Column("trust", _TEXT, nullable=False),
        sa.Column("safety_level", sa.Double(), nullable=False),
        sa.Column("max_age_minutes", sa.BigInteger()),
    )
    op.create_table(
        "dislikes",
        sa.Column("subject", _TEXT, primary_key=True),
        sa.Column("kind", _TEXT, primary_key=True),
        sa.Column("value", _TEXT, primary_key=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "idempotent_calls",
        sa.Column("caller", _TEXT, primary_key=True),
        sa.Column("operation", _TEXT, primary_key=True),
        sa.Column("key", _TEXT, primary_key=True),
        sa.Column("body_hash", _TEXT, nullable=False),
        sa.Column("answer", _TEXT, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_idempotent_calls_at", "idempotent_calls", ["at"])


def downgrade() -> None:
    """Drop the tables."""
    for name in ("recalls", "stock_policies", "dislikes", "idempotent_calls"):
        op.drop_table(name)
