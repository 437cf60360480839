"""A chart's values: the recipe's with every template filled, the user's own merged over them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from millpond.model.errors import MillpondError
from millpond.model.platform import Node

_OPTION = re.compile(r"\$\{options\.([\w-]+)\}")


def filled(data: Any, options: Mapping[str, Any], text: Callable[[str], str]) -> Any:
    """Plain data with its templates filled; a text that is one option alone becomes the option's value.

    Args:
        data: mappings, lists and plain values; texts are templates.
        options: the node's options.
        text: fills a template.

    >>> filled({"n": "${options.size}", "s": "x-${options.size}"}, {"size": 3}, lambda t: "x-3")
    {'n': 3, 's': 'x-3'}
    """
    if isinstance(data, str):
        alone = _OPTION.fullmatch(data)
        return options[alone[1]] if alone else text(data)
    if isinstance(data, Mapping):
        return {key: filled(value, options, text) for key, value in data.items()}
    if isinstance(data, list):
        return [filled(item, options, text) for item in data]
    return data


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
        MillpondError: the file cannot be read, or has no mapping.
    """
    if not isinstance(node.values, str):
        return node.values
    path = Path(node.values).expanduser()
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise MillpondError(
            f"the values file {path} of {node.name} cannot be read: {error.strerror}",
            hint="its path is taken from the flavour's folder",
            exit_code=3,
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise MillpondError(
            f"the values file {path} of {node.name} is no YAML: {' '.join(str(error).split())}", exit_code=3
        ) from error
    if found is not None and not isinstance(found, Mapping):
        raise MillpondError(f"the values file {path} of {node.name} has no mapping in it", exit_code=3)
    return found or {}
