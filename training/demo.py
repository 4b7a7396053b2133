"""The demo: real shop data -> tables -> events -> a promoted bundle -> one member's recommendations over HTTP.

Running it again repeats only what has changed. DEMO_SERVE=0 ends after the answer, DEMO_SHARE=0.1 takes a tenth
of the households.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from rich.table import Table

from recommender.bundle import Bundle
from recommender.errors import ConflictError, MemberwiseError, SettingsError
from recommender.events import member_subject
from recommender.settings import FILE_VARIABLE, CoreSettings, read_settings
from recommender.storage.keys import create_key, list_keys, revoke_key
from recommender.storage.loads import list_loads
from recommender.storage.statements import last_sequence
from training import complete_journey
from training.ingest import IngestOptions, ingest, open_stores
from training.ingest_settings import IngestSettings
from training.loading.report import print_report
from training.place import Place, open_place
from training.printing import show_report, wide_console
from training.progress import Progress

KEY_NAME = "demo"
SCOPES = ("recommend", "events", "catalog")
COUNT = 10
START_SECONDS = 90.0
STOP_SECONDS = 40.0
_SERVE = "from recommender.cli import main; main()"
_SETTINGS_FILE = f"""# Written by `memberwise demo`: where and in what currency the shops of the demo data sell.
time_zone = "{complete_journey.TIME_ZONE}"
currency = "{complete_journey.CURRENCY}"
"""


@dataclass(frozen=True, slots=True)
class Made:
    """What the demo's tables were made from; they are made again when any of it changes."""

    version: int
    package: str
    share: float


@dataclass(frozen=True, slots=True)
class Service:
    """A running service: its process, address, and the file it logs to."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path


def run_demo(environ: Mapping[str, str], progress: Progress) -> None:
    """Run the whole demo.

    Args:
        environ: the environment: settings, DEMO_SERVE and DEMO_SHARE.
        progress: shows the stages.
    Raises: SettingsError if DEMO_SHARE cannot be used; ConflictError if the installation holds other data.
    """
    made = Made(complete_journey.VERSION, version(complete_journey.PACKAGE), _share(environ))
    folder = prepare_home(environ)
    with open_place(read_settings(CoreSettings, environ)) as place:
        _refuse_other_data(place, folder)
        make_tables(folder, made, progress)
        load_tables(place, read_settings(IngestSettings, environ), folder, made, progress)
        bundle = train_if_changed(place, progress)
        token = fresh_key(place)
    with serving(environ, folder / "service.log") as service:
        _show_answer(service, busiest_member(bundle), token)
        if environ.get("DEMO_SERVE", "1") != "0":
            _serve_on(service)


def prepare_home(environ: Mapping[str, str]) -> Path:
    """Make the demo's folder in HOME, and the settings file that says where its shops are; return the folder.

    A settings file that is there already is left alone.
    """
    home = read_settings(CoreSettings, environ).home
    folder = home / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    file = home / "memberwise.toml"
    if not file.exists() and not environ.get(FILE_VARIABLE):
        file.write_text(_SETTINGS_FILE, "utf-8")
    return folder


def make_tables(folder: Path, made: Made, progress: Progress) -> None:
    """Write the canonical tables into folder/tables, unless they were made from the same before."""
    if _noted(folder / "tables.json") == asdict(made):
        return
    with progress.stage("write tables", len(complete_journey.TABLES)) as step:
        complete_journey.write_tables(
            complete_journey.package_data(), folder / "tables", made.share, lambda name: step(1)
        )
    _note(folder / "tables.json", made)


def load_tables(place: Place, settings: IngestSettings, folder: Path, made: Made, progress: Progress) -> None:
    """Ingest the tables as a user would, unless these were loaded before."""
    with place.database.read() as connection:
        loaded = bool(list_loads(connection))
    if loaded and _noted(folder / "loaded.json") == asdict(made):
        return
    stores = open_stores(settings, place.database)
    report = ingest([folder / "tables"], settings, stores, IngestOptions(), progress, datetime.now(UTC))
    print_report(report, wide_console())
    _note(folder / "loaded.json", made)


def train_if_changed(place: Place, progress: Progress) -> Bundle:
    """Train and promote, unless the promoted bundle includes every event there is; return the promoted bundle."""
    from training.settings import TrainingSettings
    from training.train import train

    with place.database.read() as connection:
        newest = last_sequence(connection)
    current = place.registry.current_id()
    if current is None or place.registry.open(current).last_sequence < newest:
        trained = train(place, TrainingSettings(), None, True, datetime.now(UTC), progress)
        show_report(trained.report)
    bundle = place.registry.open()
    wide_console().print(f"Bundle {bundle.bundle_id}; its report with plots: {bundle.path / 'report.html'}")
    return bundle


def fresh_key(place: Place) -> str:
    """Make a new API key for the demo, revoke its earlier ones, and return the key."""
    now = datetime.now(UTC)
    with place.database.write() as connection:
        for entry in list_keys(connection):
            if entry.name == KEY_NAME and entry.revoked_at is None:
                revoke_key(connection, entry.key_id, now)
        return create_key(connection, KEY_NAME, SCOPES, now).token


def busiest_member(bundle: Bundle) -> str:
    """Return the member with the longest history in a bundle."""
    longest = int(np.diff(bundle.histories.indptr).argmax())
    return bundle.subjects.id(longest).removeprefix(member_subject(""))


@contextmanager
def serving(environ: Mapping[str, str], log: Path) -> Iterator[Service]:
    """Run the API and a worker as a process of their own, ready to answer; stop both at the end.

    Raises: MemberwiseError with the end of its log if the service does not come up.
    """
    port = free_port(int(environ.get("MEMBERWISE_PORT", "8000")))
    words = [sys.executable, "-c", _SERVE, "serve", "--with-worker", "--port", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(words, env=dict(environ), stdout=output, stderr=output, start_new_session=True)
    service = Service(process, f"http://127.0.0.1:{port}", log)
    before = {number: signal.signal(number, _interrupt) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        _wait_until_ready(service)
        yield service
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _stop(process)


def free_port(wanted: int) -> int:
    """Return the wanted port of this machine if nobody listens there, else a free one."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise MemberwiseError("No port of this machine is free.", field="MEMBERWISE_PORT", value=wanted)


