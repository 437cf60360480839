"""What commits say: who or what made them, of which commits; and which commit a file came with."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import islice

from millpond.lake.lineage.graph import Graph
from millpond.lake.lineage.runs import reference_node, step_id
from millpond.lake.reference import LakePath
from millpond.lake.repository.commit import Commit
from millpond.lake.repository.history import walk
from millpond.lake.repository.repository import Repository
from millpond.model.errors import MillpondError

_MOST = 2000


def commit_id(repository: str, commit: str) -> str:
    """The name of a commit."""
    return f"{repository}@{commit}"


def add_commits(graph: Graph, names: Iterable[str], find: Callable[[str], Repository]) -> None:
    """Add what made the commits of some repositories, and lead files that steps read to their commits.

    Args:
        find: opens a repository by its name.
    """
    opened = {name: find(name) for name in names}
    for name, repository in opened.items():
        met: set[str] = set()
        for ref in repository.refs.all():
            for commit in islice(walk(repository.commit_at, repository.commit_at(ref.commit)), _MOST):
                if commit.id not in met:
                    met.add(commit.id)
                    _add_commit(graph, name, commit)
    done: set[str] = set()
    while fresh := [node for node in graph.nodes.values() if node.kind == "data" and node.id not in done]:
        for node in fresh:
            done.add(node.id)
            path = _versioned(str(node.facts.get("uri", "")))
            if path is not None and path.repository in opened:
                with suppress(MillpondError):
                    _lead(graph, node.id, opened[path.repository], path)


def _versioned(uri: str) -> LakePath | None:
    if not uri.startswith("lake://"):
        return None
    path = LakePath.parse(uri)
    return path if path.versioned else None


def _add_commit(graph: Graph, repository: str, commit: Commit) -> str:
    name = commit_id(repository, commit.id)
    when = commit.as_dict()["time"]
    graph.add(name, "commit", author=commit.author, message=commit.message, time=when)
    made_by = commit.provenance
    if run := made_by.get("run"):
        maker = step_id(str(run), str(made_by.get("step", "")))
        if maker not in graph.nodes:
            keys = ("run", "step", "pipeline", "code", "parameters", "environment")
            graph.add(maker, "step", time=when, **{key: made_by.get(key) for key in keys})
        graph.made(name, maker)
        for reference in made_by.get("inputs", {}).values():
            if cause := reference_node(graph, reference):
                graph.made(maker, cause)
    return name


def _lead(graph: Graph, data: str, repository: Repository, path: LakePath) -> None:
    """A file comes from the commit that last changed it, which may be long before the one it was read at."""
    for commit in repository.log(path.ref, path.key):
        cause = _add_commit(graph, repository.name, commit)
        # A step that wrote the file through the lake's sink made the commit, too.
        for maker in list(graph.causes.get(data, [])):
            graph.made(cause, maker)
            graph.causes[data].remove(maker)
            graph.effects[maker].remove(data)
        graph.made(data, cause)
        return
