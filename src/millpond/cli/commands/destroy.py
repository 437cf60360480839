"""``millpond destroy``: deletes, after saying what, and after a question."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from millpond.cli.asking import agreed
from millpond.cli.busy import busy
from millpond.cli.session import Session, file_option, pass_session, target_options
from millpond.cli.stopping import still_running
from millpond.cli.style import bytes_text, columns, note

if TYPE_CHECKING:
    from millpond.targets.local.target import LocalTarget


@click.command("destroy")
@click.option("-y", "--yes", is_flag=True, help="Do not ask")
@click.option("--keep-data", is_flag=True, help="On a cluster: leave volumes, Secrets and the namespace")
@file_option
@target_options
@pass_session
def command(session: Session, yes: bool, keep_data: bool) -> None:
    """Stop the platform and delete all of its data, secrets and state.

    The flavour file stays, and so do the installs, which other platforms share.
    """
    if session.on_cluster():
        _delete(session, yes=yes, keep_data=keep_data)
        return
    if keep_data:
        from millpond.model.errors import UsageError

        raise UsageError(
            "--keep-data is for a cluster", hint="`millpond down` keeps the data on this machine"
        )
    if not session.workspace().root.exists():
        note("there is nothing to delete")
        return
    destroy(session.local_target(), yes=yes)


def destroy(target: LocalTarget, *, yes: bool) -> None:
    """List what is deleted, ask, and delete it.

    Raises:
        UsageError: nobody is there to answer.
    """
    workspace = target.workspace
    note(f"this deletes the platform {target.platform.name} with all its data:")
    for line in columns([(str(path), bytes_text(size)) for path, size in target.destroy_list()]):
        note(f"  {line}")
    if not _agreed(yes):
        return
    with busy("deleting", lambda: ", ".join(still_running(workspace))):
        asyncio.run(target.destroy())
    note("deleted")


def _agreed(yes: bool) -> bool:
    """Ask, where nobody said yes before.

    Raises:
        UsageError: nobody is there to answer.
    """
    if yes or agreed(
        "Delete it?",
        unheard="destroy asks before it deletes, and nobody is there to answer",
        hint="`millpond destroy --yes` does not ask",
    ):
        return True
    note("nothing was deleted")
    return False


def _delete(session: Session, *, yes: bool, keep_data: bool) -> None:
    """Delete a platform from its cluster."""
    target = session.cluster_target()
    found = target.destroy_list()
    if not found:
        note(f"there is nothing to delete in the namespace {target.namespace}")
        session.forget()
        return
    where = f"{target.platform.name} from the namespace {target.namespace}"
    if keep_data:
        note(f"this deletes the platform {where}; its volumes and Secrets stay")
    else:
        note(f"this deletes the platform {where} with all its data:")
        for line in columns(found):
            note(f"  {line}")
    if not _agreed(yes):
        return
    with busy("deleting"):
        asyncio.run(target.destroy(keep_data=keep_data))
    if not keep_data:
        session.forget()
    note("deleted")
