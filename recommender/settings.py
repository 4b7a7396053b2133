"""The one reader of settings (environment, then TOML, then default), and the settings all processes share.

The environment variable of a field is MEMBERWISE_ and its name in capitals, the TOML key is its name. Other
modules receive settings and never read the environment.
"""

from __future__ import annotations

import difflib
import importlib
import logging
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import Field, dataclass, field, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, cast
from zoneinfo import ZoneInfo

from recommender.errors import SettingsError
from recommender.events import KNOWN_CHANNELS
from recommender.house import HouseRules
from recommender.setting_fields import (
    PREFIX,
    SettingRow,
    convert,
    describe,
    rule_of,
    setting,
    typed_fields,
)

__all__ = [
    "CoreSettings",
    "SettingRow",
    "describe",
    "parse_channels",
    "read_settings",
    "setting",
    "unknown_variables",
]

T = TypeVar("T")
logger = logging.getLogger(__name__)

FILE_VARIABLE = "MEMBERWISE_SETTINGS"
"""Names the TOML file; without it HOME/memberwise.toml is read if it exists."""
KINDS = (
    "recommender.settings:CoreSettings",
    "api.settings:ServiceSettings",
    "training.ingest_settings:IngestSettings",
)
"""Settings that share the one TOML file; a key that any of them knows may stand in it."""
OTHER_VARIABLES = frozenset({FILE_VARIABLE, "MEMBERWISE_TEST_POSTGRES_BIN", "MEMBERWISE_FORBID_SKIPS"})


def read_settings(kind: type[T], environ: Mapping[str, str], file: Path | None = None) -> T:
    """Read settings from the environment, else from a TOML file, else their defaults.

    Args:
        kind: the settings dataclass.
        environ: the environment.
        file: the TOML file; None means the one named by MEMBERWISE_SETTINGS, else HOME/memberwise.toml if it
            exists (only for kinds that extend CoreSettings).
    Raises: SettingsError if a value is malformed or out of range, a name in the file is unknown, or a file
        that was named cannot be read. Unknown MEMBERWISE_ variables are logged as warnings.
    """
    shared = issubclass(kind, CoreSettings)
    path = _find_file(environ) if file is None and shared else file
    table = {} if path is None else _read_toml(path)
    _refuse_unknown_keys(kind, table, path, shared)
    if shared:
        for name in unknown_variables(environ, kind):
            logger.warning("unknown_setting name=%s %s", name, _suggest(name, _known_variables()))
    return _build(kind, PREFIX, environ, table, path)


def unknown_variables(environ: Mapping[str, str], kind: type[Any]) -> list[str]:
    """Return the MEMBERWISE_ variables that neither this kind nor any other process knows, sorted."""
    named = {name for name in environ if name.startswith(PREFIX)}
    unknown = named - {row.environment for row in describe(kind)} - OTHER_VARIABLES
    return sorted(unknown - _known_variables()) if unknown else []


def _build(kind: type[T], prefix: str, environ: Mapping[str, str], table: Mapping[str, Any], path: Path | None) -> T:
    values: dict[str, Any] = {}
    for entry, hint in typed_fields(kind):
        variable = prefix + entry.name.upper()
        if is_dataclass(hint):
            part = table.get(entry.name, {})
            if not isinstance(part, Mapping):
                raise _wrong(entry.name, part, f"a table [{entry.name}]", path, secret=False)
            values[entry.name] = _build(cast(type[Any], hint), f"{variable}_", environ, part, path)
        elif variable in environ:
            values[entry.name] = _accept(entry, hint, variable, environ[variable], None)
        elif entry.name in table:
            values[entry.name] = _accept(entry, hint, entry.name, table[entry.name], path)
    return kind(**values)


def _accept(entry: Field[Any], hint: Any, name: str, raw: object, path: Path | None) -> Any:
    rule = rule_of(entry)
    try:
        value = convert(hint, raw)
    except ValueError as error:
        raise _wrong(name, raw, str(error), path, rule.secret) from None
    accepted = rule.problem(value)
    if accepted is not None:
        raise _wrong(name, raw, accepted, path, rule.secret)
    return value


def _find_file(environ: Mapping[str, str]) -> Path | None:
    named = environ.get(FILE_VARIABLE, "")
    if named:
        return Path(named).expanduser()
    home = environ.get(PREFIX + "HOME") or str(CoreSettings().home)
    path = Path(home).expanduser() / "memberwise.toml"
    return path if path.is_file() else None


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise SettingsError("The settings file cannot be read.", field=FILE_VARIABLE, value=path) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"The settings file is not TOML: {error}.", field=FILE_VARIABLE, value=path) from error


