"""Schemas for formats that are not MLflow's, in the words of MLflow's, which `Signature` reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Kind:
    """A column's type by MLflow's name for it: ``double``, ``string``, ..."""

    name: str


@dataclass(frozen=True, slots=True)
class Spec:
    """One tensor or column; `type` is a numpy dtype's name or a `Kind`, `shape` has -1 for any length."""

    name: str | None
    type: Any
    shape: tuple[int, ...] = (-1,)
    required: bool = True


class Schema:
    """What goes into a model or comes out of it."""

    def __init__(self, specs: Sequence[Spec], *, tensors: bool) -> None:
        self.inputs = list(specs)
        self._tensors = tensors

    def is_tensor_spec(self) -> bool:
        """Whether these are tensors; else they are a table's columns."""
        return self._tensors

    def has_input_names(self) -> bool:
        """Whether they have names."""
        return bool(self.inputs) and self.inputs[0].name is not None

    def input_names(self) -> list[str]:
        """Their names."""
        return [spec.name for spec in self.inputs if spec.name is not None]


def tensors(*specs: Spec) -> Schema:
    """Tensors by name, or one without."""
    return Schema(specs, tensors=True)


def columns(names: Sequence[str], kind: str) -> Schema:
    """A table whose columns are all of one type."""
    return Schema([Spec(name, Kind(kind)) for name in names], tensors=False)
