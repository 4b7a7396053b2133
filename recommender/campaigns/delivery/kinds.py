"""Kinds of transports: what each needs to know, checks of messages against it, and how it is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recommender.campaigns.delivery.app_push import DEVICE, AppPush
from recommender.campaigns.delivery.base import Transport
from recommender.campaigns.delivery.endpoint import Endpoint, Network, parse_url
from recommender.campaigns.delivery.file import ENCODINGS, FileDrop
from recommender.campaigns.delivery.keyring import Keyring, check_name
from recommender.campaigns.delivery.sms import Sms
from recommender.campaigns.delivery.webhook import Webhook
from recommender.campaigns.delivery.wechat import OPENID, WechatSubscription
from recommender.campaigns.delivery.wecom import CUSTOMER, WecomGuideTask
from recommender.campaigns.message import SERVICE, Message
from recommender.campaigns.reading import Fields
from recommender.errors import InputError
from recommender.events import HASHED_NAMESPACES

RETRY_SECONDS = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""How long after each failed attempt the next one follows. Source: Standard Webhooks' schedule."""
PARALLEL = 8
TIMEOUT_SECONDS = 10.0
MOST_RETRIES, MOST_RETRY_SECONDS = 20, 7 * 86_400
MOST_MESSAGES = 10**9


@dataclass(frozen=True, slots=True)
class TransportSettings:
    """What is known of a transport, secrets aside.

    channel: whose consents count beside those given for all channels.
    rate: messages a second, of all workers together; 0: any number.  parallel: attempts at once, of each worker.
    retry_seconds: how long after each failed attempt the next one follows.
    per_day, per_month: most messages of the transport: a budget.  per_unit_month: most to one household or member.
    per_guide_day: most for one guide.
    options: what is its kind's own.
    """

    name: str
    kind: str
    channel: str = ""
    rate: float = 0.0
    parallel: int = PARALLEL
    retry_seconds: tuple[int, ...] = RETRY_SECONDS
    per_day: int | None = None
    per_month: int | None = None
    per_unit_month: int | None = None
    per_guide_day: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What transports are made with.

    networks: may be reached though they are not public.  drops: the folder below which files are dropped.
    """

    keyring: Keyring
    networks: Sequence[Network]
    drops: Path


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of transport.

    options: names of its own settings.  read: checks them.  make: makes it.  contacts: the identities it needs.
    services_only: it must not carry marketing.  quotas: each message takes a prompt that the member accepted.
    tasks: somebody must confirm its messages.
    """

    options: tuple[str, ...]
    read: Callable[[Fields], dict[str, Any]]
    make: Callable[[TransportSettings, Surroundings], Transport]
    contacts: tuple[str, ...] = ()
    services_only: bool = False
    quotas: bool = False
    tasks: bool = False


_COMMON = ("channel", "rate", "parallel", "retry_seconds", "per_day", "per_month", "per_unit_month", "per_guide_day")
_URL = ("url", "timeout_seconds")


def parse_transport(name: str, kind: str, value: Mapping[str, Any]) -> TransportSettings:
    """Read the settings of a transport.

    Raises: InputError that names the place, the value found and what is accepted.
    """
    check_name(name)
    if kind not in KINDS:
        raise InputError("There is no such kind.", field="kind", value=kind, accepted=", ".join(KINDS))
    found = Fields(value, "settings", (*_COMMON, *KINDS[kind].options))
    amounts = {
        each: found.whole(each, None, 0, MOST_MESSAGES)
        for each in ("per_day", "per_month", "per_unit_month", "per_guide_day")
    }
    return TransportSettings(
        name=name,
        kind=kind,
        channel=found.text("channel", ""),
        rate=found.number("rate", 0.0, 0, 1e6),
        parallel=found.whole("parallel", PARALLEL, 1, 64),
        retry_seconds=_retries(found),
        **amounts,
        options=KINDS[kind].read(found),
    )


def check_message(transport: TransportSettings, message: Message) -> None:
    """Say whether a transport may carry a message, before anything is planned with it.

    Raises: InputError if it carries service messages only, or asks for a template.
    """
    kind = KINDS[transport.kind]
    if kind.services_only and message.purpose != SERVICE:
        raise InputError(
            f"Transport {transport.name} carries service messages only: its provider forbids marketing.",
            field="settings.message.purpose",
            value=message.purpose,
            accepted=SERVICE,
        )
    if kind.quotas and message.template is None:
        raise InputError(
            f"Transport {transport.name} needs a template.", field="settings.message.template", accepted="a template id"
        )


