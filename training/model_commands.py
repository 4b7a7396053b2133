"""Commands that learn and recommend: train, evaluate, recommend, demo. They turn settings into objects, and print."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recommender.context import RequestContext, SessionEvent
from recommender.errors import InputError, MemberwiseError
from recommender.query import Scenario
from recommender.settings import CoreSettings, read_settings
from recommender.storage.logged_slates import REWARDS
from recommender.storage.retrain import finish_request, take_request
from training.off_policy_printing import show_off_policy
from training.place import Place, open_place
from training.printing import as_json, print_json, show_report
from training.progress import Bars, Progress, Silent
from training.settings import PROTOCOLS, TrainingSettings, read_training_settings

if TYPE_CHECKING:
    from training.train import Trained


SCENARIOS = [part.value for part in Scenario]


class Moment(click.ParamType):
    """A time in ISO 8601; without an offset it is in the retailer's time zone, which the command fills in."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Read a time."""
        if isinstance(value, datetime):
            return value
        try:
            return datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is not a time in ISO 8601, such as 2024-03-01T00:00:00+08:00", param, ctx)


@click.command()
@click.option("--until", type=Moment(), help="Learn from events before this time only.")
@click.option("--settings", "file", type=click.Path(path_type=Path), help="TOML file of training settings.")
@click.option("--seed", type=click.IntRange(min=0), help="Seed of every random choice; overrides the settings.")
@click.option("--split", type=click.Choice(PROTOCOLS[1:]), help="How windows are cut; by default the data decides.")
@click.option("--window-days", type=click.FloatRange(min=0, min_open=True), help="Length of a time window.")
@click.option("--test-members", type=click.IntRange(min=0), help="Members in the test; 0: all.")
@click.option("--promote/--no-promote", default=True, help="Serve the new bundle at once.", show_default=True)
@click.option("--requested", is_flag=True, help="Train only if the service wrote a request down.")
@as_json
def train(
    until: datetime | None,
    file: Path | None,
    seed: int | None,
    split: str | None,
    window_days: float | None,
    test_members: int | None,
    promote: bool,
    requested: bool,
    as_json: bool,
) -> None:
    """Learn from the history, evaluate, and write a bundle."""
    settings = _changed(read_training_settings(file), seed, split, window_days, test_members)
    with open_place(read_settings(CoreSettings, os.environ)) as place:
        if requested:
            _train_on_request(place, settings, promote, as_json)
        else:
            _show_trained(place, _train(place, settings, until, promote, as_json), as_json)


@click.command()
@click.option("--bundle", "bundle_id", help="The bundle to evaluate; by default the promoted one.")
@click.option("--out", type=click.Path(path_type=Path), help="Also write the report to this HTML file.")
@click.option("--off-policy", is_flag=True, help="Estimate from logged slates what the bundle would have earned.")
@click.option("--scenario", type=click.Choice(SCENARIOS), default=SCENARIOS[0], help="Of the logged slates.")
@click.option("--since", type=Moment(), help="Logged slates from this time on; by default since the bundle's data.")
@click.option("--until", type=Moment(), help="Logged slates before this time.")
@click.option("--reward", type=click.Choice(list(REWARDS)), default="purchased", help="What an item is judged by.")
@click.option("--clip", type=click.FloatRange(min=0), default=0.0, help="Largest weight; 0: none.")
@click.option("--scenario-settings", type=click.Path(exists=True, path_type=Path), help="JSON of other settings.")
@as_json
def evaluate(bundle_id: str | None, out: Path | None, off_policy: bool, as_json: bool, **asked: Any) -> None:
    """Replay what happened after a bundle was trained; without such events, its recipe on its test window.

    With --off-policy: estimate what the bundle would have earned where exploration logged its chances.
    """
    from training.reevaluate import reevaluate

    with open_place(read_settings(CoreSettings, os.environ)) as place:
        bundle, now = place.registry.open(bundle_id), datetime.now(UTC)
        if off_policy:
            show_off_policy(place, bundle, now, _progress(as_json), as_json, **asked)
            return
        report = reevaluate(place, bundle, now, _progress(as_json))
    if out is not None:
        from training.page import to_html

        out.write_text(to_html(report), "utf-8")
    print_json(report) if as_json else show_report(report)


