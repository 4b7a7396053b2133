"""Who a request is about: the subject of a member or an identity, phone numbers and e-mail addresses hashed
at once.
"""

from __future__ import annotations

from typing import Protocol

from api.schemas import Identity
from recommender.events import member_subject, subject_key
from recommender.storage.hashing import HashKey, hash_value


class NamesCustomer(Protocol):
    """A body that may name its customer by member id or by identity."""

    @property
    def member_id(self) -> str | None:
        """The member."""
        ...

    @property
    def identity(self) -> Identity | None:
        """The customer as one channel knows them."""
        ...


def subject_of(body: NamesCustomer, key: HashKey) -> str | None:
    """Return the subject that a body names, None for an unknown customer.

    Raises: InputError if a phone number or an e-mail address cannot be one.
    """
    if body.member_id is not None:
        return member_subject(body.member_id)
    if body.identity is None:
        return None
    return identity_subject(body.identity.namespace, body.identity.value, key)


def identity_subject(namespace: str, value: str, key: HashKey) -> str:
    """Return the subject of an identity. Raises: as `subject_of`."""
    return subject_key(namespace, hash_value(namespace, value, key.secret, key.version))
