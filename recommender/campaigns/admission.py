"""Admission: at the moment of sending, what may leave, what must wait, and what is skipped and why.

Everything is looked at anew in the transaction that takes the messages in hand: plans are old by then. What may leave
is counted against caps and gets its coupon in the same transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from zoneinfo import ZoneInfo

from sqlalchemy.engine import Connection

from recommender.campaigns.composing import Content, compose
from recommender.campaigns.contacts import ALL, MONTH, WEEK, Contacts, Key, Limit
from recommender.campaigns.delivery.base import Outgoing
from recommender.campaigns.delivery.kinds import KINDS, TransportSettings
from recommender.campaigns.leases import Verdict, Waiting
from recommender.campaigns.outbox import State
from recommender.campaigns.quiet import local_day, quiet_until
from recommender.campaigns.recipients import Recipient, read_recipients
from recommender.campaigns.settings import Caps, QuietHours
from recommender.coupons.issuing import IssueRequest, issue
from recommender.coupons.store import read_offers
from recommender.coupons.wallet import Turn, WalletRules
from recommender.events import subject_key
from recommender.storage.holdouts import TREATED, find_period
from recommender.storage.recalls import read_recalls
from recommender.storage.statements import execute, fetch, marks
from recommender.storage.types import to_micros

DAY = WEEK / 7
_ARMS = "SELECT member_id, arm FROM campaign_members WHERE campaign_id = ? AND member_id IN ({marks})"
_UNITS = "SELECT unit FROM holdout_units WHERE scope IN (?, ?) AND unit IN ({marks})"
_QUOTA = """
UPDATE message_quotas SET used = used + 1, at = ? WHERE member_id = ? AND template = ? AND used < accepted"""


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for the messages of one campaign that leave by one transport.

    ends_at: of the campaign.  caps: the stricter of the campaign's and the installation's.  quiet: None: no time is.
    zone: of members whose own is not known.
    """

    campaign_id: str
    ends_at: datetime
    content: Content
    caps: Caps
    quiet: QuietHours | None
    zone: ZoneInfo
    transport: TransportSettings
    wallet: WalletRules


@dataclass(frozen=True, slots=True)
class Admitted:
    """A message that may leave now: counted in `day`, with its coupon."""

    waiting: Waiting
    day: date
    coupon_id: str | None
    outgoing: Outgoing


@dataclass(frozen=True, slots=True)
class Admission:
    """What became of messages: those that may leave now, and what was decided on all others."""

    admitted: Sequence[Admitted]
    verdicts: Sequence[Verdict]


def admit(connection: Connection, terms: Terms, rows: Sequence[Waiting], now: datetime) -> Admission:
    """Decide on messages whose time has come, inside the write transaction that holds them."""
    kind = KINDS[terms.transport.kind]
    wanted = [*kind.contacts, *terms.transport.options.get("contacts", ())]
    recipients = read_recipients(connection, {one.member_id for one in rows}, terms.transport.channel, now, wanted)
    offers = read_offers(connection, {one.offer_id for one in rows if one.offer_id is not None}).offers
    terms = replace(terms, content=replace(terms.content, offers=offers))
    kept_back = _kept_back(connection, terms.campaign_id, rows, now)
    recalled = set(read_recalls(connection))
    verdicts: list[Verdict] = []
    left: list[tuple[Waiting, date]] = []
    for one in rows:
        recipient = recipients[one.member_id]
        reason = _against(one, recipient, terms, kept_back, recalled, now)
        zone = recipient.zone or terms.zone
        quiet = None if reason is not None or terms.quiet is None else quiet_until(now, zone, terms.quiet)
        if reason is not None:
            verdicts.append(Verdict(one, State.SKIPPED, reason))
        elif quiet is not None:
            verdicts.append(Verdict(one, State.HELD, "quiet_hours", quiet))
        else:
            left.append((one, local_day(now, zone)))
    return _count(connection, terms, left, recipients, verdicts, now)


