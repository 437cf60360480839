"""``millpond undeploy``: a deployment ends."""

from __future__ import annotations

from typing import Any

import click

from millpond.cli import completion
from millpond.cli.asking import agreed
from millpond.cli.busy import busy
from millpond.cli.session import Session, file_option, pass_session
from millpond.cli.style import note, plural, warn


@click.command("undeploy")
@click.argument("names", nargs=-1, required=True, metavar="NAME...", shell_complete=completion.deployments)
@click.option("-y", "--yes", is_flag=True, help="Do not ask")
@file_option
@pass_session
def command(session: Session, names: tuple[str, ...], yes: bool) -> None:
    """Stop deployments and forget them, after a question; requests that have begun are finished.

    The models stay in the registry, the logged predictions in the lake, and deployments/NAME.yaml stays.
    """
    from millpond.cli.serving import Serving

    serving = Serving(session)
    every = [serving.find(name) for name in dict.fromkeys(names)]
    for graph in serving.client.graphs(None):
        called = [name for name in _called(graph) if name in names]
        if called:
            warn(f"the graph {graph['metadata']['name']} calls {', '.join(called)}")
    if not yes:
        said = ", ".join(found["metadata"]["name"] for found in every)
        if not agreed(
            f"Stop {plural(len(every), 'deployment')}, {said}?",
            unheard="undeploy asks before it stops what serves, and nobody is there to answer",
            hint=f"`millpond undeploy {' '.join(names)} --yes` does not ask",
        ):
            note("nothing was stopped")
            return
    for found in every:
        name = found["metadata"]["name"]
        with busy(f"stopping {name}"):
            serving.client.delete(name, found["metadata"]["namespace"])
        kept = serving.files.path(name)
        note(f"{name} is gone" + (f"; deployments/{kept.name} would bring it back" if kept.is_file() else ""))


def _called(graph: dict[str, Any]) -> list[str]:
    """The deployments that a graph calls, each once."""
    steps = (step for node in graph["spec"]["nodes"].values() for step in node["steps"])
    return list(dict.fromkeys(step["serviceName"] for step in steps if step.get("serviceName")))
