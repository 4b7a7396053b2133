"""The SQL tables of the wallet; coupons that other systems issued are in the canonical table `coupons`."""

from __future__ import annotations

import sqlalchemy as sa

from recommender.storage.metadata import metadata
from recommender.storage.types import ByteText, UtcTime

wallet_coupons = sa.Table(
    "wallet_coupons",
    metadata,
    sa.Column("coupon_id", ByteText, primary_key=True),
    sa.Column("offer_id", ByteText, nullable=False, index=True),
    sa.Column("member_id", ByteText, nullable=False, index=True),
    sa.Column("campaign_id", ByteText),
    sa.Column("status", ByteText, nullable=False),
    sa.Column("service", sa.Boolean(), nullable=False),
    sa.Column("issued_at", UtcTime(), nullable=False),
    sa.Column("expires_at", UtcTime()),
    sa.Column("order_id", ByteText, index=True),
    sa.Column("locked_until", UtcTime()),
    sa.Column("discount_cents", sa.BigInteger(), nullable=False),
    sa.Index("ix_wallet_coupons_status_expires_at", "status", "expires_at"),
    sa.Index("ix_wallet_coupons_status_locked_until", "status", "locked_until"),
)
"""Coupons that this system issued, as they stand. `service`: given by hand, outside of campaigns. `order_id`: the order
that locked or redeemed it. `discount_cents`: what is reserved for it (locked) or was granted (redeemed)."""

coupon_ledger = sa.Table(
    "coupon_ledger",
    metadata,
    sa.Column("sequence", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
    sa.Column("coupon_id", ByteText, nullable=False, index=True),
    sa.Column("offer_id", ByteText, nullable=False),
    sa.Column("campaign_id", ByteText),
    sa.Column("entry", ByteText, nullable=False),
    sa.Column("status", ByteText),
    sa.Column("reserved_cents", sa.BigInteger(), nullable=False),
    sa.Column("spent_cents", sa.BigInteger(), nullable=False),
    sa.Column("goods_cents", sa.BigInteger()),
    sa.Column("at", UtcTime(), nullable=False),
    sa.Column("order_id", ByteText),
    sa.Column("request_no", ByteText),
    sa.Column("store_id", ByteText),
    sa.Column("caller", ByteText, nullable=False),
    sa.Column("details", ByteText),
    sa.Index("ix_coupon_ledger_request_no", "request_no"),
    sa.Index("ix_coupon_ledger_entry_at", "entry", "at"),
)
"""What happened to each coupon, append-only; names no member. `status`: of the coupon afterwards. `reserved_cents`,
`spent_cents`: by how much the entry changed what is reserved of budgets and what is spent. `goods_cents`: of a lock,
what the order's goods cost."""

coupon_counters = sa.Table(
    "coupon_counters",
    metadata,
    sa.Column("kind", ByteText, primary_key=True),
    sa.Column("owner", ByteText, primary_key=True),
    sa.Column("subject", ByteText, primary_key=True),
    sa.Column("used", sa.BigInteger(), nullable=False),
    sa.Column("at", UtcTime(), nullable=False),
    sa.Index("ix_coupon_counters_subject", "subject"),
)
"""What limits are held against. `owner`: an offer or a campaign. `subject`: the member of a member's limit, a keyed
hash of a device, a payer or a phone number, else ''."""

coupon_codes = sa.Table(
    "coupon_codes",
    metadata,
    sa.Column("code", ByteText, primary_key=True),
    sa.Column("coupon_id", ByteText, nullable=False),
    sa.Column("expires_at", UtcTime(), nullable=False, index=True),
)
"""Short-lived numbers that a till scans in place of a coupon's id."""

coupon_requests = sa.Table(
    "coupon_requests",
    metadata,
    sa.Column("operation", ByteText, primary_key=True),
    sa.Column("request_no", ByteText, primary_key=True),
    sa.Column("body_hash", ByteText, nullable=False),
    sa.Column("answer", ByteText, nullable=False),
    sa.Column("at", UtcTime(), nullable=False),
)
"""Answers to writes with a business request number, kept for good; '' as `body_hash`: rolled back."""

offer_states = sa.Table(
    "offer_states",
    metadata,
    sa.Column("offer_id", ByteText, primary_key=True),
    sa.Column("terms", ByteText, nullable=False),
    sa.Column("below_cost", sa.Boolean(), nullable=False),
    sa.Column("requested_by", ByteText, nullable=False),
    sa.Column("approved_by", ByteText),
    sa.Column("approved_at", UtcTime()),
    sa.Column("frozen_at", UtcTime()),
    sa.Column("frozen_reason", ByteText),
)
"""What the wallet knows of an offer. `terms`: a checksum of those that were examined and approved."""

coupon_plans = sa.Table(
    "coupon_plans",
    metadata,
    sa.Column("plan_id", ByteText, primary_key=True),
    sa.Column("campaign_id", ByteText, index=True),
    sa.Column("planned_for", UtcTime(), nullable=False),
    sa.Column("made_at", UtcTime(), nullable=False),
    sa.Column("bundle_id", ByteText, nullable=False),
    sa.Column("members", sa.BigInteger(), nullable=False),
    sa.Column("coupons", sa.BigInteger(), nullable=False),
    sa.Column("reasons", ByteText, nullable=False),
    sa.Column("fairness", ByteText, nullable=False),
)
"""Plans of offers, one row each. `reasons`: JSON, pairs of a member and an offer by why it was given or not; of each
member they lie with the kept plan. `fairness`: JSON, the rules it was held to, and what each eligibility class got."""

coupon_exposures = sa.Table(
    "coupon_exposures",
    metadata,
    sa.Column("recommendation_id", ByteText, primary_key=True),
    sa.Column("position", sa.Integer(), primary_key=True, autoincrement=False),
    sa.Column("item_id", ByteText),
    sa.Column("offer_id", ByteText, nullable=False),
    sa.Column("coupon_id", ByteText),
    sa.Column("campaign_id", ByteText),
    sa.Column("origin", ByteText, nullable=False),
    sa.Column("reason", ByteText),
    sa.Column("propensity", sa.Double()),
    sa.Column("scenario", ByteText, nullable=False),
    sa.Column("bundle_id", ByteText),
    sa.Column("subject", ByteText),
    sa.Column("channel", ByteText),
    sa.Column("occurred_at", UtcTime(), nullable=False),
    sa.Index("ix_coupon_exposures_subject_occurred_at", "subject", "occurred_at"),
    sa.Index("ix_coupon_exposures_occurred_at", "occurred_at"),
)
"""Coupons and offers shown: beside the item of a slate, or in a member's list (`scenario` coupons, no `item_id`).
`origin`: held, plan, online or public; left_out: not shown, for the reason given. `propensity`: chance with which a
plan or an online decision gave it."""

followed_coupons = sa.Table(
    "followed_coupons",
    metadata,
    sa.Column("coupon_id", ByteText, primary_key=True),
    sa.Column("as_of", UtcTime(), nullable=False),
)
"""As of when it is known how coupons of other systems stand, where they told."""

WALLET_TABLES = (
    wallet_coupons,
    coupon_ledger,
    coupon_counters,
    coupon_codes,
    coupon_requests,
    offer_states,
    coupon_plans,
    coupon_exposures,
    followed_coupons,
)
