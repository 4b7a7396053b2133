"""Messages and surroundings for tests of transports."""

from __future__ import annotations

import ipaddress
from datetime import timedelta
from pathlib import Path
from typing import Any

from recommender.campaigns.delivery.base import Answer, Outgoing
from recommender.campaigns.delivery.keyring import Keyring
from recommender.campaigns.delivery.kinds import Surroundings, make_transport, parse_transport
from tests.factories import NOW

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)


def outgoing(message_id: str = "msg_1", **fields: Any) -> Outgoing:
    """A marketing message with a coupon."""
    known = {
        "campaign_id": "c1",
        "member_id": "m1",
        "created_at": NOW,
        "purpose": "marketing",
        "language": "zh",
        "title": "牛奶",
        "body": "满20减10",
        "link": "pages/coupon",
        "offer_id": "ten",
        "coupon_id": "k1",
        "coupon_expires_at": NOW + timedelta(days=7),
    }
    return Outgoing(message_id, **{**known, **fields})


def surroundings(home: Path) -> Surroundings:
    return Surroundings(Keyring(home), LOOPBACK, home / "drops")


def put_token(home: Path, name: str, token: str = "token-1") -> None:
    path = Keyring(home).path(name, "token")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(0o600)
    path.write_text(token + "\n", "ascii")


def send(home: Path, kind: str, settings: dict[str, Any], *messages: Outgoing) -> list[Answer]:
    """Send by a transport called `way`."""
    transport = make_transport(parse_transport("way", kind, settings), surroundings(home))
    answers = list(transport.send(messages, NOW))
    transport.close()
    return answers
