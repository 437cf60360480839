"""``millpond logs``: what a component writes."""

from __future__ import annotations

import click

from millpond.cli import completion
from millpond.cli.session import Session, long_file_option, pass_session
from millpond.cli.style import note


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
@pass_session
def command(session: Session, name: str, follow: bool, lines: int) -> None:
    """Show the log of component NAME, of one of its processes (dask/worker), or of the supervisor.

    Where there are several files, each line begins with its process.
    """
    from millpond.cli.tail import Tail
    from millpond.targets.local.supervisor.protocol import LOG

    if name == "supervisor":
        found = session.workspace().run / LOG
        paths = [found] if found.exists() else []
    else:
        paths = session.target().logs(name)
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
