"""Which names a piece of Python takes from its module, told from its syntax tree.

An argument or a variable hides the module's own name: ``def scale(total)`` does not use a function ``total``.
Where Python's rules are finer (class bodies), more names are given rather than fewer.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

_Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


def free_names(node: ast.AST, bound: frozenset[str] = frozenset()) -> Iterator[str]:
    """The names in a tree that nothing in the tree around them binds."""
    if isinstance(node, ast.Name):
        if node.id not in bound:
            yield node.id
    elif isinstance(node, _Function):
        yield from _of_function(node, bound)
    elif isinstance(node, _Comprehension):
        yield from free_names(node.generators[0].iter, bound)
        inner = bound | {name for part in node.generators for name in _stored(part.target)}
        for child in ast.iter_child_nodes(node):
            yield from free_names(child, inner)
    else:
        for child in ast.iter_child_nodes(node):
            yield from free_names(child, bound)


def _of_function(node: _Function, bound: frozenset[str]) -> Iterator[str]:
    body = [node.body] if isinstance(node, ast.Lambda) else node.body
    inner = bound | _locals(node.args, body)
    for child in ast.iter_child_nodes(node):
        # Defaults, annotations and decorators belong to the scope around the function.
        yield from free_names(child, inner if child in body else bound)


def _locals(arguments: ast.arguments, body: list[ast.stmt] | list[ast.expr]) -> frozenset[str]:
    given = [
        *arguments.posonlyargs,
        *arguments.args,
        *arguments.kwonlyargs,
        arguments.vararg,
        arguments.kwarg,
    ]
    names = {argument.arg for argument in given if argument is not None}
    declared: set[str] = set()
    for node in _own_nodes(body):
        if isinstance(node, ast.Global):
            declared |= set(node.names)
        names |= set(_bound_by(node))
    return frozenset(names - declared)


def _own_nodes(nodes: list[ast.stmt] | list[ast.expr]) -> Iterator[ast.AST]:
    """All nodes of a scope, and not those of the scopes inside it."""
    todo: list[ast.AST] = list(nodes)
    while todo:
        node = todo.pop()
        yield node
        if not isinstance(node, _Function | _Comprehension | ast.ClassDef):
            todo += ast.iter_child_nodes(node)


def _bound_by(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
            yield name
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
            for alias in aliases:
                yield (alias.asname or alias.name).split(".")[0]
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            yield name
        case ast.MatchMapping(rest=str(name)):
            yield name


def _stored(target: ast.AST) -> Iterator[str]:
    for node in ast.walk(target):
        if isinstance(node, ast.Name):
            yield node.id