def ask(service: Service, member_id: str, token: str) -> dict[str, Any]:
    """Ask the service for one member's recommendations, as any client would."""
    request = urllib.request.Request(
        f"{service.url}/v1/members/{quote(member_id, safe='')}/recommendations?scenario=home&count={COUNT}",
        headers={"Authorization": f"Bearer {token}", "Accept-Language": _language()},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def _show_answer(service: Service, member_id: str, token: str) -> None:
    answer = ask(service, member_id, token)
    table = Table("", "item", "title", "price", "why", title=f"Recommended to member {member_id}", box=None)
    for item in answer["items"]:
        price = item.get("price_cents")
        why = item["reasons"][0]["text"] if item["reasons"] else ""
        shown = "" if price is None else f"{price / 100:.2f}"
        table.add_row(str(item["position"]), item["item_id"], item.get("title") or "", shown, why)
    console = wide_console()
    console.print()
    console.print(table)
    console.print(f"\nAddress  {service.url}   (documents: {service.url}/docs)", highlight=False)
    console.print(f"Key      {token}", highlight=False)
    line = f"curl -s -H 'Authorization: Bearer {token}' '{service.url}/v1/members/{member_id}/recommendations'"
    console.print(f"Try      {line}", highlight=False, soft_wrap=True)


def _serve_on(service: Service) -> None:
    wide_console().print(f"Serving until Ctrl-C; the log is {service.log}.")
    try:
        service.process.wait()
    except KeyboardInterrupt:
        return
    raise MemberwiseError(f"The service ended by itself. {_end_of(service.log)}", value=service.log)


def _wait_until_ready(service: Service) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and service.process.poll() is None:
        try:
            with urllib.request.urlopen(f"{service.url}/readyz", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise MemberwiseError(f"The service did not start. {_end_of(service.log)}", value=service.log)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _end_of(log: Path) -> str:
    return "The end of its log: " + " | ".join(log.read_text("utf-8", errors="replace").splitlines()[-5:])


def _share(environ: Mapping[str, str]) -> float:
    text = environ.get("DEMO_SHARE", "1")
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise SettingsError(
            "The demo's share of households cannot be used.",
            field="DEMO_SHARE",
            value=text,
            accepted="a number above 0, at most 1",
        )
    return share


def _refuse_other_data(place: Place, folder: Path) -> None:
    """Keep the demo's shoppers out of an installation that is used for something else."""
    with place.database.read() as connection:
        loaded = bool(list_loads(connection))
    if loaded and not (folder / "tables.json").exists():
        raise ConflictError(
            "This installation already holds other data, which the demo would mix with its own. Set "
            "MEMBERWISE_HOME and MEMBERWISE_MODELS to other folders.",
            field="MEMBERWISE_HOME",
            value=place.settings.home,
        )


def _language() -> str:
    return "zh" if os.environ.get("LANG", "").startswith("zh") else "en"


def _noted(file: Path) -> object:
    return json.loads(file.read_text("utf-8")) if file.exists() else None


def _note(file: Path, made: Made) -> None:
    file.write_text(json.dumps(asdict(made)), "utf-8")
