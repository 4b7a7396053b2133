"""When member features are to be made anew; without what makes them, which long-lived processes need not load."""

from __future__ import annotations

from datetime import datetime

from recommender.campaigns.feature_files import read_features
from recommender.errors import MemberwiseError
from recommender.settings import CoreSettings
from recommender.storage.database import Database
from recommender.storage.statements import last_sequence


def is_due(database: Database, settings: CoreSettings, refresh_seconds: float, now: datetime) -> bool:
    """Tell whether features are missing, cannot be read, or are old while something was written since."""
    try:
        facts = read_features(settings.home).facts
    except MemberwiseError:
        facts = None
    if facts is not None and (now - facts.built_at).total_seconds() < refresh_seconds:
        return False
    with database.read() as connection:
        return last_sequence(connection) > (0 if facts is None else facts.sequence)
