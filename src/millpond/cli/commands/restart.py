"""``millpond restart``: one component anew."""

from __future__ import annotations

import asyncio
import time

import click

from millpond.cli import completion
from millpond.cli.busy import busy
from millpond.cli.session import Session, file_option, pass_session, target_options
from millpond.cli.style import note, seconds_text


@click.command("restart")
@click.argument("name", shell_complete=completion.components)
@file_option
@target_options
@pass_session
def command(session: Session, name: str) -> None:
    """Restart component NAME, and wait until it is ready."""
    target = session.target()
    begun = time.monotonic()
    with busy(f"restarting {name}"):
        asyncio.run(target.restart(name))
    note(f"{name} is ready after {seconds_text(time.monotonic() - begun)}")
