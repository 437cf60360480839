"""A Terraform module as python-hcl2 reads it, flat: its blocks, and what its expressions refer to."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import hcl2

from millpond.targets.kubernetes.clusters.terraform.module import CLOUDS

PROVIDERS: dict[str, Any] = json.loads((Path(__file__).parent / "data/providers.json").read_text())
PROVIDER = {"aks": "azurerm", "eks": "aws", "gke": "google"}
# What Terraform itself knows in every resource.
META = {"count", "for_each", "depends_on", "lifecycle", "provider"}
_STRING = re.compile(r'"(?:\\.|\$\{[^}]*\}|[^"\\])*"')
_REFERENCE = re.compile(r"(?<![\w.\"-])(?:data\.)?[a-z][a-z0-9_]*(?:\.[a-z_][a-z0-9_]*|\[[^\]]*\])+")


@dataclass(frozen=True)
class Made:
    """A resource or data source.

    Args:
        kind: ``resource`` or ``data``.
        type: such as ``aws_vpc``.
        name: its name in the module.
        body: its arguments and blocks.
    """

    kind: str
    type: str
    name: str
    body: dict[str, Any]

    def blocks(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Its own block as ``.``, and the ones in it by their path."""
        yield from _blocks(self.body, "")

    @property
    def documented(self) -> dict[str, Any]:
        """What the provider's documentation says of its type."""
        provider = PROVIDERS[self.type.split("_")[0]]
        found: dict[str, Any] = provider[self.kind][self.type]
        return found


class Module:
    """All files of one cloud."""

    def __init__(self, cloud: str) -> None:
        self.cloud = cloud
        self.files = {path.name: read(path.read_text()) for path in CLOUDS[cloud].folder.glob("*.tf")}
        self.variables = dict(self._labelled("variable"))
        self.outputs = dict(self._labelled("output"))
        self.locals = {name: value for block in self.every("locals") for name, value in bare(block).items()}
        self.made = [
            Made(kind, plain(type_), plain(name), bare(body))
            for kind in ("resource", "data")
            for block in self.every(kind)
            for type_, named in block.items()
            for name, body in named.items()
        ]

    def every(self, kind: str) -> list[Any]:
        """The root blocks of a kind."""
        return [block for found in self.files.values() for block in found.get(kind, [])]

    def find(self, type_: str, name: str) -> dict[str, Any]:
        """The body of one resource."""
        return next(one.body for one in self.made if (one.type, one.name) == (type_, name))

    def _labelled(self, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
        for block in self.every(kind):
            for name, body in block.items():
                yield plain(name), bare(body)

    def references(self) -> set[str]:
        """Everything that an expression of the module names: ``var.name``, ``aws_vpc.this.id`` and so on."""
        return {one for found in self.files.values() for one in references(found)}


@cache
def module(cloud: str) -> Module:
    """The module, read once."""
    return Module(cloud)


def read(text: str) -> dict[str, Any]:
    """HCL as python-hcl2 has it."""
    found: dict[str, Any] = hcl2.loads(text)
    return found


def plain(text: str) -> str:
    """A label or a string without its quotes."""
    return text[1:-1] if text.startswith('"') else text


def bare(body: dict[str, Any]) -> dict[str, Any]:
    """A body without python-hcl2's own keys."""
    return {key: value for key, value in body.items() if not key.startswith("__")}


def is_block(value: Any) -> bool:
    """Whether a value is one or more blocks, and no argument."""
    return isinstance(value, list) and bool(value) and all(
        isinstance(one, dict) and one.get("__is_block__") for one in value
    )  # fmt: skip


def references(value: Any) -> Iterator[str]:
    """What a value's expressions name, first words such as ``var`` and types alike."""
    if isinstance(value, dict):
        for key, one in value.items():
            if key not in ("__comments__", "validation", "error_message", "description", "ignore_changes"):
                yield from references(key)
                yield from references(one)
    elif isinstance(value, list):
        for one in value:
            yield from references(one)
    elif isinstance(value, str):
        for expression in expressions(value):
            yield from _REFERENCE.findall(_STRING.sub(lambda m: " ".join(expressions(m[0])), expression))


def expressions(text: str) -> list[str]:
    """What stands in ``${}`` in a text; python-hcl2 writes bare expressions that way, too."""
    found, depth, start = [], 0, 0
    for at, sign in enumerate(text):
        if sign == "{" and (depth or text[at - 1 : at] == "$"):
            depth += 1
            start = at + 1 if depth == 1 else start
        elif sign == "}" and depth:
            depth -= 1
            if not depth:
                found.append(text[start:at])
    return found


def _blocks(body: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    inner: list[tuple[str, dict[str, Any]]] = []
    names: dict[str, Any] = {}
    for key, value in bare(body).items():
        if key == "dynamic":
            for one in value:
                for name, dynamic in one.items():
                    if not name.startswith("__"):
                        names[plain(name)] = dynamic["content"]
                        inner += [(plain(name), content) for content in dynamic["content"]]
            continue
        names[key] = value
        if is_block(value) and key != "lifecycle":
            inner += [(key, one) for one in value]
    yield path or ".", names
    for name, one in inner:
        yield from _blocks(one, f"{path}.{name}" if path else name)
