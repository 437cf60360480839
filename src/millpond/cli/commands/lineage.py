"""``millpond lineage``: where something comes from, and what came of it."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import click

from millpond.cli.session import Session, json_option, long_file_option, pass_session
from millpond.cli.style import faint, note, out, strong

if TYPE_CHECKING:
    from millpond.lake.lineage.graph import Graph, Node
    from millpond.lake.repository.repository import Repository

_KINDS = ("commit", "author", "message", "pipeline", "time", "size", "rows", "mlflow_run", "url", "user")


@click.command("lineage")
@click.argument("thing", metavar="THING")
@click.option("--forward", is_flag=True, help="What came of it, in place of where it comes from")
@click.option(
    "--openlineage", is_flag=True, help="Print the steps on the way as OpenLineage events, a line each"
)
@long_file_option
@json_option
@pass_session
def command(session: Session, thing: str, forward: bool, openlineage: bool) -> None:
    """Show where THING comes from: back to code, commits and bytes.

    THING is a prediction's id, a deployment, models:/NAME/VERSION, a run or RUN/STEP, a path in the lake or
    in a repository (lake://flights@main/raw/x.csv), or REPO@COMMIT.
    """
    from millpond.cli.inside import go_inside

    go_inside(session, "lake")
    from millpond.lake.lineage.openlineage import events

    graph, starts = _asked(session, thing)
    direction = "effects" if forward else "causes"
    found = graph.reached(starts, direction)  # type: ignore[arg-type] # one of the two
    if openlineage:
        for event in events(graph, found):
            out(json.dumps(event, default=str))
        return
    if session.json:
        names = {node.id for node in found}
        edges = [
            {"made": effect, "of": cause}
            for effect in sorted(names)
            for cause in graph.causes.get(effect, [])
            if cause in names
        ]
        out(json.dumps({"nodes": [node.as_dict() for node in found], "edges": edges}, default=str))
        return
    for node, depth, again in graph.walk(starts, direction):  # type: ignore[arg-type]
        line = f"{'  ' * depth}{node.kind} {strong(_short(node))}"
        out(line + (faint("  (above)") if again else faint(_facts(node))))
    if len(found) == len(starts):
        note(
            "nothing is known to come of it"
            if forward
            else "it is where everything begins, as far as is known"
        )


def _asked(session: Session, thing: str) -> tuple[Graph, list[str]]:
    from millpond.lake.lineage.asking import meant
    from millpond.lake.lineage.commits import add_commits, commit_id
    from millpond.lake.lineage.graph import Graph
    from millpond.lake.lineage.predictions import BUCKET, add_prediction
    from millpond.lake.lineage.revisions import add_revisions
    from millpond.lake.lineage.runs import add_runs
    from millpond.lake.repository import places
    from millpond.lake.store import open_store
    from millpond.model.errors import MillpondError

    graph = Graph()
    try:
        runs = session.workspace().runs
    except MillpondError:
        # Without a flavour file the records may be here all the same.
        runs = session.folder / ".millpond" / "runs"
    add_runs(graph, runs)
    add_revisions(graph, _deployments())
    opened = _opened(places.repositories())
    add_commits(graph, opened, opened.__getitem__)
    name, _, ref = thing.removeprefix("lake://").partition("@")
    if name in opened and ref:
        ref, _, path = ref.partition("/")
        commit = opened[name].at(ref)
        if not path:
            return graph, [commit_id(name, commit.id)]
        changed = next(opened[name].log(commit, path), None)
        if changed is not None:
            return graph, [commit_id(name, changed.id)]
    try:
        return graph, meant(graph, thing)
    except MillpondError:
        bucket = os.environ.get("MILLPOND_LOG_BUCKET", BUCKET)
        try:
            found = add_prediction(graph, open_store(), thing.removeprefix("prediction/"), bucket)
        except MillpondError:
            found = None
        if found is None:
            raise
        return graph, [found]


def _opened(names: list[str]) -> dict[str, Repository]:
    """The repositories that can be read; what is encrypted for others is told and left out."""
    from millpond.lake.repository import places
    from millpond.lake.repository.keys import LockedError

    found = {}
    for name in names:
        try:
            found[name] = places.find(name)
        except LockedError as error:
            note(f"left out: {error.message}")
    return found


def _deployments() -> list[dict[str, Any]]:
    """What serves here; nothing where there is no model serving, or where it does not answer."""
    from millpond.model.errors import MillpondError
    from millpond.serving.client import ServingClient

    try:
        return ServingClient.from_env().list(None)
    except MillpondError:
        return []


def _short(node: Node) -> str:
    if node.kind == "commit":
        repository, _, commit = node.id.partition("@")
        return f"{repository}@{commit[:12]}"
    if node.id.startswith("lake://"):
        repository, _, rest = node.id.partition("@")
        commit, _, path = rest.partition("/")
        return f"{repository}@{commit[:12]}/{path}"
    return node.id


def _facts(node: Node) -> str:
    shown = [f"{key} {node.facts[key]}" for key in _KINDS if key in node.facts]
    code = node.facts.get("code") or {}
    if code.get("commit"):
        shown.append(f"code {code['commit'][:12]}" + (" with changes" if code.get("dirty") else ""))
    if parameters := node.facts.get("parameters"):
        shown.append(", ".join(f"{name}={value}" for name, value in parameters.items()))
    return f"  {'; '.join(shown)}" if shown else ""
