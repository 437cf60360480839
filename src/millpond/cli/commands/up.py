"""``millpond up``: brings the platform up, live."""

from __future__ import annotations

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
@click.option(
    "--rollback", is_flag=True, help="On a cluster: bring the NAMEs back to an earlier revision instead"
)
@click.option(
    "--to",
    "revision",
    type=click.IntRange(min=1),
    metavar="REVISION",
    help="Which one; the previous when left out",
)
@click.option("-y", "--yes", is_flag=True, help="Go on without asking where the machine is too small")
@file_option
@target_options
@json_option
@pass_session
def command(
    session: Session,
    names: tuple[str, ...],
    offline: bool,
    new_ports: tuple[str, ...],
    rollback: bool,
    revision: int | None,
    yes: bool,
) -> None:
    """Bring the platform to the state that its flavour names.

    With NAMEs only these components, and what they wait for. Interrupted or failed, what is up stays up;
    run it again to go on.
    """
    from millpond.cli.bringing_up import bring_up
    from millpond.cli.giving import give, waiting
    from millpond.cli.granting import grant

    if rollback or revision is not None:
        _roll_back(session, names, revision)
        return
    source = session.source()
    for line in source.notes:
        note(line)
    target = session.target(new_ports, source)
    session.remember()
    waiting(source)  # what is not there is told before anything starts
    bring_up(target, offline=offline, only=names, yes=yes, as_json=session.json)
    grant(source, target, offline=offline, only=names, as_json=session.json)
    give(source, target, offline=offline, only=names, as_json=session.json)


def _roll_back(session: Session, names: tuple[str, ...], revision: int | None) -> None:
    import asyncio

    from millpond.cli.busy import busy
    from millpond.model.errors import UsageError

    if not names:
        raise UsageError("--rollback needs the name of a component", hint="`millpond up NAME --rollback`")
    target = session.cluster_target()
    for name in names:
        with busy(f"bringing {name} back"):
            asyncio.run(target.rollback(name, revision))
        note(
            f"{name} is back at revision {revision}"
            if revision
            else f"{name} is back at its previous revision"
        )
    note("`millpond up` brings it to what the flavour says again")
