"""``millpond drift``: what changed in what comes in and goes out."""

from __future__ import annotations

import json

import click

from millpond.cli import completion
from millpond.cli.session import Session, file_option, json_option, pass_session
from millpond.cli.style import out


@click.command("drift")
@click.argument("name", shell_complete=completion.deployments)
@click.option("--since", metavar="TIME", help="Only what came since: 15m, 2h, 7d ago, or a date")
@file_option
@json_option
@pass_session
def command(session: Session, name: str, since: str | None) -> None:
    """Show how far inputs and predictions of NAME are from what they were, column by column.

    PSI is the population stability index: below 0.1 is stable, from 0.25 on a large shift.
    """
    from millpond.cli import measurement_views as views
    from millpond.cli.serving import Serving

    found = Serving(session).measured(name, "drift", since=since)
    if session.json:
        out(json.dumps(found))
    else:
        views.drift(found)
