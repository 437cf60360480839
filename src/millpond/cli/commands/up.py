"""``millpond up``: brings the platform up, live."""

from __future__ import annotations

import asyncio

import click

from millpond.cli import completion
from millpond.cli.session import Session, file_option, json_option, pass_session, target_options
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
@click.option("--rollback", is_flag=True, help="On a cluster: bring NAME back to its previous revision")
@click.option("--to", type=int, metavar="REVISION", help="With --rollback: to this revision")
@file_option
@json_option
@target_options
@pass_session
def command(
    session: Session,
    names: tuple[str, ...],
    offline: bool,
    new_ports: tuple[str, ...],
    yes: bool,
    rollback: bool,
    to: int | None,
) -> None:
    """Bring the platform to the state that its flavour names.

    With NAMEs only these components, and what they wait for. Interrupted or failed, what is up stays up;
    run it again to go on.
    """
    from millpond.cli.bringing_up import bring_up

    if rollback or to is not None:
        _roll_back(session, names, to)
        return
    source = session.source()
    for line in source.notes:
        note(line)
    target = session.anywhere(new_ports, source)
    session.remember()
    bring_up(target, offline=offline, only=names, yes=yes, as_json=session.json)


def _roll_back(session: Session, names: tuple[str, ...], revision: int | None) -> None:
    from millpond.cli.views import view_for
    from millpond.model.errors import UsageError

    if len(names) != 1:
        raise UsageError("--rollback brings one component back", hint="millpond up NAME --rollback")
    if not session.on_cluster():
        raise UsageError("--rollback is for a platform on a cluster")
    with view_for(names, as_json=session.json) as view:
        found = asyncio.run(session.cluster_target().rollback(names[0], revision, view))
    note(f"{names[0]} is as in revision {found.number}; the next `millpond up` goes forward again")
