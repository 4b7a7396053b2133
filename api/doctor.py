"""`memberwise doctor`: checks the installation and its data; each finding says what to do about it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

from api.settings import ServiceSettings
from recommender.campaigns.feature_age import is_due
from recommender.campaigns.feature_files import current_generation, read_features
from recommender.coupons.ledger import check_books
from recommender.coupons.supervision import frozen_offers
from recommender.errors import MemberwiseError
from recommender.exposures import FULL_SPOOL_BYTES, spool_files
from recommender.registry import Registry
from recommender.settings import unknown_variables
from recommender.storage.backlog import read_backlog, read_times
from recommender.storage.database import HEAD, Database
from recommender.storage.event_log import open_event_log, registered_files
from recommender.storage.hashing import check_hash_key, read_hash_key
from recommender.storage.keys import list_keys
from recommender.storage.statements import fetch, last_sequence
from recommender.storage.stock_keeper import StockKeeper

LEAST_FREE_BYTES = 1 << 30
OLD_BUNDLE = timedelta(days=30)
STUCK_SPOOL = timedelta(minutes=10)
MOST_CHECKED_BYTES = 512 << 20
"""A larger SQLite file is not read whole."""
ORPHAN_AGE = timedelta(hours=1)
"""Files younger than this may belong to a load that is under way."""
EARLIEST_NOW = datetime(2025, 1, 1, tzinfo=UTC)


class State(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what was checked, what was found, and what to do ("" if nothing)."""

    state: State
    subject: str
    detail: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Patient:
    """What is examined. `database` is None if it cannot be opened."""

    settings: ServiceSettings
    environ: Mapping[str, str]
    database: Database | None
    now: datetime
    repair: bool


Check = tuple[str, Callable[[Patient], Iterator[Finding]]]


def examine(settings: ServiceSettings, environ: Mapping[str, str], now: datetime, repair: bool) -> list[Finding]:
    """Check everything, also what comes after a failure.

    Args:
        settings: as read.
        environ: the environment they were read from.
        now: the present.
        repair: also bring the schema up to date and remove orphaned files of the event log, and make the stock
            file anew if no service keeps it.
    """
    findings: list[Finding] = []
    database = _open(settings, findings)
    patient = Patient(settings, environ, database, now, repair)
    checks: list[Check] = [("settings", _settings)]
    if database is not None:
        checks.append(("database", _database))
    current: list[Check] = [("keys", _keys), ("event log", _event_log), ("stock", _stock), ("coupons", _coupons)]
    current.append(("audiences", _audiences))
    checks += current if _is_current(patient) else []
    checks += [("bundle", _bundle), ("spool", _spool), ("disk", _disk), ("clock", _clock)]
    for subject, check in checks:
        try:
            findings += check(patient)
        except (MemberwiseError, OSError) as error:
            findings.append(Finding(State.FAIL, subject, str(error), "Put that right and run the doctor again."))
    if database is not None:
        database.dispose()
    return findings


def _open(settings: ServiceSettings, findings: list[Finding]) -> Database | None:
    try:
        database = Database(settings.database, settings.busy_timeout_seconds)
        with database.read():
            return database
    except (MemberwiseError, OSError) as error:
        advice = "Check MEMBERWISE_DATABASE_URL and MEMBERWISE_HOME, and that the database runs."
        findings.append(Finding(State.FAIL, "database", str(error), advice))
        return None


def _is_current(patient: Patient) -> bool:
    """Tell whether the database has the schema of this release, bringing it up to date if that is wanted."""
    if patient.database is None:
        return False
    try:
        if patient.repair:
            patient.database.migrate()
        return patient.database.revision() == HEAD
    except MemberwiseError:
        return False  # the check of the database says why


def _settings(patient: Patient) -> Iterator[Finding]:
    unknown = unknown_variables(patient.environ, ServiceSettings)
    if unknown:
        detail = f"Nothing reads {', '.join(unknown)}."
        yield Finding(State.WARN, "settings", detail, "Correct or remove them; docs/settings.md lists all.")
    else:
        settings = patient.settings
        yield Finding(State.OK, "settings", f"home {settings.home}, models {settings.models}, {settings.time_zone}")


def _database(patient: Patient) -> Iterator[Finding]:
    database = patient.database
    assert database is not None
    revision = database.revision()
    if revision != HEAD:
        detail = f"The schema is at {revision or 'nothing'}, this release needs {HEAD}."
        yield Finding(State.FAIL, "database", detail, "Run `memberwise doctor --repair`, or start the service.")
        return
    with database.write(durable=True) as connection:
        check_hash_key(connection, read_hash_key(patient.settings))
    yield Finding(State.OK, "database", f"{database.dialect}, schema {revision}, can be written, hash key fits")
    damage = _damage(database)
    if damage is not None:
        advice = "Stop the service, keep a copy of the file, and restore a backup."
        yield Finding(State.FAIL, "database", f"The database file is damaged: {damage}", advice)