def _refuse_unknown_keys(kind: type[Any], table: Mapping[str, Any], path: Path | None, shared: bool) -> None:
    known = _known_keys(kind)
    for key in _keys(table):
        if key in known:
            continue
        if shared:
            known |= {name for other in _all_kinds() for name in _known_keys(other)}
        if key not in known:
            hint = _suggest(key, known)
            raise SettingsError(f"{path} holds an unknown setting. {hint}".strip(), field=key)


def _keys(table: Mapping[str, Any], path: str = "") -> list[str]:
    found: list[str] = []
    for key, value in table.items():
        found += [f"{path}{key}"] if not isinstance(value, Mapping) else _keys(value, f"{path}{key}.")
    return found


def _known_keys(kind: type[Any]) -> set[str]:
    return {row.name for row in describe(kind)}


def _known_variables() -> set[str]:
    return {row.environment for kind in _all_kinds() for row in describe(kind)}


def _all_kinds() -> Sequence[type[Any]]:
    """Import every settings class; by name, since the core knows neither process."""
    found = []
    for name in KINDS:
        module, _, attribute = name.partition(":")
        found.append(getattr(importlib.import_module(module), attribute))
    return found


def _suggest(name: str, known: set[str]) -> str:
    close = difflib.get_close_matches(name, sorted(known), n=1)
    return f"Did you mean {close[0]}?" if close else ""


def _wrong(name: str, raw: object, accepted: str, path: Path | None, secret: bool) -> SettingsError:
    place = "the environment" if path is None else str(path)
    value = "(hidden)" if secret else raw
    return SettingsError(f"A setting in {place} is wrong.", field=name, value=value, accepted=accepted)


def _check_zone(name: str) -> None:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError("an IANA time zone, such as UTC or Asia/Shanghai") from None


def _check_url(url: str) -> None:
    if url and not url.startswith(("sqlite:///", "postgresql+psycopg://", "postgresql://", "postgres://")):
        raise ValueError("sqlite:///FILE or postgresql+psycopg://USER@HOST/DATABASE")


def _check_currency(code: str) -> None:
    if not (len(code) == 3 and code.isascii() and code.isalpha() and code.isupper()):
        raise ValueError("an ISO 4217 code of three capitals, such as CNY")


def _check_key(text: str) -> None:
    if text and len(text) < 16:
        raise ValueError("at least 16 characters, or nothing to have one generated")


def parse_channels(text: str) -> dict[str, str]:
    """Read "name=online,other=offline" into kinds by channel. Raises: ValueError(accepted)."""
    channels: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, kind = (word.strip() for word in part.partition("="))
        if not name or kind not in ("online", "offline"):
            raise ValueError("NAME=online or NAME=offline, separated by commas")
        channels[name] = kind
    return channels


def _check_channels(text: str) -> None:
    parse_channels(text)