def make_transport(settings: TransportSettings, surroundings: Surroundings) -> Transport:
    """Return a transport that is ready to send."""
    return KINDS[settings.kind].make(settings, surroundings)


def _retries(found: Fields) -> tuple[int, ...]:
    steps = found.items("retry_seconds", MOST_RETRIES)
    if found.get("retry_seconds") is None:
        return RETRY_SECONDS
    for one in steps:
        if isinstance(one, bool) or not isinstance(one, int) or not 0 <= one <= MOST_RETRY_SECONDS:
            raise found.wrong("retry_seconds", f"whole seconds from 0 to {MOST_RETRY_SECONDS}")
    return tuple(steps)


def _read_url(found: Fields) -> dict[str, Any]:
    url = found.text("url", None, 2000)
    if url is None:
        raise found.wrong("url", "the URL to send to")
    parse_url(url)
    return {"url": url, "timeout_seconds": found.number("timeout_seconds", TIMEOUT_SECONDS, 0.1, 60)}


def _read_webhook(found: Fields) -> dict[str, Any]:
    return _read_url(found) | {"contacts": _namespaces(found)}


def _read_file(found: Fields) -> dict[str, Any]:
    encoding = found.choice("encoding", "utf-8-bom", tuple(ENCODINGS))
    return {"encoding": encoding, "contacts": _namespaces(found)}


def _read_sms(found: Fields) -> dict[str, Any]:
    signature = found.text("signature", None, 40)
    if signature is None:
        raise found.wrong("signature", "the name that texts begin with")
    return _read_url(found) | {"signature": signature, "opt_out": found.text("opt_out", None, 60)}


def _read_wechat(found: Fields) -> dict[str, Any]:
    fields = found.get("fields")
    if not isinstance(fields, Mapping) or not fields or not all(isinstance(one, str) for one in fields.values()):
        raise found.wrong("fields", "the template's fields, each with its text")
    return _read_url(found) | {"fields": dict(fields)}


def _namespaces(found: Fields) -> list[str]:
    names = found.items("contacts", 10)
    if not all(isinstance(one, str) and one and one not in HASHED_NAMESPACES for one in names):
        raise found.wrong("contacts", "namespaces of identities; phone and email are kept as hashes only")
    return list(names)


def _endpoint(settings: TransportSettings, around: Surroundings) -> Endpoint:
    timeout = float(settings.options["timeout_seconds"])
    return Endpoint(settings.options["url"], around.networks, timeout, settings.parallel)


def _webhook(settings: TransportSettings, around: Surroundings) -> Transport:
    return Webhook(settings.name, _endpoint(settings, around), around.keyring)


def _file(settings: TransportSettings, around: Surroundings) -> Transport:
    folder = around.drops / settings.name
    return FileDrop(settings.name, folder, settings.options["encoding"], settings.options["contacts"])


def _sms(settings: TransportSettings, around: Surroundings) -> Transport:
    options = settings.options
    return Sms(settings.name, _endpoint(settings, around), around.keyring, options["signature"], options["opt_out"])


def _app_push(settings: TransportSettings, around: Surroundings) -> Transport:
    return AppPush(settings.name, _endpoint(settings, around), around.keyring)


def _wechat(settings: TransportSettings, around: Surroundings) -> Transport:
    fields = settings.options["fields"]
    return WechatSubscription(settings.name, _endpoint(settings, around), around.keyring, fields)


def _wecom(settings: TransportSettings, around: Surroundings) -> Transport:
    return WecomGuideTask(settings.name, _endpoint(settings, around), around.keyring)


KINDS = {
    "webhook": Kind((*_URL, "contacts"), _read_webhook, _webhook),
    "file": Kind(("encoding", "contacts"), _read_file, _file),
    "sms": Kind((*_URL, "signature", "opt_out"), _read_sms, _sms),
    "app_push": Kind(_URL, _read_url, _app_push, contacts=(DEVICE,)),
    "wechat": Kind((*_URL, "fields"), _read_wechat, _wechat, contacts=(OPENID,), services_only=True, quotas=True),
    "wecom": Kind(_URL, _read_url, _wecom, contacts=(CUSTOMER,), tasks=True),
}
"""Every kind, by name."""
