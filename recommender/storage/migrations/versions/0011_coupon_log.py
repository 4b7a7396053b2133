"""What plans of offers decided and why, and which coupons were shown.

Revision ID: 0011
Revises: 0010
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "coupon_plans",
        sa.Column("plan_id", _TEXT, primary_key=True),
        sa.Column("campaign_id", _TEXT),
        sa.Column("planned_for", sa.BigInteger(), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("bundle_id", _TEXT, nullable=False),
        sa.Column("members", sa.BigInteger(), nullable=False),
        sa.Column("coupons", sa.BigInteger(), nullable=False),
        sa.Column("reasons", _TEXT, nullable=False),
        sa.Column("fairness", _TEXT, nullable=False),
    )
    op.create_index("ix_coupon_plans_campaign_id", "coupon_plans", ["campaign_id"])
    op.create_table(
        "coupon_exposures",
        sa.Column("recommendation_id", _TEXT, primary_key=True),
        sa.Column("position", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("item_id", _TEXT),
        sa.Column("offer_id", _TEXT, nullable=False),
        sa.Column("coupon_id", _TEXT),
        sa.Column("campaign_id", _TEXT),
        sa.Column("origin", _TEXT, nullable=False),
        sa.Column("reason", _TEXT),
        sa.Column("propensity", sa.Double()),
        sa.Column("scenario", _TEXT, nullable=False),
        sa.Column("bundle_id", _TEXT),
        sa.Column("subject", _TEXT),
        sa.Column("channel", _TEXT),
        sa.Column("occurred_at", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_coupon_exposures_subject_occurred_at", "coupon_exposures", ["subject", "occurred_at"])
    op.create_index("ix_coupon_exposures_occurred_at", "coupon_exposures", ["occurred_at"])


def downgrade() -> None:
    """Drop them."""
    op.drop_table("coupon_exposures")
    op.drop_table("coupon_plans")
