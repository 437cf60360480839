"""From a component's chart recipe to a release: values, objects and composed Secrets, all templates filled.

Nothing secret becomes text here: values and objects name the Secret that has it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from millpond.catalogue.loader import Entry
from millpond.model import expression
from millpond.model.component import Chart
from millpond.model.errors import MillpondError
from millpond.model.expression import ExpressionError
from millpond.model.platform import Node
from millpond.model.scope import Scope
from millpond.model.value import Filtered, Part, Secret, Value
from millpond.targets.kubernetes.bundle import Object, Release
from millpond.targets.kubernetes.charts.values import (
    filled,
    lacks,
    merged,
    of_user,
    wholes,
    without,
)
from millpond.targets.kubernetes.render import names
from millpond.targets.kubernetes.render.realise import Realiser

_OF_ASKER = ("asker", "request", "grant")
"""What only has a meaning for one asker; a file or Secret that speaks of it is made once for each."""


def release(node: Node, entry: Entry, realiser: Realiser) -> Release:
    """The release of a node; the Secrets that it speaks of are registered with the realiser.

    Args:
        node: a node whose recipe is its chart.
        entry: its component with its folder, where the objects' templates are.
        realiser: the platform's.

    Raises:
        MillpondError: a template is wrong, or the user's values cannot be read or hold no mapping.
    """
    chart = node.component.chart
    assert chart is not None
    _compose(node, chart, realiser)
    scope = realiser.scope(node.name)
    whole = wholes(realiser.platform, node)
    own = filled(chart.values, whole, _text(realiser, scope), without(node))
    if node.resources.gpu:
        own = merged(own, filled(_of_gpu(node, chart), whole, _text(realiser, scope), without(node)))
    values = merged(own, of_user(node))
    where = realiser.chart_namespace(node.name)
    found = tuple(_objects(node, entry, chart, realiser, where))
    recipe = _located(chart, entry.folder)
    return Release(names.dns(node.name), where, recipe, values, found, realiser.platform.name)


def _of_gpu(node: Node, chart: Chart) -> Mapping[str, Any]:
    """The values by which a chart gives its pods GPUs.

    Raises:
        MillpondError: the catalogue knows none.
    """
    if chart.gpu:
        return chart.gpu
    raise MillpondError(
        f"{node.name} takes no gpu: how its chart {chart.name} would give it to a pod is not known",
        hint=f"leave gpu out of its resources, and write what the chart wants under {node.name}.values",
    )


def _located(chart: Chart, folder: Path) -> Chart:
    """The chart with a repository that is a path taken from the component's folder."""
    if "://" in chart.repository:
        return chart
    path = (folder / Path(chart.repository).expanduser()).resolve()
    return chart.model_copy(update={"repository": str(path)})


def _text(realiser: Realiser, scope: Scope) -> Callable[[str], str]:
    return lambda template: realiser.text(scope.value(template))


def _scopes(node: Node, realiser: Realiser, texts: Iterator[str] | list[str]) -> list[Scope]:
    """The scopes in which texts are filled: the node's own, or one for each asker where they speak of it."""
    roots = {reference.path[0] for text in texts for reference in expression.parse(text).references}
    own = realiser.scope(node.name)
    if roots.isdisjoint(_OF_ASKER):
        return [own]
    return [
        own.provided(asker, binding)
        for asker, binding in realiser.platform.askers(node.name)
        # The user's own code speaks to what the components have; it is given nothing of its own.
        if asker in realiser.platform.nodes
    ]


def _compose(node: Node, chart: Chart, realiser: Realiser) -> None:
    """Register the Secrets that are composed for the chart, which the engine then makes."""
    for name, texts in chart.secrets.items():
        for scope in _scopes(node, realiser, [name, *texts.values()]):
            kept = realiser.secrets.setdefault(names.resource(realiser.text(scope.value(name))), {})
            for key, text in texts.items():
                if lacks(text, without(node)):
                    continue
                kept[key] = _composed(realiser, realiser.expand(scope.value(text)))


def _composed(realiser: Realiser, value: Value) -> Value:
    """The value as the engine composes it: text, and secrets that are kept elsewhere in the namespace."""
    parts: list[Part] = []
    for part in value.parts:
        alone = Value((part,))
        if isinstance(part, str) or realiser.reference(alone) is None:
            parts.append(realiser.text(alone))
        else:
            # A copy, also where it is the whole text: what is made anew is the one that is kept alone. Made
            # secrets are letters and digits, which quoting leaves as they are.
            parts.append(Filtered("urlquote", alone) if isinstance(part, Secret) else part)
    return Value(tuple(parts))


def _objects(node: Node, entry: Entry, chart: Chart, realiser: Realiser, namespace: str) -> Iterator[Object]:
    labels = names.labels(realiser.platform, node)
    whole = wholes(realiser.platform, node)
    for name in chart.objects:
        path = entry.resource(name)
        try:
            found = [data for data in yaml.safe_load_all(path.read_text()) if data]
            scopes = _scopes(node, realiser, list(_texts(found)))
        except (yaml.YAMLError, ExpressionError) as error:
            raise MillpondError(
                f"{node.component.name}: {name} is no template of objects: {error}"
            ) from error
        for scope in scopes:
            for data in found:
                yield _placed(filled(data, whole, _text(realiser, scope), without(node)), labels, namespace)


def _texts(data: Any) -> Iterator[str]:
    if isinstance(data, str):
        yield data
    elif isinstance(data, dict | list):
        for item in data.values() if isinstance(data, dict) else data:
            yield from _texts(item)


def _placed(obj: Object, labels: dict[str, str], namespace: str) -> Object:
    """The object with the labels of everything, in the release's namespace unless it says another.

    An empty namespace is that of kinds that belong to the whole cluster.
    """
    metadata = dict(obj["metadata"])
    metadata["name"] = re.sub(r"[^a-z0-9.-]", "-", str(metadata["name"]).lower()).strip("-.")
    if not metadata.setdefault("namespace", namespace):
        del metadata["namespace"]
    metadata["labels"] = {**(metadata.get("labels") or {}), **labels}
    return {"apiVersion": obj["apiVersion"], "kind": obj["kind"], "metadata": metadata} | {
        key: value for key, value in obj.items() if key not in ("apiVersion", "kind", "metadata")
    }
