"""The group `memberwise campaigns`; each command has a file of its own."""

from __future__ import annotations

import click

from api.campaign_report_command import campaign_report


@click.group()
def campaigns() -> None:
    """Campaigns: from an audience and a budget to messages and what they changed."""


campaigns.add_command(campaign_report)
