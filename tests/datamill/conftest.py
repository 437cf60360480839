"""A small catalogue and a Data-Mill tree for the tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from millpond.flavours.datamill import DataMillFlavour, translate
from millpond.model.component import Component

OPTIONS = {
    "seaweedfs": {"buckets": {"type": "list", "default": ["raw"], "help": "Buckets"}},
    "mlflow": {
        "bucket": {"type": "string", "default": "models", "help": "The bucket"},
        "workers": {"type": "integer", "default": 1, "help": "Processes"},
    },
    "dask": {"workers": {"type": "integer", "default": 2, "minimum": 1, "help": "Workers"}},
    "serving": {},
    "gateway": {},
}


class SmallCatalogue:
    """The components that the starter platform has, and whatever a test adds."""

    def __init__(self, **more: dict[str, object]) -> None:
        self._components = {
            name: Component.model_validate(
                {
                    "name": name,
                    "summary": name,
                    "version": "1",
                    "licence": "MIT",
                    "options": options,
                    "service": {"command": [name]},
                }
            )
            for name, options in {**OPTIONS, **more}.items()
        }

    @property
    def names(self) -> list[str]:
        return sorted(self._components)

    def component(self, name: str) -> Component | None:
        return self._components.get(name)


class Tree:
    """A folder with files in Data-Mill's layout."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, path: str, text: str = "") -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(dedent(text).lstrip("\n"))
        return file

    def flavour(self, text: str, path: str = "infrastructure/flavours/own.yaml") -> Path:
        return self.write(path, text)

    def translate(self, text: str, **options: object) -> DataMillFlavour:
        options.setdefault("catalogue", SmallCatalogue())
        return translate(self.flavour(text), **options)  # type: ignore[arg-type]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


@pytest.fixture
def small() -> Callable[..., SmallCatalogue]:
    return SmallCatalogue
