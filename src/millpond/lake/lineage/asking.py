"""From what a user writes to the things that are meant."""

from __future__ import annotations

from millpond.lake.lineage.graph import Graph
from millpond.lake.reference import LakePath
from millpond.model.errors import MillpondError, did_you_mean


def meant(graph: Graph, word: str) -> list[str]:
    """The things that a word means: a run or a step of one, a model, a revision or deployment, a file, a
    commit; an id may be cut short where it stays one.

    Raises:
        MillpondError: nothing is called that.
    """
    if word in graph.nodes:
        return [word]
    for names in (_of_a_run(graph, word), _of_a_deployment(graph, word), _of_data(graph, word)):
        if names:
            return names
    starts = [name for name in graph.nodes if name.startswith(word)]
    if starts:
        return starts
    raise MillpondError(
        f"nothing is known of {word}",
        hint=_close(word, graph)
        or "it is a run, RUN/STEP, models:/NAME/VERSION, a path, REPO@COMMIT, "
        "a deployment, or the id of a prediction that was logged",
    )


def _of_a_run(graph: Graph, word: str) -> list[str]:
    steps = [node for node in graph.nodes.values() if node.kind == "step"]
    runs = {str(node.facts.get("run")) for node in steps}
    short = {run for run in runs if run == word or run.endswith(f"-{word}")}
    if len(short) != 1:
        return []
    (run,) = short
    return [node.id for node in steps if node.id.startswith(f"{run}/")]


def _of_a_deployment(graph: Graph, word: str) -> list[str]:
    every = [node for node in graph.nodes.values() if node.kind == "deployment"]
    by_name = [
        node.id for node in every if word in (node.facts.get("deployment"), node.id.rpartition("/")[2])
    ]
    return sorted(by_name)[-1:]


def _of_data(graph: Graph, word: str) -> list[str]:
    try:
        uri = LakePath.parse(word).uri
    except MillpondError:
        return []
    return [node.id for node in graph.nodes.values() if node.facts.get("uri") == uri]


def _close(word: str, graph: Graph) -> str | None:
    found = did_you_mean(word, [name.partition("#")[0] for name in graph.nodes])
    return found if found and found.startswith("did") else None
