"""``millpond credentials``: what to sign in with, printed only here."""

from __future__ import annotations

import json

import click

from millpond.cli import completion
from millpond.cli.session import Session, file_option, json_option, pass_session, target_options
from millpond.cli.style import hint, out


@click.command("credentials")
@click.argument("name", required=False, shell_complete=completion.components)
@file_option
@target_options
@json_option
@pass_session
def command(session: Session, name: str | None) -> None:
    """Print the user name and password of component NAME; without NAME, list those that have one."""
    target = session.target()
    if name is None:
        having = [
            found for found, node in target.platform.nodes.items() if node.component.service.credentials
        ]
        out(json.dumps(having) if session.json else "\n".join(having))
        if not session.json and having:
            hint(f"`millpond credentials {having[-1]}` prints its user name and password")
        return
    username, password = target.credentials(name)
    if session.json:
        out(json.dumps({"username": username, "password": password}))
        return
    out(f"username: {username}")
    out(f"password: {password}")
