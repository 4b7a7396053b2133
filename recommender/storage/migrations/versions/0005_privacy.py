"""Erasures with their proof, what rules dropped, counts of streamed writes, and rates of keys.

Revision ID: 0005
Revises: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0002"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

_FOUND_BY = (
    ("coupons", "member_id"),
    ("sends", "member_id"),
    ("redemptions", "member_id"),
    ("attributions", "subject"),
)


def upgrade() -> None:
    """Create the tables and columns."""
    op.add_column("api_keys", sa.Column("rate_limit", sa.Double()))
    op.add_column("erased_subjects", sa.Column("erasure_id", _TEXT))
    op.create_index("ix_erased_subjects_erasure_id", "erased_subjects", ["erasure_id"])
    op.create_table(
        "erasures",
        sa.Column("erasure_id", _TEXT, primary_key=True),
        sa.Column("reference", _TEXT, nullable=False),
        sa.Column("requested_at", sa.BigInteger(), nullable=False),
        sa.Column("requested_by", _TEXT, nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger()),
        sa.Column("proof", _TEXT, nullable=False),
    )
    op.create_index("ix_erasures_reference", "erasures", ["reference"])
    op.create_table(
        "answers",
        sa.Column("recommendation_id", _TEXT, primary_key=True),
        sa.Column("subject", _TEXT, nullable=False),
        sa.Column("occurred_at", sa.BigInteger(), nullable=False),
        sa.Column("dropped", _TEXT, nullable=False),
    )
    op.create_index("ix_answers_subject_occurred_at", "answers", ["subject", "occurred_at"])
    for table, column in _FOUND_BY:
        op.create_index(f"ix_{table}_{column}", table, [column])
    op.create_table(
        "audit_counts",
        sa.Column("caller", _TEXT, primary_key=True),
        sa.Column("action", _TEXT, primary_key=True),
        sa.Column("hour", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("calls", sa.BigInteger(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
    )


def downgrade() -> None:
    """Drop them."""
    for table, column in _FOUND_BY:
        op.drop_index(f"ix_{table}_{column}", table)
    for name in ("audit_counts", "answers", "erasures"):
        op.drop_table(name)
    op.drop_index("ix_erased_subjects_erasure_id", "erased_subjects")
    op.drop_column("erased_subjects", "erasure_id")
    op.drop_column("api_keys", "rate_limit")
