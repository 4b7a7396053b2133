"""The SQL tables of campaigns: their life, plans, groups, audiences, and what is delivered to whom."""

from __future__ import annotations

import sqlalchemy as sa

from recommender.storage.metadata import metadata
from recommender.storage.types import ByteText, Day, UtcTime

campaign_states = sa.Table(
    "campaign_states",
    metadata,
    sa.Column("campaign_id", ByteText, primary_key=True),
    sa.Column("kind", ByteText, nullable=False),
    sa.Column("status", ByteText, nullable=False, index=True),
    sa.Column("version", sa.BigInteger(), nullable=False),
    sa.Column("settings", ByteText, nullable=False),
    sa.Column("salt", ByteText, nullable=False),
    sa.Column("plan_id", ByteText),
    sa.Column("author", ByteText, nullable=False),
    sa.Column("approved_by", ByteText),
    sa.Column("launch_at", UtcTime()),
    sa.Column("created_at", UtcTime(), nullable=False),
    sa.Column("updated_at", UtcTime(), nullable=False),
)
"""What a campaign is beyond its row in `campaigns`. `kind`: one_off, recurring or triggered. `settings`: JSON.
`version` rises with every change, for compare-and-set. `launch_at`: the end of the undo period."""

campaign_transitions = sa.Table(
    "campaign_transitions",
    metadata,
    sa.Column("sequence", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
    sa.Column("campaign_id", ByteText, nullable=False, index=True),
    sa.Column("at", UtcTime(), nullable=False),
    sa.Column("caller", ByteText, nullable=False),
    sa.Column("action", ByteText, nullable=False),
    sa.Column("status", ByteText, nullable=False),
    sa.Column("details", ByteText),
)
"""The timeline of each campaign, append-only. `status`: afterwards."""

campaign_plans = sa.Table(
    "campaign_plans",
    metadata,
    sa.Column("plan_id", ByteText, primary_key=True),
    sa.Column("campaign_id", ByteText, nullable=False, index=True),
    sa.Column("status", ByteText, nullable=False),
    sa.Column("version", sa.BigInteger(), nullable=False),
    sa.Column("requested_at", UtcTime(), nullable=False),
    sa.Column("requested_by", ByteText, nullable=False),
    sa.Column("step", ByteText, nullable=False),
    sa.Column("progress", sa.Double(), nullable=False),
    sa.Column("lease_until", UtcTime()),
    sa.Column("finished_at", UtcTime()),
    sa.Column("bundle_id", ByteText),
    sa.Column("figures", ByteText),
    sa.Column("error", ByteText),
    sa.Column("occasion", ByteText),
)
"""Plans as jobs. `status`: requested, running, done or failed. `version`: of the campaign it was made for.
`figures`: JSON. `occasion`: of a recurring campaign that runs: the day it is made for; NULL: the plan to approve."""

campaign_members = sa.Table(
    "campaign_members",
    metadata,
    sa.Column("campaign_id", ByteText, primary_key=True),
    sa.Column("member_id", ByteText, primary_key=True),
    sa.Column("unit", ByteText, nullable=False),
    sa.Column("arm", ByteText, nullable=False),
    sa.Column("propensity", sa.Double(), nullable=False),
    sa.Column("offer_id", ByteText),
    sa.Column("offer_propensity", sa.Double()),
    sa.Column("profit_cents", sa.Double()),
    sa.Column("cost_cents", sa.Double()),
    sa.Column("assigned_at", UtcTime(), nullable=False),
    sa.Index("ix_campaign_members_member_id", "member_id"),
    sqlite_with_rowid=False,
)
"""Who is in which group of a campaign, as first assigned, and what the plan gives them. `unit`: the household where
known, else the member. `arm`: treated, holdout (of the campaign) or global_holdout; of the two last the offer is what
they would have got. `propensity`: chance to be treated."""

holdout_periods = sa.Table(
    "holdout_periods",
    metadata,
    sa.Column("period", ByteText, primary_key=True),
    sa.Column("starts_at", UtcTime(), nullable=False),
    sa.Column("ends_at", UtcTime(), nullable=False),
    sa.Column("share", sa.Integer(), nullable=False),
    sa.Column("salt", ByteText, nullable=False),
)
"""The global holdout of each quarter. `share`: in buckets."""

holdout_units = sa.Table(
    "holdout_units",
    metadata,
    sa.Column("scope", ByteText, primary_key=True),
    sa.Column("unit", ByteText, primary_key=True),
    sa.Column("arm", ByteText, nullable=False),
    sa.Column("assigned_at", UtcTime(), nullable=False),
    sa.Index("ix_holdout_units_unit", "unit"),
    sqlite_with_rowid=False,
)
"""Units kept back, as first assigned. `scope`: a campaign, or `global:` and a period."""

audiences = sa.Table(
    "audiences",
    metadata,
    sa.Column("audience_id", ByteText, primary_key=True),
    sa.Column("version", sa.BigInteger(), primary_key=True, autoincrement=False),
    sa.Column("name", ByteText, nullable=False),
    sa.Column("expression", ByteText, nullable=False),
    sa.Column("created_at", UtcTime(), nullable=False),
    sa.Column("created_by", ByteText, nullable=False),
)
"""Saved audiences, every version; the highest one holds."""

card_lists = sa.Table(
    "card_lists",
    metadata,
    sa.Column("list_id", ByteText, primary_key=True),
    sa.Column("name", ByteText, nullable=False),
    sa.Column("rows", sa.BigInteger(), nullable=False),
    sa.Column("unknown", sa.BigInteger(), nullable=False),
    sa.Column("created_at", UtcTime(), nullable=False),
    sa.Column("created_by", ByteText, nullable=False),
)
card_list_members = sa.Table(
    "card_list_members",
    metadata,
    sa.Column("list_id", ByteText, primary_key=True),
    sa.Column("member_id", ByteText, primary_key=True),
    sa.Column("added_at", UtcTime(), nullable=False),
    sa.Index("ix_card_list_members_member_id", "member_id"),
    sqlite_with_rowid=False,
)
"""Uploaded lists of members, resolved when they were uploaded. `unknown`: rows that named nobody known."""

deliveries = sa.Table(
    "deliveries",
    metadata,
    sa.Column("delivery_id", ByteText, primary_key=True),
    sa.Column("campaign_id", ByteText, nullable=False),
    sa.Column("occasion", ByteText, nullable=False),
    sa.Column("member_id", ByteText, nullable=False, index=True),
    sa.Column("unit", ByteText, nullable=False),
    sa.Column("arm", ByteText, nullable=False),
    sa.Column("propensity", sa.Double(), nullable=False),
    sa.Column("offer_id", ByteText),
    sa.Column("coupon_id", ByteText),
    sa.Column("transport", ByteText, nullable=False),
    sa.Column("state", ByteText, nullable=False),
    sa.Column("reason", ByteText),
    sa.Column("test", sa.Boolean(), nullable=False),
    sa.Column("worth_cents", sa.Double(), nullable=False),
    sa.Column("due_at", UtcTime(), nullable=False),
    sa.Column("expires_at", UtcTime()),
    sa.Column("attempts", sa.Integer(), nullable=False),
    sa.Column("lease_until", UtcTime()),
    sa.Column("lease_owner", ByteText),
    sa.Column("day", Day()),
    sa.Column("created_at", UtcTime(), nullable=False),
    sa.Column("sent_at", UtcTime()),
    sa.Column("finished_at", UtcTime()),
    sa.Column("provider_ref", ByteText),
    sa.Index("ix_deliveries_queue", "campaign_id", "transport", "state", "due_at", sa.text("worth_cents DESC")),
    sa.Index("ix_deliveries_campaign_id_state", "campaign_id", "state"),
    sa.Index(
        "ix_deliveries_failed",
        "finished_at",
        sqlite_where=sa.text("state = 'failed'"),
        postgresql_where=sa.text("state = 'failed'"),
    ),
)
"""The outbox: one row per message to a member, and one per message that a member of a control group would have got.

`occasion`: '' of a one-off campaign; the date of a recurring one; the event that triggered one. `due_at`: not before.
`worth_cents`: expected incremental profit, by which the scarce go first. `state`: pending, held, skipped, tasked, sent,
delivered, failed or withheld; `reason` of the latest. `day`: the member's calendar day that caps count it in."""

contact_counts = sa.Table(
    "contact_counts",
    metadata,
    sa.Column("unit", ByteText, primary_key=True),
    sa.Column("day", Day(), primary_key=True, autoincrement=False),
    sa.Column("transport", ByteText, primary_key=True),
    sa.Column("count", sa.Integer(), nullable=False),
    sqlite_with_rowid=False,
)
"""Messages by unit and calendar day, which caps and budgets are held against. `transport`: '' counts all of them.
`unit`: besides households and members, `transport:` and its name, `guide:` and their id."""

transports = sa.Table(
    "transports",
    metadata,
    sa.Column("transport", ByteText, primary_key=True),
    sa.Column("kind", ByteText, nullable=False),
    sa.Column("settings", ByteText, nullable=False),
    sa.Column("active", sa.Boolean(), nullable=False),
    sa.Column("updated_at", UtcTime(), nullable=False),
    sa.Column("updated_by", ByteText, nullable=False),
)
"""Ways out, by name. `settings`: JSON without secrets."""

transport_limits = sa.Table(
    "transport_limits",
    metadata,
    sa.Column("transport", ByteText, primary_key=True),
    sa.Column("tokens", sa.Double(), nullable=False),
    sa.Column("at", UtcTime(), nullable=False),
    sa.Column("blocked_until", UtcTime(), nullable=False),
)
"""How fast transports may send, over all workers: messages that may leave at once, as of `at`; and until when nothing
may, since the provider asked for it."""

delivery_counts = sa.Table(
    "delivery_counts",
    metadata,
    sa.Column("transport", ByteText, primary_key=True),
    sa.Column("outcome", ByteText, primary_key=True),
    sa.Column("reason", ByteText, primary_key=True),
    sa.Column("count", sa.BigInteger(), nullable=False),
    sqlite_with_rowid=False,
)
"""What came of messages and attempts, for metrics."""

message_quotas = sa.Table(
    "message_quotas",
    metadata,
    sa.Column("member_id", ByteText, primary_key=True),
    sa.Column("template", ByteText, primary_key=True),
    sa.Column("accepted", sa.BigInteger(), nullable=False),
    sa.Column("used", sa.BigInteger(), nullable=False),
    sa.Column("at", UtcTime(), nullable=False),
    sqlite_with_rowid=False,
)
"""Prompts that a member accepted for a template, each good for one message."""

CAMPAIGN_TABLES = (
    campaign_states,
    campaign_transitions,
    campaign_plans,
    campaign_members,
    holdout_periods,
    holdout_units,
    audiences,
    card_lists,
    card_list_members,
    deliveries,
    contact_counts,
    transports,
    transport_limits,
    delivery_counts,
    message_quotas,
)
