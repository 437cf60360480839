"""A chart's values: the recipe's with every template filled, the user's own merged over them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Set
from pathlib import Path
from typing import Any

from millpond.model import document, expression
from millpond.model.errors import MillpondError
from millpond.model.platform import Node, Platform

_NUMBER = re.compile(r"\$\{[^{}|]+\|(number|majority)\}")
LEFT_OUT = object()
"""What stands for a template whose key is not written at all."""


def wholes(platform: Platform, node: Node) -> dict[str, Any]:
    """What a template becomes that is a whole text: no text, but a number, a list or a mapping.

    Options keep their types. A storage class that the flavour does not name is left out: an empty one would
    mean a volume that nobody makes.
    """
    gpu = platform.cluster.gpu
    count = node.resources.gpu
    tolerations = [
        {"key": key, "operator": "Equal", "value": value, "effect": "NoSchedule"}
        for key, value in gpu.toleration.items()
    ]
    return {
        **{f"${{options.{name}}}": value for name, value in node.options.items()},
        "${platform.storage_class}": platform.cluster.storage_class or LEFT_OUT,
        "${gpu.count}": count,
        "${gpu.limits}": {gpu.resource: str(count)},
        "${gpu.node_selector}": dict(gpu.node_selector),
        "${gpu.tolerations}": tolerations,
    }


def without(node: Node) -> frozenset[str]:
    """The node's optional requirements that the platform has no provider for."""
    return frozenset(node.component.requires) - frozenset(node.bindings)


def filled(
    data: Any, whole: Mapping[str, Any], text: Callable[[str], str], missing: Set[str] = frozenset()
) -> Any:
    """Plain data with its templates filled; one that is a number by its filter becomes a number.

    Args:
        data: mappings, lists and plain values; texts are templates.
        whole: what texts become that are one template alone; what is `LEFT_OUT` has no key.
        text: fills a template.
        missing: requirements that nobody provides. A text that speaks of one is left out with its key, and
            from a list the whole item, as half of a variable or of a volume would be wrong.

    >>> filled({"n": "${options.size}", "s": "x-${options.size}"}, {"${options.size}": 3}, lambda t: "x-3")
    {'n': 3, 's': 'x-3'}
    """
    if isinstance(data, str):
        if data in whole:
            return whole[data]
        return int(text(data)) if _NUMBER.fullmatch(data) else text(data)
    if isinstance(data, Mapping):
        made = {
            key: filled(value, whole, text, missing)
            for key, value in data.items()
            if not lacks(value, missing)
        }
        return {key: value for key, value in made.items() if value is not LEFT_OUT}
    if isinstance(data, list):
        return [filled(item, whole, text, missing) for item in data if not _speaks(item, missing)]
    return data


def _speaks(data: Any, missing: Set[str]) -> bool:
    """Whether some text in the data does."""
    if isinstance(data, Mapping):
        return any(_speaks(value, missing) for value in data.values())
    if isinstance(data, list):
        return any(_speaks(item, missing) for item in data)
    return lacks(data, missing)


def lacks(data: Any, missing: Set[str]) -> bool:
    """Whether this text itself speaks of a requirement that nobody provides."""
    if not missing or not isinstance(data, str):
        return False
    return any(reference.path[0] in missing for reference in expression.parse(data).references)


def merged(base: Any, over: Any) -> Any:
    """As Helm merges values: mappings key by key, anything else is replaced.

    >>> merged({"a": {"b": 1, "c": [1]}}, {"a": {"c": [2], "d": None}})
    {'a': {'b': 1, 'c': [2], 'd': None}}
    """
    if isinstance(base, Mapping) and isinstance(over, Mapping):
        found = dict(base)
        for key, value in over.items():
            found[key] = merged(base[key], value) if key in base else value
        return found
    return over


def of_user(node: Node) -> Mapping[str, Any]:
    """What the flavour says under the component's ``values``: a mapping, or that of a file.

    Raises:
        MillpondError: the file cannot be read.
        DocumentError: it is no YAML, or has no mapping; with the place.
    """
    if not isinstance(node.values, str):
        return node.values
    path = Path(node.values).expanduser()
    try:
        found = document.read(path.read_text(encoding="utf-8"), str(path))
    except OSError as error:
        raise MillpondError(
            f"the values file {path} of {node.name} cannot be read: {error.strerror}",
            hint="its path is taken from the flavour's folder",
            exit_code=3,
        ) from error
    except UnicodeDecodeError as error:
        raise MillpondError(f"the values file {path} of {node.name} is no text", exit_code=3) from error
    if found.data is not None and not isinstance(found.data, Mapping):
        raise found.error((), f"the values file of {node.name} must be a mapping (key: value)")
    return found.data or {}
