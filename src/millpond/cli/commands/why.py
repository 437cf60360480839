"""``millpond why``: the reasons for a component, in sentences."""

from __future__ import annotations

import json

import click

from millpond.cli import completion
from millpond.cli.session import Session, file_option, json_option, pass_session, target_options
from millpond.cli.style import out


@click.command("why")
@click.argument("name", shell_complete=completion.components)
@file_option
@target_options
@json_option
@pass_session
def command(session: Session, name: str) -> None:
    """Say why component NAME is part of the platform, and who is wired to it."""
    reasons = list(session.target().why(name))
    if session.json:
        out(json.dumps({"component": name, "reasons": reasons}))
        return
    for reason in reasons:
        out(reason)
