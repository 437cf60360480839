"""``millpond graph``: several deployments behind one address."""

from __future__ import annotations

import json

import click

from millpond.cli.session import Session, json_option, long_file_option, pass_session
from millpond.cli.style import hint, note, out


@click.group("graph")
def command() -> None:
    """Inference graphs: several deployments behind one address, as KServe's InferenceGraph says it."""


@command.command("apply")
@click.option(
    "-f", "--filename", "document", metavar="FILE", required=True, help="The file; - reads standard input"
)
@click.option("--dry-run", is_flag=True, help="Check it and print what would be applied, change nothing")
@long_file_option
@json_option
@pass_session
def apply(session: Session, document: str, dry_run: bool) -> None:
    """Create or replace the graphs of a file, and the deployments that stand beside them in it."""
    from millpond.cli.deploying import apply_file
    from millpond.cli.manner import Manner
    from millpond.cli.serving import Serving

    apply_file(Serving(session), document, Manner(300.0, dry_run))


@command.command("list")
@long_file_option
@json_option
@pass_session
def list_(session: Session) -> None:
    """List the graphs."""
    from millpond.cli import deployment_views as views
    from millpond.cli.serving import Serving

    every = list(Serving(session).client.graphs(None))
    if session.json:
        out(json.dumps(every))
    elif every:
        views.graphs(every)
    else:
        note("there is no graph here")
        hint("`millpond graph apply -f FILE` makes one")


@command.command("delete")
@click.argument("name")
@long_file_option
@pass_session
def delete(session: Session, name: str) -> None:
    """Forget the graph NAME; its deployments stay."""
    from millpond.cli.serving import Serving
    from millpond.model.errors import MillpondError, did_you_mean

    client = Serving(session).client
    every = {item["metadata"]["name"]: item["metadata"]["namespace"] for item in client.graphs(None)}
    if name not in every:
        raise MillpondError(f"there is no graph {name}", hint=did_you_mean(name, every))
    client.delete_graph(name, every[name])
    note(f"graph {name} is gone")
