"""Plans of recurring campaigns say for which occasion they are made.

Revision ID: 0014
Revises: 0013
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Add the column."""
    op.add_column("campaign_plans", sa.Column("occasion", _TEXT))


def downgrade() -> None:
    """Remove it."""
    op.drop_column("campaign_plans", "occasion")
