"""The condition under ``when:``: comparisons of parameters and small outputs, with ``and``, ``or``, ``not``.

The words are Python's, read by Python's own parser; nothing but comparisons is evaluated, so that a pipeline
file cannot call anything.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from millpond.model.expression import Reference, parse

_COMPARISONS: Mapping[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda left, right: left in right,
    ast.NotIn: lambda left, right: left not in right,
}
_WORDS = {"true": True, "false": False, "null": None}


@dataclass(frozen=True)
class Condition:
    """A condition that was read.

    Attributes:
        text: as the user wrote it.
        references: what it looks at, in order.
    """

    text: str
    references: tuple[Reference, ...]
    _tree: ast.expr

    @classmethod
    def read(cls, text: str) -> Condition:
        """Read a condition.

        Raises:
            ValueError: it is none, with a sentence that says why; ExpressionError is one.
        """
        references: list[Reference] = []
        words = []
        for part in parse(text).parts:
            if isinstance(part, str):
                words.append(part)
            else:
                words.append(f"_{len(references)}")
                references.append(part)
        try:
            tree = ast.parse("".join(words).strip(), mode="eval").body
        except SyntaxError:
            raise ValueError(f"{text} is not a condition") from None
        found = cls(text, tuple(references), tree)
        found._allow(tree)
        return found

    def _allow(self, node: ast.expr) -> None:
        match node:
            case ast.BoolOp(values=values) | ast.List(elts=values) | ast.Tuple(elts=values):
                for value in values:
                    self._allow(value)
            case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
                self._allow(operand)
            case ast.Compare(left=left, comparators=others):
                for value in (left, *others):
                    self._allow(value)
            case ast.Constant(value=str() | int() | float()):
                pass
            case ast.Name(id=name) if name in _WORDS or self._index(name) is not None:
                pass
            case ast.Name(id=name):
                raise ValueError(f"{name} means nothing in a condition; texts stand in quotes")
            case _:
                raise ValueError(f"{ast.unparse(node)} cannot stand in a condition, only comparisons can")

    def _index(self, name: str) -> int | None:
        index = name.removeprefix("_")
        known = name.startswith("_") and index.isdigit() and int(index) < len(self.references)
        return int(index) if known else None

    def holds(self, resolve: Callable[[Reference], Any]) -> bool:
        """Whether it is true with these values.

        Raises:
            TypeError: two values cannot be compared.
        """
        return bool(self._value(self._tree, resolve))

    def _value(self, node: ast.expr, resolve: Callable[[Reference], Any]) -> Any:
        match node:
            case ast.BoolOp(op=ast.And(), values=values):
                return all(self._value(value, resolve) for value in values)
            case ast.BoolOp(values=values):
                return any(self._value(value, resolve) for value in values)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return not self._value(operand, resolve)
            case ast.UnaryOp(operand=operand):
                return -self._value(operand, resolve)
            case ast.Compare(left=first, ops=ops, comparators=others):
                left = self._value(first, resolve)
                for op, other in zip(ops, others, strict=True):
                    right = self._value(other, resolve)
                    if not _COMPARISONS[type(op)](left, right):
                        return False
                    left = right
                return True
            case ast.List(elts=values) | ast.Tuple(elts=values):
                return [self._value(value, resolve) for value in values]
            case ast.Constant(value=constant):
                return constant
            case ast.Name(id=name):
                index = self._index(name)
                return _WORDS[name] if index is None else resolve(self.references[index])
        raise AssertionError(ast.dump(node))