@dataclass(frozen=True, slots=True)
class CoreSettings:
    """What every Memberwise process needs to know."""

    home: Path = field(
        default=Path("var"),
        metadata=setting("Folder of the embedded database, the event log and the hash key."),
    )
    models: Path = field(default=Path("models"), metadata=setting("Folder of the bundles."))
    database_url: str = field(
        default="",
        metadata=setting(
            "Database of the operational state: a SQLite file or PostgreSQL. Empty: memberwise.db in HOME.",
            secret=True,
            check=_check_url,
        ),
    )
    busy_timeout_seconds: float = field(
        default=5.0,
        metadata=setting(
            "How long a write waits for another one before it gives up.",
            unit="seconds",
            minimum=0,
            maximum=600,
        ),
    )
    event_log: str = field(default="", metadata=setting("Folder of the Parquet event log. Empty: event_log in HOME."))
    time_zone: str = field(
        default="UTC",
        metadata=setting("The retailer's time zone: local days, and times without an offset.", check=_check_zone),
    )
    currency: str = field(
        default="CNY",
        metadata=setting("The currency of all amounts, an ISO 4217 code.", check=_check_currency),
    )
    hash_key: str = field(
        default="",
        metadata=setting(
            "Secret for phone and e-mail hashes. Empty: generated once into HOME/hash_key."
            " Set it where several machines share a database.",
            secret=True,
            check=_check_key,
        ),
    )
    hash_key_version: int = field(
        default=1, metadata=setting("Version of the hash key, counted up when it is replaced.", minimum=1)
    )
    channels: str = field(
        default="",
        metadata=setting(
            "The retailer's own channels beside the known ones: NAME=online or NAME=offline, with commas.",
            check=_check_channels,
        ),
    )
    show_delicate_goods: bool = field(
        default=False,
        metadata=setting("Let infant formula, medicine and sensitive goods be likened to others and named in reasons."),
    )
    pilot_stores: tuple[str, ...] = field(
        default=(), metadata=setting("Stores in which recommendations are tried out. Empty: all, and none named.")
    )
    pilot_channels: tuple[str, ...] = field(
        default=(), metadata=setting("Channels in which recommendations are tried out. Empty: all, and none named.")
    )
    pilot_categories: tuple[str, ...] = field(
        default=(), metadata=setting("Category paths to which recommendations are kept. Empty: all items.")
    )
    shadow: bool = field(
        default=False,
        metadata=setting("Make, record and flag answers that callers are not to show, beside their own rules."),
    )
    default_margin_share: float = field(
        default=0.25,
        metadata=setting(
            "Margin assumed for items without a cost; figures based on it are flagged.",
            unit="share of the price",
            minimum=0,
            maximum=1,
        ),
    )
    global_holdout_share: float = field(
        default=0.02,
        metadata=setting(
            "Share of the households, or members without one, who are kept back from all campaigns, drawn anew each"
            " quarter; a quarter keeps the share it was drawn with.",
            unit="share of the units",
            minimum=0,
            maximum=0.5,
        ),
    )
    contact_cost_cents: float = field(
        default=0.0,
        metadata=setting("What sending one offer to one member costs.", unit="cents", minimum=0),
    )
    audience_days: int = field(
        default=730,
        metadata=setting(
            "How far back audiences know which items members bought and browsed; orders they know of all time.",
            unit="days",
            minimum=1,
            maximum=3650,
        ),
    )
    coupon_least_cents: int = field(
        default=0,
        metadata=setting(
            "Published range of face values: the least that an offer on an amount takes off.", unit="cents", minimum=0
        ),
    )
    coupon_most_cents: int = field(
        default=10_000_000,
        metadata=setting(
            "Published range of face values: the most that one coupon takes off.", unit="cents", minimum=1
        ),
    )
    coupon_least_percent: float = field(
        default=0.0,
        metadata=setting(
            "Published range of face values: the least percentage of an offer.", unit="per cent", minimum=0, maximum=100
        ),
    )
    coupon_most_percent: float = field(
        default=100.0,
        metadata=setting(
            "Published range of face values: the highest percentage of an offer.",
            unit="per cent",
            minimum=0,
            maximum=100,
        ),
    )
    coupon_household_limits: bool = field(
        default=True,
        metadata=setting("Count an offer's limit per member for the whole household, where it is known."),
    )
    coupon_new_days: int = field(
        default=90,
        metadata=setting(
            "Days after their registration in which members are new: per head they are not given more than loyal ones"
            " over as long a time. 0: no such floor.",
            unit="days",
            minimum=0,
            maximum=3650,
        ),
    )
    attribution_days: float = field(
        default=7.0,
        metadata=setting(
            "How long after a slate an act is credited to the items it showed.", unit="days", minimum=0.01, maximum=90
        ),
    )

    @property
    def database(self) -> str:
        """The database URL, with the default and the driver filled in."""
        if not self.database_url:
            return f"sqlite:///{self.home / 'memberwise.db'}"
        for short in ("postgres://", "postgresql://"):
            if self.database_url.startswith(short):
                return "postgresql+psycopg://" + self.database_url.removeprefix(short)
        return self.database_url

    @property
    def event_log_folder(self) -> Path:
        """The folder of the event log, with the default filled in."""
        return Path(self.event_log).expanduser() if self.event_log else self.home / "event_log"

    @property
    def channel_kinds(self) -> dict[str, str]:
        """Every channel, known or the retailer's own, as "online" or "offline"."""
        return KNOWN_CHANNELS | parse_channels(self.channels)

    @property
    def house_rules(self) -> HouseRules:
        """What the installation shows at all."""
        return HouseRules(
            self.show_delicate_goods,
            frozenset(self.pilot_stores),
            frozenset(self.pilot_channels),
            self.pilot_categories,
            self.shadow,
        )

    @property
    def zone(self) -> ZoneInfo:
        """The retailer's time zone."""
        return ZoneInfo(self.time_zone)