@click.command()
@click.option("--members", required=True, help="all, or a CSV or Parquet file with member_id and perhaps at.")
@click.option("--scenario", type=click.Choice(SCENARIOS), default=SCENARIOS[0], show_default=True)
@click.option("--count", type=click.IntRange(1, 1000), default=20, show_default=True, help="Items per member.")
@click.option("--item", help="The item that the lists of `similar` and `substitutes` are about.")
@click.option("--basket", multiple=True, help="An item in the basket; may be given more than once.")
@click.option("--viewed", multiple=True, help="An item viewed just now, oldest first; may be given more than once.")
@click.option("--bundle", "bundle_id", help="The bundle to use; by default the promoted one.")
@click.option("--stock/--no-stock", default=None, help="Leave out what is not in stock now (not with `at`).")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help=".csv or .parquet")
def recommend(
    members: str,
    scenario: str,
    count: int,
    item: str | None,
    basket: tuple[str, ...],
    viewed: tuple[str, ...],
    bundle_id: str | None,
    stock: bool | None,
    out: Path,
) -> None:
    """Write recommendations of many members to a file."""
    from training.recommend import all_members, check_context, later_than, read_members, recommend_to

    now, context = datetime.now(UTC), RequestContext(item, basket, [SessionEvent(item_id) for item_id in viewed])
    check_context(Scenario(scenario), context)
    with open_place(read_settings(CoreSettings, os.environ)) as place:
        bundle = place.registry.open(bundle_id)
        asks = all_members(place, bundle) if members == "all" else read_members(Path(members), place.settings.zone)
        if not asks:
            raise InputError("There is nobody to recommend to.", field="members", value=members)
        timed = asks[0].at is not None
        began = time.monotonic()
        with _progress(False).stage(f"recommend {scenario}", len(asks)) as step:
            kept = not timed if stock is None else stock
            written = recommend_to(place, bundle, asks, Scenario(scenario), count, out, now, kept, step, context)
    seconds = time.monotonic() - began
    click.echo(
        f"{written.lists:,} lists, {written.rows:,} rows in {seconds:.1f} s"
        f" ({written.lists / max(seconds, 1e-9):,.0f} lists/s), bundle {bundle.bundle_id}: {out}"
    )
    for flag, times in sorted(written.flags.items()):
        click.echo(f"  {flag}: {times:,}")
    early = later_than(asks, bundle.trained_until)
    if early:
        click.echo(
            f"The bundle has learned from data until {bundle.trained_until}, later than `at` of {early:,} lists."
        )


@click.command()
def demo() -> None:
    """Learn from real shop data and serve it, in one go."""
    from training.demo import run_demo

    run_demo(os.environ, Bars())


def _train(place: Place, settings: TrainingSettings, until: datetime | None, promote: bool, quiet: bool) -> Trained:
    from training.train import train as run

    if until is not None and until.tzinfo is None:
        until = until.replace(tzinfo=place.settings.zone)
    return run(place, settings, until, promote, datetime.now(UTC), _progress(quiet))


def _train_on_request(place: Place, settings: TrainingSettings, promote: bool, as_json: bool) -> None:
    """Take the oldest request of the service, train, and note what came of it."""
    with place.database.write() as connection:
        request = take_request(connection, datetime.now(UTC))
    if request is None:
        print_json({"bundle_id": None}) if as_json else click.echo("No request to retrain is waiting.")
        return
    try:
        trained = _train(place, settings, None, promote, as_json)
    except MemberwiseError as error:
        with place.database.write() as connection:
            finish_request(connection, request.request_id, datetime.now(UTC), error=str(error))
        raise
    with place.database.write() as connection:
        finish_request(connection, request.request_id, datetime.now(UTC), bundle_id=trained.bundle_id)
    _show_trained(place, trained, as_json)


def _show_trained(place: Place, trained: Trained, as_json: bool) -> None:
    path = place.registry.path(trained.bundle_id)
    if as_json:
        print_json({"bundle_id": trained.bundle_id, "promoted": trained.promoted, "report": trained.report})
        return
    show_report(trained.report)
    state = "promoted" if trained.promoted else f"written; `memberwise bundles promote {trained.bundle_id}` serves it"
    click.echo(f"Bundle {trained.bundle_id} is {state}.")
    click.echo(f"The report with plots: {path / 'report.html'}")


def _changed(
    settings: TrainingSettings, seed: int | None, split: str | None, window_days: float | None, members: int | None
) -> TrainingSettings:
    """Return the settings with what the command line says."""
    option, judged = settings.split, settings.evaluation
    option = replace(option, protocol=split or option.protocol, window_days=window_days or option.window_days)
    judged = replace(judged, members=judged.members if members is None else members)
    return replace(settings, seed=settings.seed if seed is None else seed, split=option, evaluation=judged)


def _progress(quiet: bool) -> Progress:
    return Silent() if quiet else Bars()