def _against(
    one: Waiting,
    recipient: Recipient,
    terms: Terms,
    kept_back: set[str],
    recalled: set[str],
    now: datetime,
) -> str | None:
    """Return what speaks against a message, caps and coupons aside."""
    if now >= (one.expires_at or terms.ends_at) or now >= terms.ends_at:
        return "expired"
    if recipient.against is not None:
        return recipient.against.value
    if not one.control and one.member_id in kept_back:
        return "held_out"
    needed = KINDS[terms.transport.kind].contacts
    if any(name not in (recipient.contacts or {}) for name in needed):
        return "no_contact"
    if KINDS[terms.transport.kind].tasks and recipient.guide_id is None:
        return "no_guide"
    if one.offer_id is not None:
        offer = terms.content.offers.get(one.offer_id)
        if offer is None:
            return "offer_unusable"
        if offer.scope.items and offer.scope.items <= recalled:
            return "recalled"
    return None


def _kept_back(connection: Connection, campaign_id: str, rows: Sequence[Waiting], now: datetime) -> set[str]:
    """Return the members who must not be written to by this campaign, whatever the outbox says."""
    members, units = sorted({one.member_id for one in rows}), sorted({one.unit for one in rows})
    arms = fetch(connection, _ARMS.format(marks=marks(len(members))), (campaign_id, *members))
    found = {row[0] for row in arms if row[1] != TREATED}
    period = find_period(connection, now)
    scopes = (campaign_id, campaign_id if period is None else period.scope)
    held = {row[0] for row in fetch(connection, _UNITS.format(marks=marks(len(units))), (*scopes, *units))}
    if period is not None:
        held |= {unit for unit in units if period.holds(unit)}
    return found | {one.member_id for one in rows if one.unit in held}


def _count(
    connection: Connection,
    terms: Terms,
    left: Sequence[tuple[Waiting, date]],
    recipients: Mapping[str, Recipient],
    verdicts: list[Verdict],
    now: datetime,
) -> Admission:
    """Hold messages against caps, budgets and quotas, and give out coupons for those that pass."""
    rows = [_Row(one, day, _Places(terms.transport, one.unit, recipients[one.member_id].guide_id)) for one, day in left]
    days = {one.day for one in rows} | {one.waiting.day for one in rows if one.waiting.day is not None}
    units = [unit for one in rows for unit in one.places.units]
    names = {name for one in rows for _, _, name in one.places.on(one.day)}
    contacts = Contacts(connection, units, days, names)
    passed: list[_Row] = []
    for one in rows:
        reason = _room(connection, terms, contacts, one, now)
        if reason is not None:
            verdicts.append(Verdict(one.waiting, State.SKIPPED, reason))
        elif one.waiting.control:
            verdicts.append(Verdict(one.waiting, State.WITHHELD, None, day=one.day))
        else:
            passed.append(one)
    coupons, refused = _issue(connection, terms, [one.waiting for one in passed], now)
    admitted = []
    for one in passed:
        waiting = one.waiting
        if waiting.delivery_id in refused:
            contacts.count(one.places.on(one.day), -1)
            verdicts.append(Verdict(waiting, State.SKIPPED, refused[waiting.delivery_id]))
        else:
            coupon = coupons.get(waiting.delivery_id, waiting.coupon_id)
            outgoing = compose(waiting, coupon, terms.content, recipients[waiting.member_id])
            admitted.append(Admitted(waiting, one.day, coupon, outgoing))
    contacts.save()
    return Admission(admitted, verdicts)


