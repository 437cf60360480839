"""The graph of a pipeline: who needs whom, an order to run in, and the cycles that there must not be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from millpond.model.expression import ExpressionError, parse
from millpond.pipelines.document import Step

ROOTS = ("parameters", "run", "each", "inputs", "outputs")
"""First words of expressions that are no step's name."""


def port_of(text: str) -> tuple[str, str] | None:
    """The step and port that ``${step.port}`` names, or None when the text is anything else."""
    try:
        references = parse(text).references
    except ExpressionError:
        return None
    if len(references) != 1 or str(references[0]) != text.strip() or len(references[0].path) != 2:
        return None
    step, port = references[0].path
    return None if step in ROOTS else (step, port)


def conditions_of(step: Step) -> list[tuple[str, str]]:
    """The steps and ports that the condition of a step looks at."""
    try:
        references = parse(step.when or "").references
    except ExpressionError:
        return []
    found = {ref.path[:2]: None for ref in references if len(ref.path) > 1 and ref.path[0] not in ROOTS}
    return [(name, port) for name, port in found]


def needs(steps: Mapping[str, Step]) -> dict[str, list[str]]:
    """Step -> the steps that must be over before it, each once, in the order of the file."""
    found: dict[str, list[str]] = {}
    for name, step in steps.items():
        wanted: dict[str, None] = dict.fromkeys(step.after)
        for source in step.inputs.values():
            if isinstance(source, str) and (port := port_of(source)):
                wanted[port[0]] = None
        wanted |= dict.fromkeys(other for other, _ in conditions_of(step))
        found[name] = list(wanted)
    return found


def order(graph: Mapping[str, Iterable[str]]) -> list[str]:
    """The steps, each after all that it needs; the order of the file otherwise."""
    done: dict[str, None] = {}

    def visit(name: str) -> None:
        if name not in done:
            for other in graph[name]:
                visit(other)
            done[name] = None

    for name in graph:
        visit(name)
    return list(done)


def cycle(graph: Mapping[str, Iterable[str]]) -> list[str] | None:
    """Steps that need each other in a ring, the first again at the end, or None."""
    safe: set[str] = set()

    def visit(name: str, path: list[str]) -> list[str] | None:
        if name in path:
            return [*path[path.index(name) :], name]
        if name in safe:
            return None
        for other in graph.get(name, ()):
            if found := visit(other, [*path, name]):
                return found
        safe.add(name)
        return None

    for name in graph:
        if found := visit(name, []):
            return found
    return None


def with_needs(graph: Mapping[str, Iterable[str]], wanted: Iterable[str]) -> set[str]:
    """The wanted steps and all that they need, directly or not."""
    found: set[str] = set()
    todo = list(wanted)
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += graph[name]
    return found
