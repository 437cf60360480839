"""``millpond destroy``: deletes, after saying what, and after a question."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import click

from millpond.cli.busy import busy
from millpond.cli.session import Session, file_option, pass_session
from millpond.cli.stopping import still_running
from millpond.cli.style import bytes_text, columns, note

if TYPE_CHECKING:
    from millpond.targets.local.target import LocalTarget


@click.command("destroy")
@click.option("-y", "--yes", is_flag=True, help="Do not ask")
@file_option
@pass_session
def command(session: Session, yes: bool) -> None:
    """Stop the platform and delete all of its data, secrets and state.

    The flavour file stays, and so do the installs, which other platforms share.
    """
    if not session.workspace().root.exists():
        note("there is nothing to delete")
        return
    destroy(session.target(), yes=yes)


def destroy(target: LocalTarget, *, yes: bool) -> None:
    """List what is deleted, ask, and delete it.

    Raises:
        UsageError: nobody is there to answer.
    """
    from millpond.model.errors import UsageError

    workspace = target.workspace
    note(f"this deletes the platform {target.platform.name} with all its data:")
    for line in columns([(str(path), bytes_text(size)) for path, size in target.destroy_list()]):
        note(f"  {line}")
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError(
                "destroy asks before it deletes, and nobody is there to answer",
                hint="`millpond destroy --yes` does not ask",
            )
        if not click.confirm("Delete it?", err=True):
            note("nothing was deleted")
            return
    with busy("deleting", lambda: ", ".join(still_running(workspace))):
        asyncio.run(target.destroy())
    note("deleted")