@dataclass(frozen=True, slots=True)
class _Places:
    """Where a message is counted: for the caps of all messages, and for the limits that its transport has."""

    transport: TransportSettings
    unit: str
    guide_id: str | None

    @property
    def budget(self) -> str:
        """What stands for the transport itself."""
        return subject_key("transport", self.transport.name)

    @property
    def guide(self) -> str | None:
        """What stands for the guide, if there is a limit for guides."""
        limited = self.guide_id is not None and self.transport.per_guide_day is not None
        return subject_key("guide", str(self.guide_id)) if limited else None

    @property
    def units(self) -> list[str]:
        """Everything that it is counted for."""
        return list(dict.fromkeys(unit for unit, _, _ in self.on(date.min)))

    def on(self, day: date) -> list[Key]:
        """Return where it is counted on a day."""
        transport = self.transport
        keys = [(self.unit, day, ALL)]
        if transport.per_unit_month is not None:
            keys.append((self.unit, day, transport.name))
        if transport.per_day is not None or transport.per_month is not None:
            keys.append((self.budget, day, transport.name))
        if self.guide is not None:
            keys.append((self.guide, day, transport.name))
        return keys

    def limits(self, caps: Caps, day: date) -> list[Limit]:
        """Return what holds on a day."""
        transport, month = self.transport, day.replace(day=1)
        known = [
            (self.unit, ALL, day, caps.per_day, "cap_day"),
            (self.unit, ALL, day - WEEK + DAY, caps.per_week, "cap_week"),
            (self.unit, ALL, day - MONTH + DAY, caps.per_month, "cap_month"),
            (self.unit, transport.name, month, transport.per_unit_month, "transport_cap_month"),
            (self.budget, transport.name, day, transport.per_day, "transport_budget_day"),
            (self.budget, transport.name, month, transport.per_month, "transport_budget_month"),
        ]
        if self.guide is not None:
            known.append((self.guide, transport.name, day, transport.per_guide_day, "guide_capacity"))
        return [Limit(unit, name, since, most, reason) for unit, name, since, most, reason in known if most is not None]


@dataclass(frozen=True, slots=True)
class _Row:
    """A message against which nothing speaks but limits."""

    waiting: Waiting
    day: date
    places: _Places


def _room(connection: Connection, terms: Terms, contacts: Contacts, row: _Row, now: datetime) -> str | None:
    """Count a message if there is room for it, else return the reason why there is none.

    One that is tried again is counted already; on another day it moves there. Those of control groups are held against
    the same limits, and not counted: nobody gets them.
    """
    before = row.waiting.day
    if before == row.day:
        return None
    if before is not None:
        contacts.count(row.places.on(before), -1)
    reason = contacts.against(row.places.limits(terms.caps, row.day))
    if reason is None and before is None and not row.waiting.control:
        reason = _take_quota(connection, terms, row.waiting, now)
    if reason is None and not row.waiting.control:
        contacts.count(row.places.on(row.day))
    elif before is not None:
        contacts.count(row.places.on(before))
    return reason


def _take_quota(connection: Connection, terms: Terms, one: Waiting, now: datetime) -> str | None:
    """Take a prompt that the member accepted, where the transport needs one."""
    if not KINDS[terms.transport.kind].quotas:
        return None
    values = (to_micros(now), one.member_id, terms.content.message.template or "")
    return None if execute(connection, _QUOTA, values) == 1 else "quota_used"


def _issue(
    connection: Connection, terms: Terms, rows: Sequence[Waiting], now: datetime
) -> tuple[dict[str, str], dict[str, str]]:
    """Give out the coupons that messages tell of and do not have yet; return them, and the reasons of refusals."""
    wanted = [one for one in rows if one.offer_id is not None and one.coupon_id is None]
    if not wanted:
        return {}, {}
    # All workers hold the counters of offers in the same order; within an offer the most worth stays in front.
    wanted.sort(key=lambda one: str(one.offer_id))
    requests = [IssueRequest(one.offer_id or "", one.member_id, one.campaign_id) for one in wanted]
    outcomes = issue(Turn(connection, terms.wallet, now, "delivery"), requests)
    given: dict[str, str] = {}
    refused: dict[str, str] = {}
    for one, outcome in zip(wanted, outcomes, strict=True):
        if outcome.refused is not None:
            refused[one.delivery_id] = f"coupon_{outcome.refused.reason}"
        else:
            assert outcome.coupon_id is not None, "what is not refused has a coupon"
            given[one.delivery_id] = outcome.coupon_id
    return given, refused