def _damage(database: Database) -> str | None:
    """Return what is wrong inside a SQLite file that is small enough to be read whole; None if nothing is."""
    if database.dialect != "sqlite":
        return None
    with database.read() as connection:
        ((pages,),), ((size,),) = fetch(connection, "PRAGMA page_count"), fetch(connection, "PRAGMA page_size")
        if pages * size > MOST_CHECKED_BYTES:
            return None
        found = str(fetch(connection, "PRAGMA quick_check(1)")[0][0])
    return None if found == "ok" else found


def _keys(patient: Patient) -> Iterator[Finding]:
    assert patient.database is not None
    with patient.database.read() as connection:
        keys = list_keys(connection)
    live = [key for key in keys if key.revoked_at is None and (key.expires_at is None or key.expires_at > patient.now)]
    if live:
        yield Finding(State.OK, "keys", f"{len(live)} valid")
    else:
        yield Finding(
            State.WARN,
            "keys",
            "No API key is valid.",
            "Run `memberwise keys create NAME --scopes recommend,events`.",
        )


def _event_log(patient: Patient) -> Iterator[Finding]:
    assert patient.database is not None
    log = open_event_log(patient.settings)
    with patient.database.read() as connection:
        problems = log.problems(connection)
        files = registered_files(connection)
        orphans = log.orphans(connection, patient.now - ORPHAN_AGE)
    for problem in problems:
        yield Finding(State.FAIL, "event log", problem, "Restore the file from a backup.")
    if orphans and patient.repair:
        for orphan in orphans:
            orphan.unlink(missing_ok=True)
        yield Finding(State.OK, "event log", f"{len(orphans)} files of unfinished loads removed")
    elif orphans:
        detail = f"{len(orphans)} files belong to loads that never finished; nothing reads them."
        yield Finding(State.WARN, "event log", detail, "Run `memberwise doctor --repair` to remove them.")
    if not problems:
        rows = sum(file.rows for file in files)
        yield Finding(State.OK, "event log", f"{len(files)} files, {rows:,} events")
    yield from _uncopied(patient)


def _uncopied(patient: Patient) -> Iterator[Finding]:
    """Warn of posted events that wait for longer than a worker would let them."""
    assert patient.database is not None
    settings = patient.settings
    with patient.database.read() as connection:
        backlog = read_backlog(connection)
    patience = timedelta(seconds=3 * settings.compact_seconds)
    oldest = backlog.oldest_received_at
    if oldest is not None and backlog.events >= settings.compact_rows and patient.now - oldest > patience:
        detail = f"{backlog.events:,} posted events wait since {oldest:%Y-%m-%d %H:%M} UTC to be copied to the log."
        yield Finding(State.WARN, "event log", detail, "Is `memberwise worker` running? It copies them.")


def _bundle(patient: Patient) -> Iterator[Finding]:
    registry = Registry(patient.settings.models)
    current = registry.current_id()
    if current is None:
        advice = "Run `memberwise train`, then `memberwise bundles promote ID`."
        yield Finding(State.FAIL, "bundle", "No bundle is promoted.", advice)
        return
    try:
        bundle = registry.open(current)
    except MemberwiseError as error:
        yield Finding(State.FAIL, "bundle", str(error), "Run `memberwise bundles rollback`, or train anew.")
        return
    age = patient.now - bundle.trained_until
    detail = f"{current}, intact, trained on events before {bundle.trained_until:%Y-%m-%d %H:%M} UTC"
    if age > OLD_BUNDLE:
        yield Finding(State.WARN, "bundle", f"{detail}, {age.days} days ago", "Train on newer events.")
    else:
        yield Finding(State.OK, "bundle", detail)
    if _is_current(patient) and patient.database is not None:
        with patient.database.read() as connection:
            known = last_sequence(connection)
        if bundle.last_sequence > known:
            detail = "The bundle was trained on events that the database does not have yet."
            advice = (
                "Is this the right database, or one restored from an older backup? Ingest what is missing, or train."
            )
            yield Finding(State.WARN, "bundle", detail, advice)


