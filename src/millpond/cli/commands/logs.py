"""``millpond logs``: what a component writes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from millpond.cli import completion
from millpond.cli.session import Session, long_file_option, pass_session, target_options
from millpond.cli.style import note

if TYPE_CHECKING:
    from pathlib import Path

    from millpond.targets.local.target import LocalTarget

_REVISION = re.compile(r"-\d{5}")


@click.command("logs")
@click.argument("name", shell_complete=completion.components)
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written; Ctrl-C ends it")
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(min=0),
    default=40,
    show_default=True,
    help="How many lines from the end",
)
@long_file_option
@target_options
@pass_session
def command(session: Session, name: str, follow: bool, lines: int) -> None:
    """Show the log of component NAME, of one of its processes (dask/worker), or of the supervisor.

    The name of a deployment shows its revisions' logs, that of a revision its own.

    Where there are several files, each line begins with its process.
    """
    from millpond.cli.tail import Tail
    from millpond.targets.local.supervisor.protocol import LOG

    if name != "supervisor" and session.on_cluster():
        from millpond.cli.pod_logs import show

        show(session.cluster_target(), name, lines=lines, follow=follow)
        return
    if name == "supervisor":
        found = session.workspace().run / LOG
        paths = [found] if found.exists() else []
    else:
        paths = _paths(session.local_target(), name)
    if not paths:
        note(f"{name} has not written anything")
        return
    tail = Tail(paths)
    tail.last(lines)
    if follow:
        try:
            tail.follow()
        except KeyboardInterrupt:
            note()


def _paths(target: LocalTarget, name: str) -> list[Path]:
    """The logs of a component or process; else those of a deployment's revisions, the live ones last."""
    from millpond.model.errors import MillpondError

    try:
        return target.logs(name)
    except MillpondError:
        found = [
            path
            for component, _ in target.platform.providers("inference")
            for path in target.workspace.data(component).glob(f"*/logs/serving-{name}*.log")
            if _of(path.stem.removeprefix("serving-"), name)
        ]
        if not found:
            raise
        return sorted(found, key=lambda path: path.stat().st_mtime)


def _of(process: str, name: str) -> bool:
    """Whether a process, ``flights-00002`` or ``flights-00002.1``, is of a deployment or a revision."""
    revision = process.partition(".")[0]
    return revision == name or (revision.startswith(name) and bool(_REVISION.fullmatch(revision, len(name))))
