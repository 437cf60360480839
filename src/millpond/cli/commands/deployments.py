"""``millpond deployments``: what serves."""

from __future__ import annotations

import json

import click

from millpond.cli import completion
from millpond.cli.session import Session, file_option, json_option, pass_session
from millpond.cli.style import hint, note, out


@click.command("deployments")
@click.argument("name", required=False, shell_complete=completion.deployments)
@file_option
@json_option
@pass_session
def command(session: Session, name: str | None) -> None:
    """List the deployments with the revisions that serve; with NAME, show one with what is kept of it."""
    from millpond.cli import deployment_views as views
    from millpond.cli.serving import Serving

    serving = Serving(session)
    if name is not None:
        found = serving.find(name)
        if session.json:
            serving.show_json(found)
        else:
            views.details(found)
        return
    every = serving.client.list(None)
    if session.json:
        out(json.dumps(every))
    elif every:
        views.table(every)
    else:
        note("nothing is deployed here")
        hint("`millpond deploy models:/NAME@ALIAS --name NAME` serves a model")
