"""Every exception the core raises: one family, each able to name the field, the value and what is accepted."""

from __future__ import annotations


class MemberwiseError(Exception):
    """Base of all errors that Memberwise raises on purpose.

    Args:
        message: one sentence that says what was wrong and what to do about it.
        field: the field, column or setting concerned, when there is one.
        value: the offending value, shortened for display; never a secret or a phone number.
        accepted: what would have been accepted.
    """

    def __init__(
        self,
        message: str,
        *,
        field: str | None = None,
        value: object = None,
        accepted: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.value = None if value is None else str(value)[:200]
        self.accepted = accepted

    def __str__(self) -> str:
        parts = [self.message]
        if self.field is not None:
            parts.append(f"field: {self.field}")
        if self.value is not None:
            parts.append(f"value: {self.value!r}")
        if self.accepted is not None:
            parts.append(f"accepted: {self.accepted}")
        return "; ".join(parts)


class SettingsError(MemberwiseError):
    """A setting is missing, malformed or out of range."""


class InputError(MemberwiseError):
    """A value from outside (a file, a request, an argument) is not acceptable."""


class MappingError(InputError):
    """A mapping file for a raw export is not usable."""


class NotFoundError(MemberwiseError):
    """What was named does not exist."""


class ConflictError(MemberwiseError):
    """The request contradicts what is already recorded."""


class StoreBusyError(MemberwiseError):
    """The database is locked or unreachable; the caller may try again later."""


class StoreGoneError(SettingsError, StoreBusyError):
    """The database that the settings name is not there, or is not ours: wrong at the start, away later on."""


class EventLogError(MemberwiseError):
    """The event log on disk does not match its register."""


class TrainingDataError(MemberwiseError):
    """The history is not enough, or not usable, to train a model."""


class GateError(MemberwiseError):
    """A trained model did not pass its gate and was not published."""


class BundleError(MemberwiseError):
    """A bundle is missing, incomplete or corrupted."""
