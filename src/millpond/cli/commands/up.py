"""``millpond up``: brings the platform up, live."""

from __future__ import annotations

import click

from millpond.cli import completion
from millpond.cli.session import Session, file_option, json_option, pass_session
from millpond.cli.style import note


@click.command("up")
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=completion.components)
@click.option("--offline", is_flag=True, help="Never use the network; what is not cached is an error")
@click.option(
    "--new-ports",
    multiple=True,
    metavar="NAME",
    shell_complete=completion.components,
    help="Find new ports for a component whose port is taken, or for all; can be given several times",
)
@click.option("-y", "--yes", is_flag=True, help="Go on without asking where the machine is too small")
@file_option
@json_option
@pass_session
def command(
    session: Session, names: tuple[str, ...], offline: bool, new_ports: tuple[str, ...], yes: bool
) -> None:
    """Bring the platform to the state that its flavour names.

    With NAMEs only these components, and what they wait for. Interrupted or failed, what is up stays up;
    run it again to go on.
    """
    from millpond.cli.bringing_up import bring_up

    source = session.source()
    for line in source.notes:
        note(line)
    target = session.target(new_ports, source)
    session.remember()
    bring_up(target, offline=offline, only=names, yes=yes, as_json=session.json)
