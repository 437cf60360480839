"""``millpond destroy``: deletes, after saying what, and after a question."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

import click

from millpond.cli.busy import busy
from millpond.cli.session import Session, file_option, pass_session, target_options
from millpond.cli.stopping import still_running
from millpond.cli.style import bytes_text, columns, note

if TYPE_CHECKING:
    from millpond.targets.local.target import LocalTarget


@click.command("destroy")
@click.option("-y", "--yes", is_flag=True, help="Do not ask")
@click.option("--keep-data", is_flag=True, help="On a cluster: keep volumes and secrets")
@file_option
@target_options
@pass_session
def command(session: Session, yes: bool, keep_data: bool) -> None:
    """Stop the platform and delete all of its data, secrets and state.

    The flavour file stays, and so do the installs, which other platforms share.
    """
    from millpond.model.errors import UsageError

    if session.on_cluster():
        destroy_cluster(session, yes=yes, keep_data=keep_data)
        return
    if keep_data:
        raise UsageError(
            "--keep-data is for a platform on a cluster", hint="`millpond down` keeps all data here"
        )
    if not session.workspace().root.exists():
        note("there is nothing to delete")
        return
    destroy(session.target(), yes=yes)


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


def destroy_cluster(session: Session, *, yes: bool, keep_data: bool) -> None:
    """As `destroy`, on a cluster."""
    target = session.cluster_target()
    kept = ("PersistentVolumeClaim", "Secret", "Namespace") if keep_data else ()
    found = [each for each in target.destroy_list() if each["kind"] not in kept]
    if not found:
        note("there is nothing to delete")
        return
    note(f"this deletes from {target.namespace}, of the platform {target.platform.name}:")
    rows = [(each["kind"], each["metadata"]["name"], _size(each)) for each in found]
    for line in columns(rows):
        note(f"  {line}")
    if not _agreed(yes):
        return
    with busy("deleting"):
        asyncio.run(target.destroy(keep_data=keep_data))
    session.forget_target()
    note("deleted; volumes and secrets are kept" if keep_data else "deleted")


def _size(found: dict[str, Any]) -> str:
    """What a volume reserves."""
    if found["kind"] != "PersistentVolumeClaim":
        return ""
    requests = ((found.get("spec") or {}).get("resources") or {}).get("requests") or {}
    return str(requests.get("storage", ""))


def _agreed(yes: bool) -> bool:
    from millpond.model.errors import UsageError

    if not yes:
        if not sys.stdin.isatty():
            raise UsageError(
                "destroy asks before it deletes, and nobody is there to answer",
                hint="`millpond destroy --yes` does not ask",
            )
        if not click.confirm("Delete it?", err=True):
            note("nothing was deleted")
            return False
    return True
