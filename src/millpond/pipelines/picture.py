"""The graph of a pipeline as Mermaid, as SVG, and as plain data: steps as boxes, ports on the arrows."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

from millpond.pipelines.document import Pipeline
from millpond.pipelines.graph import conditions_of, needs, port_of

_BOX = 44
_GAP = 26
_BETWEEN = 84
_LETTER = 7.3


@dataclass(frozen=True)
class Edge:
    """Which step gives what to which; no `ports` for order alone, `condition` for what a ``when`` reads."""

    source: str
    target: str
    ports: tuple[str, ...]
    condition: bool = False


def edges(pipeline: Pipeline) -> list[Edge]:
    """All arrows, in the order of the file."""
    found = []
    for name, step in pipeline.steps.items():
        ports: dict[str, list[str]] = {}
        for source in step.inputs.values():
            if isinstance(source, str) and (port := port_of(source)):
                ports.setdefault(port[0], []).append(port[1])
        asked: dict[str, list[str]] = {}
        for other, port_name in conditions_of(step):
            asked.setdefault(other, []).append(port_name)
        for other in needs(pipeline.steps)[name]:
            given = ports.get(other) or asked.get(other, [])
            found.append(
                Edge(other, name, tuple(dict.fromkeys(given)), other in asked and other not in ports)
            )
    return found


def as_data(pipeline: Pipeline) -> dict[str, Any]:
    """Nodes and edges as plain JSON data."""
    return {
        "name": pipeline.name,
        "nodes": [
            {
                "name": name,
                "kind": step.use,
                "each": sorted(step.each),
                "when": step.when,
                "outputs": {
                    port: {"type": output.type, "sinks": [output.sink, *(fork.sink for fork in output.forks)]}
                    for port, output in step.outputs.items()
                },
            }
            for name, step in pipeline.steps.items()
        ],
        "edges": [
            {"from": e.source, "to": e.target, "ports": list(e.ports), "condition": e.condition}
            for e in edges(pipeline)
        ],
    }


def mermaid(pipeline: Pipeline) -> str:
    """A flow chart as GitHub, GitLab and JupyterLab draw it (https://mermaid.js.org/syntax/flowchart.html)."""
    numbers = {name: f"s{number}" for number, name in enumerate(pipeline.steps)}
    lines = ["flowchart LR"]
    for name, step in pipeline.steps.items():
        shape = ("[[", "]]") if step.each else ("[", "]")
        lines.append(f'  {numbers[name]}{shape[0]}"{name}<br><small>{_note(step)}</small>"{shape[1]}')
    for edge in edges(pipeline):
        arrow = "-.->" if edge.condition or not edge.ports else "-->"
        label = f"|{', '.join(edge.ports)}|" if edge.ports else ""
        lines.append(f"  {numbers[edge.source]} {arrow}{label} {numbers[edge.target]}")
    return "\n".join(lines) + "\n"


def _note(step: Any) -> str:
    words = [step.use]
    if step.each:
        words.append(f"each {', '.join(step.each)}")
    if step.when:
        words.append("conditional")
    return " · ".join(words)


def svg(pipeline: Pipeline) -> str:
    """A drawing: steps in columns by how many stand before them, light or dark as the viewer is."""
    graph = needs(pipeline.steps)
    columns = _columns(graph)
    widths = [max(_width(name, pipeline) for name in column) for column in columns]
    tallest = max(len(column) for column in columns)
    height = tallest * (_BOX + _GAP) + _GAP
    places: dict[str, tuple[float, float, float]] = {}
    left = float(_GAP)
    for column, width in zip(columns, widths, strict=True):
        top = (height - len(column) * (_BOX + _GAP) + _GAP) / 2
        for number, name in enumerate(column):
            places[name] = (left, top + number * (_BOX + _GAP), width)
        left += width + _BETWEEN
    total = left - _BETWEEN + _GAP
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total:.0f} {height:.0f}" width="{total:.0f}"'
        f' height="{height:.0f}" role="img" aria-label="The steps of {escape(pipeline.name)}">',
        "<style>",
        "text{font:13px ui-sans-serif,system-ui,sans-serif;fill:#1f2328}.note{font-size:11px;fill:#59636e}",
        "rect{fill:#f6f8fa;stroke:#8c959f}path{fill:none;stroke:#8c959f}.asked{stroke-dasharray:4 3}",
        "@media(prefers-color-scheme:dark){text{fill:#e6edf3}.note{fill:#9198a1}rect{fill:#161b22}}",
        "</style>",
        '<defs><marker id="end" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8"'
        ' orient="auto"><path d="M0 0L8 4L0 8"/></marker></defs>',
    ]
    lines += [_arrow(edge, places) for edge in edges(pipeline)]
    for name, step in pipeline.steps.items():
        x, y, width = places[name]
        lines.append(f'<rect x="{x:.0f}" y="{y:.0f}" width="{width:.0f}" height="{_BOX}" rx="6"/>')
        lines.append(f'<text x="{x + 10:.0f}" y="{y + 19:.0f}">{escape(name)}</text>')
        lines.append(f'<text class="note" x="{x + 10:.0f}" y="{y + 35:.0f}">{escape(_note(step))}</text>')
    return "\n".join([*lines, "</svg>"]) + "\n"


def _width(name: str, pipeline: Pipeline) -> float:
    return max(len(name), 0.85 * len(_note(pipeline.steps[name]))) * _LETTER + 24


def _arrow(edge: Edge, places: dict[str, tuple[float, float, float]]) -> str:
    x, y, width = places[edge.source]
    to_x, to_y, _ = places[edge.target]
    start, end = x + width, to_x - 2
    from_y, into_y = y + _BOX / 2, to_y + _BOX / 2
    bend = (end - start) / 2
    kind = ' class="asked"' if edge.condition or not edge.ports else ""
    title = f"<title>{escape(', '.join(edge.ports))}</title>" if edge.ports else ""
    curve = f"M{start:.0f} {from_y:.0f}C{start + bend:.0f} {from_y:.0f} {end - bend:.0f} {into_y:.0f}"
    return f'<path{kind} d="{curve} {end:.0f} {into_y:.0f}" marker-end="url(#end)">{title}</path>'


def _columns(graph: dict[str, list[str]]) -> list[list[str]]:
    """Steps by the longest way to them; in a column near to what they need, so that few arrows cross."""
    ranks: dict[str, int] = {}

    def rank(name: str) -> int:
        if name not in ranks:
            ranks[name] = 1 + max((rank(other) for other in graph[name]), default=-1)
        return ranks[name]

    columns: list[list[str]] = [[] for _ in range(1 + max(rank(name) for name in graph))]
    for name in graph:
        columns[ranks[name]].append(name)
    rows: dict[str, float] = {}
    for column in columns:
        column.sort(key=lambda name: _mean([rows[other] for other in graph[name]]))
        rows |= {name: number - len(column) / 2 for number, name in enumerate(column)}
    return columns


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0
