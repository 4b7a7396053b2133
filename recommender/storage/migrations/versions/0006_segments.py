"""Offers for some segments.

Revision ID: 0006
Revises: 0005
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Add the column."""
    op.add_column("offers", sa.Column("segments", _TEXT))


def downgrade() -> None:
    """Drop it."""
    op.drop_column("offers", "segments")
