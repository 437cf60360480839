"""``millpond down``: everything stops, nothing is lost."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import click

from millpond.cli.busy import busy
from millpond.cli.session import Session, file_option, pass_session, target_options
from millpond.cli.stopping import still_running
from millpond.cli.style import hint, note, plural, seconds_text

if TYPE_CHECKING:
    from millpond.targets.local.workspace import Workspace


@click.command("down")
@file_option
@target_options
@pass_session
def command(session: Session) -> None:
    """Stop the platform in reverse order; data, ports and secrets are kept.

    On a cluster what runs is deleted; volumes, Secrets and the namespace stay.
    """
    if session.on_cluster():
        _take_down(session)
        return
    # A mistake in the flavour file must not keep the platform from being stopped.
    stop(session.workspace())


def _take_down(session: Session) -> None:
    target = session.cluster_target()
    begun = time.monotonic()
    with busy("stopping"):
        asyncio.run(target.down())
    took = seconds_text(time.monotonic() - begun)
    note(f"{target.platform.name} is down after {took}; volumes and Secrets in {target.namespace} are kept")
    hint("`millpond up` starts it again, `millpond destroy` deletes it with its data")


def stop(workspace: Workspace) -> None:
    """Stop a platform, and say so."""
    from millpond.targets.local.target import shut_down

    running = still_running(workspace)
    begun = time.monotonic()
    with busy("stopping", lambda: ", ".join(still_running(workspace))):
        asyncio.run(shut_down(workspace))
    if not running:
        note("nothing was running")
        return
    took = seconds_text(time.monotonic() - begun)
    note(f"stopped {plural(len(running), 'component')} after {took}; data is kept")
    hint("`millpond up` starts it again, `millpond destroy` deletes it with its data")
