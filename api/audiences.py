"""What routes and commands say of audiences: previews, lists and members ranked for items, as documents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime

from sqlalchemy.engine import Connection

from recommender.bundle import Bundle
from recommender.campaigns.audience import Rules, Selection, select
from recommender.campaigns.audience_conditions import Everyone
from recommender.campaigns.audience_preview import NOTES, in_parts, notes_of, rank_members, sample_of
from recommender.campaigns.audience_store import Audience, check_expression, get_audience
from recommender.campaigns.audience_terms import Expression, Goods, Ground
from recommender.campaigns.card_files import CardColumn
from recommender.campaigns.card_lists import MOST_TOLD, CardList, Resolved
from recommender.campaigns.live_features import LiveFeatures, read_capped
from recommender.campaigns.live_members import events_since
from recommender.campaigns.settings import Caps
from recommender.settings import CoreSettings
from recommender.storage.holdouts import find_period

Json = dict[str, object]


@dataclass(frozen=True, slots=True)
class Question:
    """Whom a preview is about. expression: as JSON gives it; None and no audience_id: everybody.

    purpose: of the consent that is needed, None: none.  channel: of it.  language: of the texts.
    """

    expression: object = None
    audience_id: str | None = None
    purpose: str | None = "push"
    channel: str | None = None
    caps: Caps = field(default_factory=Caps)
    sample: int = 10
    language: str = "en"


@dataclass(frozen=True, slots=True)
class Desk:
    """Where audiences are asked: the features of this process, and the promoted bundle, None without one."""

    features: LiveFeatures
    settings: CoreSettings
    bundle: Bundle | None

    def ground(self, connection: Connection, now: datetime) -> Ground:
        """Return what expressions are asked on."""
        return self.features.ground(connection, now, self.settings.channel_kinds, self.bundle)

    def preview(self, connection: Connection, asked: Question, now: datetime) -> Json:
        """Answer a preview, in a snapshot of the database. Raises: InputError, NotFoundError, ConflictError."""
        ground = self.ground(connection, now)
        expression, parts = in_parts(ground, _expression(connection, asked))
        rules = self.rules(connection, ground, asked.purpose, asked.channel, asked.caps)
        found = select(ground, expression, rules)
        since = events_since(ground.features, connection)
        return {
            "count": len(found),
            "units": found.count_units(),
            "matched": found.matched,
            "left_out": {str(reason): count for reason, count in found.left_out.items()},
            "parts": [asdict(part) for part in parts],
            "sample": [asdict(one) for one in sample_of(ground, found, asked.sample)],
            "notes": [
                {"code": code, "text": NOTES[code][asked.language].format(count=since)}
                for code in notes_of(found, since)
            ],
            "features": features_body(found, since),
        }

    def rank(
        self, connection: Connection, goods: Goods, asked: Question, offer_id: str | None, count: int, now: datetime
    ) -> Json:
        """Answer who would want some goods, or those of an offer. Raises: as preview."""
        ground = self.ground(connection, now)
        expression = _expression(connection, asked)
        found = select(ground, expression, self.rules(connection, ground, asked.purpose, asked.channel, asked.caps))
        wanted = (goods if offer_id is None else ground.offer(offer_id)).mask(ground.features)
        members, scored = rank_members(ground, found, wanted, count)
        models = ground.models
        learned = models is not None and models.near(wanted) is not None
        return {
            "members": [{"member_id": member_id, "score": score} for member_id, score in members],
            "scored": scored,
            "strategy": "item_neighbors" if learned else "categories",
            "bundle_id": models.bundle_id if models is not None and learned else None,
            "left_out": {str(reason): number for reason, number in found.left_out.items()},
            "features": features_body(found, events_since(ground.features, connection)),
        }

    def rules(
        self,
        connection: Connection,
        ground: Ground,
        purpose: str | None,
        channel: str | None,
        caps: Caps,
        resting: Iterable[str] = (),
    ) -> Rules:
        """Return who may be reached now: by consent, this quarter's global holdout, and caps.

        Args:
            resting: units that count as having had enough.
        """
        period = find_period(connection, ground.now)
        held_out = None if period is None else self.features.held_out(ground.features, period)
        today = ground.now.astimezone(self.settings.zone).date()
        return Rules(purpose, channel, held_out, read_capped(connection, caps, today, resting))


def features_body(found: Selection, written_since: int) -> Json:
    """Return how recent a selection is."""
    features = found.features
    return {
        "built_at": features.facts.built_at.isoformat(),
        "members": len(features),
        "members_changed": features.overlay.members,
        "members_new": features.overlay.added,
        "consents_changed": features.overlay.consents,
        "written_since": written_since,
    }


def audience_body(saved: Audience) -> Json:
    """Return a saved audience as a document."""
    return {**asdict(saved), "created_at": saved.created_at.isoformat()}


def list_body(saved: CardList) -> Json:
    """Return a list as a document."""
    return {**asdict(saved), "created_at": saved.created_at.isoformat()}


def taken_in(saved: CardList, column: CardColumn, resolved: Resolved) -> Json:
    """Return what became of a list that was taken in."""
    first = [{"line": row.line, "reason": str(row.reason)} for row in resolved.unresolved[:MOST_TOLD]]
    counts: Mapping[str, int] = resolved.counts()
    return {
        **list_body(saved),
        "members": len(resolved.members),
        "namespace": column.namespace,
        "unresolved": dict(counts),
        "first_unresolved": first,
    }


def _expression(connection: Connection, asked: Question) -> Expression:
    if asked.expression is not None:
        return check_expression(connection, asked.expression)
    if asked.audience_id is not None:
        return check_expression(connection, get_audience(connection, asked.audience_id).expression)
    return Everyone()
