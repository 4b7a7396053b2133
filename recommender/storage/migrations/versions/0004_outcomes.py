"""What came of exposures: outcomes beside each shown item, attributions, and experiments.

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def _text(*names: str, needed: bool = False) -> list[sa.Column[Any]]:
    return [sa.Column(name, _TEXT, nullable=not needed) for name in names]


def _big(*names: str, needed: bool = False) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.BigInteger(), nullable=not needed) for name in names]


def _number(name: str, kind: Any, needed: bool = False) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=not needed)


def upgrade() -> None:
    """Add what the reports and experiments need."""
    outcomes = ("views", "basket_adds", "purchases", "revenue_cents", "assisted_purchases", "assisted_cents")
    added = [*_text("flags", "experiment_group"), *_big("experiment_unit")]
    added += [sa.Column(name, sa.BigInteger(), nullable=False, server_default=sa.text("0")) for name in outcomes]
    for column in added:
        op.add_column("exposures", column)
    op.create_index("ix_exposures_occurred_at", "exposures", ["occurred_at"])
    op.create_table(
        "attributions",
        sa.Column("act", _TEXT, primary_key=True),
        *_text("event_id", "kind", needed=True),
        *_big("occurred_at", needed=True),
        *_text("subject", "item_id", "recommendation_id"),
        _number("position", sa.Integer()),
        _number("assisted", sa.Boolean(), needed=True),
        *_text("order_id", "order_line"),
        *_big("revision", needed=True),
        _number("counted", sa.Boolean(), needed=True),
        _number("quantity", sa.Double()),
        _number("returned", sa.Double(), needed=True),
        *_big("unit_price_cents", "discount_cents", "waiting_until"),
    )
    for name in ("order_id", "recommendation_id", "waiting_until"):
        op.create_index(f"ix_attributions_{name}", "attributions", [name])
    op.create_table(
        "experiments",
        sa.Column("name", _TEXT, primary_key=True),
        *_text("salt", "unit", "scenarios", "control", "treatment", needed=True),
        _number("control_share", sa.Integer(), needed=True),
        _number("treatment_share", sa.Integer(), needed=True),
        *_big("started_at", needed=True),
        *_big("stopped_at"),
        *_big("change_sequence", needed=True),
    )
