"""What a step is given on a worker: whether it can go on, its inputs' references, their values and files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from millpond.lake.reference import LakePath, Reference
from millpond.lake.store import digest_of, open_store
from millpond.model.errors import MillpondError
from millpond.model.expression import Reference as Expression
from millpond.pipelines import codec
from millpond.pipelines.condition import Condition
from millpond.pipelines.task import LEFT_OUT, InputTask, Outcome, Shared, StepTask
from millpond.pipelines.template import of_run

LIST = "list"
"""The type of a reference that has, by value, the references of all tasks of a step that fanned out."""


def blockers(task: StepTask, upstream: Mapping[str, Outcome]) -> Outcome | None:
    """How the step ends without having run, because of those that it needs; None when it can go on.

    A step that was left out stops those that take its outputs, and not those that only come after it or
    gather what the items of a fan gave.
    """
    sources = [*task.inputs.values(), *task.conditions.values()]
    takes = {source.step for source in sources if source.step is not None}
    blocked = [
        name
        for name, outcome in upstream.items()
        if not outcome.good and (name in takes or not outcome.left_out)
    ]
    if not blocked:
        return None
    found = [upstream[name] for name in blocked]
    if all(outcome.left_out for outcome in found):
        reason = {"type": LEFT_OUT, "message": f"it needs {', '.join(blocked)}, which was left out"}
        return Outcome(task.name, "skipped", error=reason)
    cancelled = all(outcome.status == "cancelled" for outcome in found)
    reason = {"type": "Skipped", "message": f"it needs {', '.join(blocked)}"}
    return Outcome(task.name, "cancelled" if cancelled else "skipped", error=reason)


def condition_holds(task: StepTask, shared: Shared, upstream: Mapping[str, Outcome]) -> bool:
    """Whether the condition of a step is true.

    Raises:
        MillpondError: its values cannot be compared, or one is not there.
    """
    of = of_run(shared.parameters, shared.run, task.each)

    def resolve(expression: Expression) -> Any:
        name = ".".join(expression.path[:2])
        if name not in task.conditions:
            return of(expression)
        value = value_of(reference_of(task.conditions[name], upstream), "condition", Path)
        for key in expression.path[2:]:
            value = value[key]
        return value

    try:
        return Condition.read(str(task.when)).holds(resolve)
    except (TypeError, KeyError, ValueError) as error:
        why = f"there is no {error}" if isinstance(error, KeyError) else str(error)
        raise MillpondError(f"the condition {task.when} cannot be told: {why}") from None


def reference_of(source: InputTask, upstream: Mapping[str, Outcome]) -> Reference:
    """Exactly which bytes an input is.

    Raises:
        MillpondError: it is not in the lake.
    """
    port = str(source.port)
    if source.step is not None:
        return upstream[source.step].outputs[port]
    if source.many is not None:
        found = [upstream[task].outputs[port].as_dict() for task in source.many if upstream[task].good]
        content = hashlib.sha256(repr([Reference.from_dict(item).digest for item in found]).encode())
        return Reference("value:", None, content.hexdigest(), type=LIST, value=found)
    path = LakePath.parse(str(source.path))
    stat = open_store().stat(path)
    if stat is None:
        hint = "is the path right? A step that writes it should be named instead: ${step.port}"
        raise MillpondError(f"the input {path.uri} is not in the lake", hint=hint)
    kind = source.type or codec.type_of(path.suffix)
    pinned = path.at(stat.version).uri
    return Reference(pinned, stat.version, stat.sha256, stat.size, kind, options=source.options)


def value_of(reference: Reference, port: str, scratch: Callable[[], Path]) -> Any:
    """The value of an input; a list of values for what a fan gave.

    Args:
        scratch: makes a folder for files; most values need none.
    """
    if reference.type == LIST:
        return [
            value_of(Reference.from_dict(item), f"{port}-{number}", scratch)
            for number, item in enumerate(reference.value)
        ]
    if reference.by_value:
        return codec.decode_value(reference)
    if reference.type == "reference":
        return reference
    if reference.type in ("table", "file"):
        return codec.decode(reference, local_file(reference, port, scratch()))
    data = open_store().read(reference.path)
    _same(reference, data)
    return codec.decode(reference, data)


def local_file(reference: Reference, port: str, scratch: Path) -> Path:
    """A private file with the bytes of an input; for what a fan gave, a folder of such files in order.

    Raises:
        MillpondError: the object was replaced since the step before wrote it.
    """
    if reference.type == LIST:
        folder = scratch / f"in-{port}"
        folder.mkdir(exist_ok=True)
        for number, item in enumerate(reference.value):
            local_file(Reference.from_dict(item), f"{number:05}", folder)
        return folder
    if reference.by_value:
        target = scratch / f"in-{port}.json"
        encoded = codec.encode(
            reference.value, "text" if reference.type == "text" else "json", ".json"
        ).source
        assert isinstance(encoded, bytes)
        target.write_bytes(encoded)
        return target
    target = scratch / f"in-{port}-{reference.path.key.rsplit('/', 1)[-1]}"
    if not target.exists():
        open_store().fetch(reference.path, target)
        _same(reference, target)
    return target


def _same(reference: Reference, data: bytes | Path) -> None:
    """Refuse bytes that are not those which the step before has written."""
    if reference.sha256 is not None and digest_of(data) != reference.sha256:
        if isinstance(data, Path):
            data.unlink()
        raise MillpondError(
            f"{reference.uri} was replaced after the step before had written it",
            hint="something else writes there; put ${run.id} or a parameter into the path",
        )
