"""What made a commit: the run and step, their code, parameters and inputs, told by whoever runs them.

An engine wraps a step's code in `made_by`; every commit that is made inside carries what it said. Commits of
a command's own process find the run and step in its environment.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_current: ContextVar[Mapping[str, Any] | None] = ContextVar("millpond_provenance", default=None)


@contextmanager
def made_by(
    *,
    run: str,
    step: str,
    pipeline: str = "",
    code: Mapping[str, Any] | None = None,
    parameters: Mapping[str, Any] | None = None,
    inputs: Mapping[str, Mapping[str, Any]] | None = None,
    environment: str = "",
) -> Iterator[None]:
    """Let commits that are made inside carry what made them.

    Args:
        code: ``commit``, ``dirty`` and ``digest`` of the step's code.
        inputs: by port, references as `millpond.lake.reference.Reference.as_dict` gives them. An input from a
            repository has the commit's id in its address, so that lineage goes from commit to commit.
        environment: the key of the installed packages.
    """
    facts = {
        "run": run,
        "step": step,
        "pipeline": pipeline,
        "code": dict(code or {}),
        "parameters": dict(parameters or {}),
        "inputs": {port: dict(reference) for port, reference in (inputs or {}).items()},
        "environment": environment,
    }
    token = _current.set({name: value for name, value in facts.items() if value not in ("", {}, None)})
    try:
        yield
    finally:
        _current.reset(token)


def current() -> dict[str, Any]:
    """What is being run just now, as a commit keeps it; empty where nothing is."""
    if (found := _current.get()) is not None:
        return dict(found)
    names = {"run": "MILLPOND_RUN", "step": "MILLPOND_STEP"}
    return {key: value for key, name in names.items() if (value := os.environ.get(name))}
