"""``millpond promote``: the newest revision takes all requests."""

from __future__ import annotations

import click

from millpond.cli import completion
from millpond.cli.manner import Manner, manner_options
from millpond.cli.session import Session, file_option, json_option, pass_session


@click.command("promote")
@click.argument("name", shell_complete=completion.deployments)
@manner_options
@file_option
@json_option
@pass_session
def command(session: Session, manner: Manner, name: str) -> None:
    """Give the newest revision of NAME all requests: the end of a canary, shadow, experiment or rollout.

    The revision before it is kept; `millpond rollback NAME` goes back to it.
    """
    from millpond.cli.deploying import show
    from millpond.cli.serving import Serving
    from millpond.serving.edits import promoted

    serving = Serving(session)
    document = serving.base(serving.find(name), promoted)
    show(serving, serving.change(document, manner))
