"""The demo: real shop data -> tables -> events -> a promoted bundle -> one member's recommendations over HTTP, and who
gets which coupon.

Running it again repeats only what has changed. DEMO_SERVE=0 ends after the answer, DEMO_SHARE=0.1 takes a tenth
of the households.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from rich.table import Table

from recommender.bundle import Bundle
from recommender.errors import ConflictError, MemberwiseError, SettingsError
from recommender.settings import FILE_VARIABLE, CoreSettings, read_settings
from recommender.storage.keys import create_key, list_keys, revoke_key
from recommender.storage.loads import list_loads
from recommender.storage.statements import last_sequence
from training import complete_journey
from training.demo_campaign import campaign_lines
from training.demo_coupons import BUDGET_CENTS, plan_coupons
from training.demo_service import Service, ask, end_of, serving
from training.ingest import IngestOptions, ingest, open_stores
from training.ingest_settings import IngestSettings
from training.loading.report import print_report
from training.place import Place, open_place
from training.printing import show_report, wide_console
from training.progress import Progress

KEY_NAME = "demo"
SCOPES = ("recommend", "events", "catalog")
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
        coupons = plan_coupons(environ, place, bundle, round(made.share * BUDGET_CENTS), folder, progress)
        campaign = campaign_lines(place, bundle, round(made.share * BUDGET_CENTS), progress)
        token = fresh_key(place)
    with serving(environ, folder / "service.log") as service:
        _show_recommendations(service, coupons.member_id, token)
        coupons.show()
        wide_console().print("\n".join(campaign), highlight=False, soft_wrap=True, markup=False)
        _show_address(service, coupons.member_id, token)
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


def _show_recommendations(service: Service, member_id: str, token: str) -> None:
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


def _show_address(service: Service, member_id: str, token: str) -> None:
    console = wide_console()
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
    raise MemberwiseError(f"The service ended by itself. {end_of(service.log)}", value=service.log)


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


def _noted(file: Path) -> object:
    return json.loads(file.read_text("utf-8")) if file.exists() else None


def _note(file: Path, made: Made) -> None:
    file.write_text(json.dumps(asdict(made)), "utf-8")