def _spool(patient: Patient) -> Iterator[Finding]:
    folder = patient.settings.spool_folder
    files = spool_files(folder)
    size = sum(file.stat().st_size for file in files)
    detail = f"{len(files)} files, {size / (1 << 20):.1f} MiB in {folder}"
    existing = _existing(folder)
    if not os.access(existing, os.W_OK):
        advice = "Give the service's user the right to write there; answers go out unrecorded until then."
        yield Finding(State.FAIL, "spool", f"{existing} cannot be written.", advice)
    elif size > FULL_SPOOL_BYTES:
        yield Finding(State.WARN, "spool", detail, "Is `memberwise worker` running? It empties the spool.")
    elif _is_stuck(patient, files):
        advice = "Is `memberwise worker` running? It moves exposures into the database."
        yield Finding(State.WARN, "spool", f"{detail}; some wait for more than {STUCK_SPOOL}", advice)
    else:
        yield Finding(State.OK, "spool", detail)


def _is_stuck(patient: Patient, files: Sequence[Path]) -> bool:
    """Tell whether exposures wait in files that were last written long ago."""
    if not _is_current(patient) or patient.database is None:
        return False
    with patient.database.read() as connection:
        drained = read_backlog(connection).drained
    until = (patient.now - STUCK_SPOOL).timestamp()
    return any(file.stat().st_size > drained.get(file.name, 0) and file.stat().st_mtime < until for file in files)


def _stock(patient: Patient) -> Iterator[Finding]:
    assert patient.database is not None
    keeper = StockKeeper(patient.database, patient.settings.stock_file, patient.settings.database)
    try:
        if patient.repair and keeper.rebuild():
            yield Finding(State.OK, "stock", "the stock file is made anew")
        elif keeper.keep():
            yield Finding(State.OK, "stock", "the stock file follows the database")
        else:
            yield Finding(State.OK, "stock", "the running service keeps the stock file")
    finally:
        keeper.stop()


def _coupons(patient: Patient) -> Iterator[Finding]:
    assert patient.database is not None
    with patient.database.read(snapshot=True) as connection:
        wrong, frozen = check_books(connection), frozen_offers(connection)
    if wrong:
        advice = "Something wrote to the wallet's tables past the wallet: `memberwise coupons show ID`."
        yield Finding(State.FAIL, "coupons", "The books do not balance: " + "; ".join(wrong), advice)
    else:
        yield Finding(State.OK, "coupons", "the books balance")
    if frozen:
        names = ", ".join(f"{offer_id} ({reason})" for offer_id, reason in frozen)
        yield Finding(State.WARN, "coupons", f"Frozen offers: {names}", "Look into it; then unfreeze them.")


def _audiences(patient: Patient) -> Iterator[Finding]:
    assert patient.database is not None
    settings, advice = patient.settings, "Is `memberwise worker` running? Or run `memberwise audiences refresh`."
    if current_generation(settings.home) is None:
        yield Finding(State.OK, "audiences", "no features of members yet")
        return
    try:
        facts = read_features(settings.home).facts
    except MemberwiseError as error:
        yield Finding(State.WARN, "audiences", str(error), advice)
        return
    detail = f"features of {facts.built_at.astimezone(settings.zone):%Y-%m-%d %H:%M}"
    late = settings.audience_seconds and is_due(patient.database, settings, 2 * settings.audience_seconds, patient.now)
    yield Finding(State.WARN if late else State.OK, "audiences", detail, advice if late else "")


def _disk(patient: Patient) -> Iterator[Finding]:
    settings = patient.settings
    folders = {
        "home": settings.home,
        "models": settings.models,
        "event log": settings.event_log_folder,
        "spool": settings.spool_folder,
    }
    disks: dict[int, list[str]] = {}
    for name, folder in folders.items():
        disks.setdefault(_existing(folder).stat().st_dev, []).append(name)
    for names in disks.values():
        free = shutil.disk_usage(_existing(folders[names[0]])).free
        detail = f"{free / (1 << 30):.1f} GiB free for {', '.join(names)}"
        if free < LEAST_FREE_BYTES:
            yield Finding(State.WARN, "disk", detail, "Make room: loads and training need several times their input.")
        else:
            yield Finding(State.OK, "disk", detail)


def _clock(patient: Patient) -> Iterator[Finding]:
    entries = Registry(patient.settings.models).list()
    made = [entry.manifest.facts.created_at for entry in entries if entry.manifest is not None]
    if _is_current(patient) and patient.database is not None:
        with patient.database.read() as connection:
            made += read_times(connection)
    latest = max([EARLIEST_NOW, *made])
    if patient.now + timedelta(minutes=1) < latest:
        detail = f"The clock says {patient.now:%Y-%m-%d %H:%M} UTC, but it was {latest:%Y-%m-%d %H:%M} before."
        advice = "Set the clock, best by NTP: times decide what counts as recent."
        yield Finding(State.FAIL, "clock", detail, advice)
    else:
        yield Finding(State.OK, "clock", f"{patient.now:%Y-%m-%d %H:%M} UTC")


def _existing(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that exists."""
    found = folder.absolute()
    while not found.exists():
        found = found.parent
    return found
