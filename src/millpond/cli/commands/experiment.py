"""``millpond experiment``: who does better, and whether that is certain yet."""

from __future__ import annotations

import json

import click

from millpond.cli import completion
from millpond.cli.session import Session, file_option, json_option, pass_session
from millpond.cli.style import out


@click.command("experiment")
@click.argument("name", shell_complete=completion.deployments)
@click.option("--since", metavar="TIME", help="Only what came since: 15m, 2h, 7d ago, or a date")
@file_option
@json_option
@pass_session
def command(session: Session, name: str, since: str | None) -> None:
    """Show the outcome of NAME's A/B experiment: each arm with its interval, and what the stopping rule says.

    Outcomes come by `millpond feedback`, or by POST /v2/models/NAME/feedback with the prediction's id. One
    may look as often as one likes.
    """
    from millpond.cli import measurement_views as views
    from millpond.cli.serving import Serving

    found = Serving(session).measured(name, "experiment", since=since)
    if session.json:
        out(json.dumps(found))
    else:
        views.experiment(found)
