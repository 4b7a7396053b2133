"""Campaigns: their life, plans, groups, audiences, deliveries and transports.

Revision ID: 0010
Revises: 0009
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the tables."""
    _create_life()
    _create_plans()
    _create_groups()
    _create_audiences()
    _create_outbox()
    _create_transports()


def _create_life() -> None:
    op.create_table(
        "campaign_states",
        sa.Column("campaign_id", _TEXT, primary_key=True),
        sa.Column("kind", _TEXT, nullable=False),
        sa.Column("status", _TEXT, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("settings", _TEXT, nullable=False),
        sa.Column("salt", _TEXT, nullable=False),
        sa.Column("plan_id", _TEXT),
        sa.Column("author", _TEXT, nullable=False),
        sa.Column("approved_by", _TEXT),
        sa.Column("launch_at", sa.BigInteger()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_campaign_states_status", "campaign_states", ["status"])
    op.create_table(
        "campaign_transitions",
        sa.Column("sequence", _NUMBER, primary_key=True),
        sa.Column("campaign_id", _TEXT, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("caller", _TEXT, nullable=False),
        sa.Column("action", _TEXT, nullable=False),
        sa.Column("status", _TEXT, nullable=False),
        sa.Column("details", _TEXT),
    )
    op.create_index("ix_campaign_transitions_campaign_id", "campaign_transitions", ["campaign_id"])


def _create_plans() -> None:
    op.create_table(
        "campaign_plans",
        sa.Column("plan_id", _TEXT, primary_key=True),
        sa.Column("campaign_id", _TEXT, nullable=False),
        sa.Column("status", _TEXT, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("requested_at", sa.BigInteger(), nullable=False),
        sa.Column("requested_by", _TEXT, nullable=False),
        sa.Column("step", _TEXT, nullable=False),
        sa.Column("progress", sa.Double(), nullable=False),
        sa.Column("lease_until", sa.BigInteger()),
        sa.Column("finished_at", sa.BigInteger()),
        sa.Column("bundle_id", _TEXT),
        sa.Column("figures", _TEXT),
        sa.Column("error", _TEXT),
    )
    op.create_index("ix_campaign_plans_campaign_id", "campaign_plans", ["campaign_id"])


def _create_groups() -> None:
    op.create_table(
        "campaign_members",
        sa.Column("campaign_id", _TEXT, primary_key=True),
        sa.Column("member_id", _TEXT, primary_key=True),
        sa.Column("unit", _TEXT, nullable=False),
        sa.Column("arm", _TEXT, nullable=False),
        sa.Column("propensity", sa.Double(), nullable=False),
        sa.Column("offer_id", _TEXT),
        sa.Column("offer_propensity", sa.Double()),
        sa.Column("profit_cents", sa.Double()),
        sa.Column("cost_cents", sa.Double()),
        sa.Column("assigned_at", sa.BigInteger(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_campaign_members_member_id", "campaign_members", ["member_id"])
    op.create_table(
        "holdout_periods",
        sa.Column("period", _TEXT, primary_key=True),
        sa.Column("starts_at", sa.BigInteger(), nullable=False),
        sa.Column("ends_at", sa.BigInteger(), nullable=False),
        sa.Column("share", sa.Integer(), nullable=False),
        sa.Column("salt", _TEXT, nullable=False),
    )
    op.create_table(
        "holdout_units",
        sa.Column("scope", _TEXT, primary_key=True),
        sa.Column("unit", _TEXT, primary_key=True),
        sa.Column("arm", _TEXT, nullable=False),
        sa.Column("assigned_at", sa.BigInteger(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_holdout_units_unit", "holdout_units", ["unit"])


def _create_audiences() -> None:
    op.create_table(
        "audiences",
        sa.Column("audience_id", _TEXT, primary_key=True),
        sa.Column("version", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("name", _TEXT, nullable=False),
        sa.Column("expression", _TEXT, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("created_by", _TEXT, nullable=False),
    )
    op.create_table(
        "card_lists",
        sa.Column("list_id", _TEXT, primary_key=True),
        sa.Column("name", _TEXT, nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("unknown", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("created_by", _TEXT, nullable=False),
    )
    op.create_table(
        "card_list_members",
        sa.Column("list_id", _TEXT, primary_key=True),
        sa.Column("member_id", _TEXT, primary_key=True),
        sa.Column("added_at", sa.BigInteger(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_card_list_members_member_id", "card_list_members", ["member_id"])


def _create_outbox() -> None:
    op.create_table(
        "deliveries",
        sa.Column("delivery_id", _TEXT, primary_key=True),
        sa.Column("campaign_id", _TEXT, nullable=False),
        sa.Column("occasion", _TEXT, nullable=False),
        sa.Column("member_id", _TEXT, nullable=False),
        sa.Column("unit", _TEXT, nullable=False),
        sa.Column("arm", _TEXT, nullable=False),
        sa.Column("propensity", sa.Double(), nullable=False),
        sa.Column("offer_id", _TEXT),
        sa.Column("coupon_id", _TEXT),
        sa.Column("transport", _TEXT, nullable=False),
        sa.Column("state", _TEXT, nullable=False),
        sa.Column("reason", _TEXT),
        sa.Column("test", sa.Boolean(), nullable=False),
        sa.Column("worth_cents", sa.Double(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger()),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("lease_until", sa.BigInteger()),
        sa.Column("lease_owner", _TEXT),
        sa.Column("day", sa.Integer()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("sent_at", sa.BigInteger()),
        sa.Column("finished_at", sa.BigInteger()),
        sa.Column("provider_ref", _TEXT),
    )
    op.create_index("ix_deliveries_campaign_id_state", "deliveries", ["campaign_id", "state"])
    op.create_index("ix_deliveries_member_id", "deliveries", ["member_id"])
    op.create_index("ix_deliveries_state_due_at", "deliveries", ["state", "due_at"])


def _create_transports() -> None:
    op.create_table(
        "contact_counts",
        sa.Column("unit", _TEXT, primary_key=True),
        sa.Column("day", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("transport", _TEXT, primary_key=True),
        sa.Column("count", sa.Integer(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "transports",
        sa.Column("transport", _TEXT, primary_key=True),
        sa.Column("kind", _TEXT, nullable=False),
        sa.Column("settings", _TEXT, nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_by", _TEXT, nullable=False),
    )
    op.create_table(
        "message_quotas",
        sa.Column("member_id", _TEXT, primary_key=True),
        sa.Column("template", _TEXT, primary_key=True),
        sa.Column("accepted", sa.BigInteger(), nullable=False),
        sa.Column("used", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Drop them."""
    for name in (
        "message_quotas",
        "transports",
        "contact_counts",
        "deliveries",
        "card_list_members",
        "card_lists",
        "audiences",
        "holdout_units",
        "holdout_periods",
        "campaign_members",
        "campaign_plans",
        "campaign_transitions",
        "campaign_states",
    ):
        op.drop_table(name)
