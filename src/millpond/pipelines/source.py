"""The Python code of a pipeline read as text: which functions there are, and which code a function reaches.

The digest of a step covers its function, the definitions of its module that the function uses, and those
of other modules in the pipeline's folder, by their syntax trees: comments, layout and unrelated functions
do not count. What is reached by name at run time only (``globals()[…]``, ``importlib``) makes the whole
module count.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path

from millpond.pipelines.scope import free_names

_DYNAMIC = {"globals", "eval", "exec", "vars", "__import__", "import_module", "getattr_static"}
WHOLE = "*"


@dataclass
class Module:
    """One module of the pipeline's folder."""

    name: str
    file: Path
    package: bool
    tree: ast.Module

    @cached_property
    def definitions(self) -> dict[str, list[ast.stmt]]:
        """Top-level name -> the statements that bind it."""
        found: dict[str, list[ast.stmt]] = {}
        for statement in self.tree.body:
            for name in _bound(statement):
                found.setdefault(name, []).append(statement)
        return found

    @cached_property
    def effects(self) -> list[ast.stmt]:
        """Top-level statements that do something when the module is imported, whoever uses it."""
        plain = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)
        plain += (ast.Assign, ast.AnnAssign)  # type: ignore[assignment]
        return [
            statement
            for statement in self.tree.body
            if not isinstance(statement, plain) and not _is_text(statement) and not _is_main(statement)
        ]

    def function(self, name: str) -> ast.FunctionDef | None:
        """The function with this name, when it is defined by a plain ``def``."""
        for statement in reversed(self.definitions.get(name, [])):
            if isinstance(statement, ast.FunctionDef):
                return statement
        return None

    def package_name(self) -> str:
        """The package that relative imports start from."""
        return self.name if self.package else self.name.rpartition(".")[0]


@lru_cache(maxsize=256)
def _parsed(file: Path, changed: int, size: int) -> ast.Module:
    return ast.parse(file.read_bytes(), filename=str(file))


@dataclass
class Sources:
    """The modules of a folder, each parsed once.

    Raises:
        SyntaxError: from every method, when a module that it reads is not Python.
    """

    folder: Path
    _modules: dict[str, Module | None] = field(default_factory=dict)

    def module(self, name: str) -> Module | None:
        """The module, or None when it is not in the folder."""
        if name not in self._modules:
            self._modules[name] = self._read(name)
        return self._modules[name]

    def _read(self, name: str) -> Module | None:
        base = self.folder.joinpath(*name.split("."))
        for file, package in ((base.with_suffix(".py"), False), (base / "__init__.py", True)):
            try:
                stat = file.stat()
            except (FileNotFoundError, NotADirectoryError):
                continue
            return Module(name, file, package, _parsed(file, stat.st_mtime_ns, stat.st_size))
        return None

    def reach(self, module: str, function: str) -> Reach:
        """All code that a function reaches in the folder."""
        reach = Reach()
        todo = [(module, function)]
        while todo:
            item = todo.pop()
            if item in reach.items:
                continue
            found = self.module(item[0])
            if found is None:
                continue
            todo += self._parents(found.name)
            if (found.name, "") not in reach.items:
                todo.append((found.name, ""))
            statements = self._statements(found, item[1])
            reach.items[item] = [ast.dump(statement) for statement in statements]
            for statement in statements:
                todo += self._uses(found, statement, reach)
        return reach

    def _parents(self, name: str) -> Iterator[tuple[str, str]]:
        parts = name.split(".")
        for end in range(1, len(parts)):
            yield ".".join(parts[:end]), ""

    def _statements(self, module: Module, name: str) -> list[ast.stmt]:
        if name == "":
            return module.effects
        if name == WHOLE:
            return [statement for statement in module.tree.body if not _is_main(statement)]
        return module.definitions.get(name, [])

    def _uses(self, module: Module, statement: ast.stmt, reach: Reach) -> Iterator[tuple[str, str]]:
        for name in free_names(statement):
            if name in module.definitions:
                yield module.name, name
            if name in _DYNAMIC:
                yield module.name, WHOLE
        for node in ast.walk(statement):
            if isinstance(node, ast.Attribute):
                reach.attributes.add(node.attr)
                if node.attr in _DYNAMIC:
                    yield module.name, WHOLE
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    if self.module(alias.name) is not None:
                        yield alias.name, WHOLE
            elif isinstance(node, ast.ImportFrom):
                yield from self._imported(module, node)

    def _imported(self, module: Module, node: ast.ImportFrom) -> Iterator[tuple[str, str]]:
        base = node.module or ""
        if node.level:
            package = module.package_name().split(".") if module.package_name() else []
            kept = package[: len(package) - (node.level - 1)]
            base = ".".join([*kept, *([node.module] if node.module else [])])
        source = self.module(base) if base else None
        for alias in node.names:
            if source is not None and (alias.name == WHOLE or alias.name in source.definitions):
                yield base, alias.name
            else:
                inner = f"{base}.{alias.name}" if base else alias.name
                if self.module(inner) is not None:
                    yield inner, WHOLE


@dataclass
class Reach:
    """Code that was reached: (module, name) -> its syntax trees as text."""

    items: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    attributes: set[str] = field(default_factory=set)

    @property
    def digest(self) -> str:
        """Changes when any of the code does."""
        found = hashlib.sha256()
        for (module, name), trees in sorted(self.items.items()):
            found.update(f"\0{module}\0{name}\0".encode())
            for tree in trees:
                found.update(tree.encode())
        return found.hexdigest()


def _bound(statement: ast.stmt) -> set[str]:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {statement.name}
    names: set[str] = set()
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
    return names


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _is_main(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.If) and "__name__" in ast.dump(statement.test)
