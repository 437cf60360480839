"""``millpond forward``: a cluster's components on ports of this machine."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from millpond.cli import completion
from millpond.cli.session import Session, file_option, json_option, pass_session, target_options
from millpond.cli.style import columns, hint, note, out, strong

if TYPE_CHECKING:
    from collections.abc import Sequence

    from millpond.targets.kubernetes.forwarding import Forward


@click.command("forward")
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=completion.components)
@click.option("--background", is_flag=True, help="Go on after this command; `--stop` ends it")
@click.option("--stop", is_flag=True, help="End what `--background` began")
@file_option
@json_option
@target_options
@pass_session
def command(session: Session, names: tuple[str, ...], background: bool, stop: bool) -> None:
    """Forward ports of components on a cluster to this machine, on loopback.

    Without NAMEs those that a browser and `millpond env` need. Runs until Ctrl-C.
    """
    from millpond.targets.kubernetes.forwarding import Forwarding

    target = session.cluster_target()
    if stop:
        note("stopped forwarding" if target.background.stop() else "nothing was forwarded")
        return
    forwards = target.forwards(names)
    if background:
        target.background.start(target.kubectl(), forwards)
        _show(session, forwards)
        if not session.json:
            hint("`millpond env` finds them; `millpond forward --stop` ends them")
        return
    with Forwarding(target.kubectl(), forwards) as forwarding:
        _show(session, forwards)
        if not session.json:
            note("Ctrl-C ends it")
        try:
            forwarding.wait()
        except KeyboardInterrupt:
            note()


def _show(session: Session, forwards: Sequence[Forward]) -> None:
    if session.json:
        out(json.dumps([{"component": f.node, "port": f.port, "address": f.address} for f in forwards]))
        return
    rows = [(each.node, each.port, each.address) for each in forwards]
    for line in columns(rows, paints={0: strong}):
        out(line)
