"""The rules of delivery, and what transports are made with, from the service's settings."""

from __future__ import annotations

from datetime import timedelta

from api.coupon_rules import wallet_rules
from api.proxy import parse_networks
from api.settings import ServiceSettings
from recommender.campaigns.delivery.keyring import Keyring
from recommender.campaigns.delivery.kinds import Surroundings
from recommender.campaigns.quiet import parse_quiet
from recommender.campaigns.sending import DeliveryRules
from recommender.campaigns.settings import Caps


def delivery_rules(settings: ServiceSettings) -> DeliveryRules:
    """Return what holds for the messages of all campaigns."""
    return DeliveryRules(
        zone=settings.zone,
        caps=installed_caps(settings),
        quiet=parse_quiet(settings.quiet_hours),
        wallet=wallet_rules(settings),
        batch=settings.delivery_batch,
        lease=timedelta(seconds=settings.delivery_lease_seconds),
    )


def surroundings(settings: ServiceSettings) -> Surroundings:
    """Return what transports are made with."""
    networks = parse_networks(settings.delivery_networks)
    return Surroundings(Keyring(settings.home), networks, settings.home / "drops")


def installed_caps(settings: ServiceSettings) -> Caps:
    """Return the caps that hold for all campaigns."""
    return Caps(settings.contact_day or None, settings.contact_week or None, settings.contact_month or None)
