"""KServe's ``InferenceGraph`` (v1alpha1): several deployments behind one address, as the router runs them.

Field names and nesting are those of KServe's CRD, and the rules of its admission webhook are checked with
the place of what breaks them. Beyond them, what KServe takes and then cannot answer is refused: the name of a
node that is not there, nodes that lead in a circle, a node without steps, a condition that no JSON fulfils.
Accepted without an effect on the local target, where one process runs all graphs: ``resources``,
``minReplicas``, ``maxReplicas``, ``scaleTarget``, ``scaleMetric``, ``routerTimeouts.serverIdle``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from millpond.model import document as documents
from millpond.model.errors import DocumentErrors, MillpondError, did_you_mean
from millpond.serving.inferenceservice import Metadata, Resources
from millpond.serving.part import Part, refusing
from millpond.serving.router import gjson

API_VERSION = "serving.kserve.io/v1alpha1"
ROOT = "root"
PROPAGATE_ANNOTATION = "serving.millpond.dev/propagate-headers"

_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?\Z")
_TARGETS = ("nodeName", "serviceName", "serviceUrl")
# What stands beside `nodes` in KServe's CRD and places the router's pod.
_LATER = ("affinity", "nodeName", "nodeSelector", "serviceAccountName", "tolerations")
_SECONDS = Annotated[int, Field(gt=0)]

Path = tuple[str | int, ...]


class Step(Part):
    """One call of a deployment, an address, or another node."""

    name: str = ""
    nodeName: str = ""  # noqa: N815
    serviceName: str = ""  # noqa: N815
    serviceUrl: str = ""  # noqa: N815
    data: str = ""
    mapPredictionsToInstances: bool = False  # noqa: N815
    weight: Annotated[int, Field(ge=0, le=100)] | None = None
    condition: str = ""
    dependency: Literal["Soft", "Hard"] | None = None

    @field_validator("data")
    @classmethod
    def _whole(cls, data: str) -> str:
        if data not in ("", "$request", "$response"):
            raise ValueError(
                f"{data!r} is not supported, $request and $response are; KServe's router takes any other "
                "word for $request"
            )
        return data

    @field_validator("condition")
    @classmethod
    def _understood(cls, condition: str) -> str:
        if condition:
            gjson.check(condition)
        return condition

    @field_validator("serviceUrl")
    @classmethod
    def _web(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            fine = not url or (parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0)
        except ValueError:
            fine = False
        if not fine or re.search(r"[\s{}]", url):
            raise ValueError(f"{url!r} is not an http:// or https:// address")
        return url


class Node(Part):
    """A router: what it does with its steps."""

    routerType: Literal["Sequence", "Splitter", "Ensemble", "Switch"]  # noqa: N815
    steps: tuple[Step, ...] = Field(default=(), strict=False)


class RouterTimeouts(Part):
    """Seconds: to read a request, until it is answered, between requests, for one call of a step."""

    serverRead: _SECONDS | None = None  # noqa: N815
    serverWrite: _SECONDS | None = None  # noqa: N815
    serverIdle: _SECONDS | None = None  # noqa: N815
    serviceClient: _SECONDS | None = None  # noqa: N815


class GraphSpec(Part):
    """What is wanted: the nodes, of which ``root`` is asked first."""

    nodes: Annotated[dict[str, Node], Field(max_length=200)]
    resources: Resources = Field(default_factory=Resources)
    timeout: _SECONDS | None = None
    routerTimeouts: RouterTimeouts = Field(default_factory=RouterTimeouts)  # noqa: N815
    minReplicas: Annotated[int, Field(ge=0)] | None = None  # noqa: N815
    maxReplicas: Annotated[int, Field(ge=0)] | None = None  # noqa: N815
    scaleTarget: Annotated[int, Field(ge=0)] | None = None  # noqa: N815
    scaleMetric: Literal["cpu", "memory", "concurrency", "rps"] | None = None  # noqa: N815

    _later = refusing(_LATER, "is not supported, a graph has no pod of its own")


class InferenceGraph(Part):
    """A graph as a file or an API body."""

    apiVersion: Literal["serving.kserve.io/v1alpha1"] = "serving.kserve.io/v1alpha1"  # noqa: N815
    kind: Literal["InferenceGraph"] = "InferenceGraph"
    metadata: Metadata
    spec: GraphSpec
    status: dict[str, Any] | None = Field(default=None, exclude=True)

    def document(self) -> dict[str, Any]:
        """The graph as it was written: defaults and what the server sets left out."""
        found = self.model_dump(mode="json", exclude_defaults=True)
        metadata = found["metadata"]
        for key in ("uid", "generation", "resourceVersion", "creationTimestamp"):
            metadata.pop(key, None)
        metadata.setdefault("namespace", self.metadata.namespace)
        return {"apiVersion": self.apiVersion, "kind": self.kind, "metadata": metadata, "spec": found["spec"]}

    def services(self) -> list[str]:
        """The deployments that the graph calls, each once, in the order of the document."""
        steps = (step for node in self.spec.nodes.values() for step in node.steps)
        return list(dict.fromkeys(step.serviceName for step in steps if step.serviceName))


def read(text: str, source: str) -> InferenceGraph:
    """The graph in a YAML or JSON text.

    Raises:
        DocumentError: one mistake, with file, line and column; DocumentErrors: several.
    """
    document = documents.read(text, source)
    graph = documents.parse(InferenceGraph, document)
    mistakes = [document.error(path, message, hint=hint) for path, message, hint in _mistakes(graph)]
    if mistakes:
        mistakes.sort(key=lambda mistake: mistake.place)
        raise mistakes[0] if len(mistakes) == 1 else DocumentErrors(mistakes)
    return graph


def from_document(data: Any) -> InferenceGraph:
    """The graph in plain data, as `InferenceGraph.document` gives it.

    Raises:
        MillpondError: with the first mistake; its place is a path of keys.
    """
    try:
        graph = InferenceGraph.model_validate(data)
    except ValueError as error:
        raise MillpondError(f"not an InferenceGraph: {' '.join(str(error).split())}") from None
    for path, message, hint in _mistakes(graph):
        raise MillpondError(f"{'.'.join(map(str, path))}: {message}", hint=hint)
    return graph


def _mistakes(graph: InferenceGraph) -> Iterator[tuple[Path, str, str | None]]:
    """What the fields by themselves do not show: where it is, what it is, and what to do."""
    name, nodes = graph.metadata.name, graph.spec.nodes
    if not _NAME.match(name):
        yield ("metadata", "name"), f"{name} is not a graph's name", "it begins with a lower-case letter"
    if ROOT not in nodes:
        yield ("spec", "nodes"), "there is no node root", did_you_mean(ROOT, nodes) or "requests begin there"
    for key, node in nodes.items():
        yield from _node_mistakes(("spec", "nodes", key), key, node, nodes)
    yield from _circles(nodes)


def _node_mistakes(
    at: Path, key: str, node: Node, nodes: dict[str, Node]
) -> Iterator[tuple[Path, str, str | None]]:
    if not node.steps:
        yield at, f"the node {key} has no steps", None
    seen: set[str] = set()
    for index, step in enumerate(node.steps):
        here = (*at, "steps", index)
        if step.name and step.name in seen:
            yield (*here, "name"), f"the node {key} has two steps with the name {step.name}", None
        seen.add(step.name)
        targets = [word for word in _TARGETS if getattr(step, word)]
        if len(targets) != 1:
            said = " and ".join(targets) or "none of them"
            yield here, f"a step has one of {', '.join(_TARGETS)}; this one has {said}", None
        if step.nodeName and step.nodeName not in nodes:
            hint = did_you_mean(step.nodeName, nodes)
            yield (*here, "nodeName"), f"there is no node {step.nodeName}", hint
        if node.routerType == "Splitter" and step.weight is None:
            yield here, "a step of a Splitter has a weight", None
        if node.routerType == "Switch" and not step.condition:
            hint = "for the step that takes the rest write condition: '@this'"
            yield here, "a step of a Switch without a condition is never taken", hint
        if node.routerType == "Sequence" and index == 0 and step.condition:
            hint = "a condition looks at the answer of the step before; a Switch looks at the request"
            yield (*here, "condition"), "the first step of a Sequence has no answer to look at", hint
    weights = [step.weight for step in node.steps]
    total = sum(weight for weight in weights if weight is not None)
    if node.routerType == "Splitter" and node.steps and None not in weights and total != 100:
        yield (*at, "steps"), f"the weights of the Splitter {key} add up to {total}, not to 100", None


def _circles(nodes: dict[str, Node]) -> Iterator[tuple[Path, str, str | None]]:
    """Each step that leads back to a node on its own way there; the way is told once."""
    done: set[str] = set()

    def walk(key: str, way: list[str]) -> Iterator[tuple[Path, str, str | None]]:
        for index, step in enumerate(nodes[key].steps):
            to = step.nodeName
            if to in way:
                circle = " -> ".join([*way[way.index(to) :], to])
                at = ("spec", "nodes", key, "steps", index, "nodeName")
                yield at, f"the nodes lead in a circle: {circle}", None
            elif to in nodes and to not in done:
                yield from walk(to, [*way, to])
        done.add(key)

    for key in nodes:
        if key not in done:
            yield from walk(key, [key])
