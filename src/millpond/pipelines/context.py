"""What a step's code may ask about its run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from millpond.lake.reference import Reference
from millpond.lake.store import Store, open_store


@dataclass(frozen=True)
class StepContext:
    """Handed to every parameter of a step's function that is annotated with this class.

    Attributes:
        run_id: of this run, such as ``20261122-034512-flights-ab12``.
        pipeline, step: their names.
        parameters: the run's parameters; dates are `datetime.date`.
        seed: the pipeline's parameter ``seed``, or a number that follows from the step's name.
        inputs: port -> reference: which bytes, in which version, this step was given.
        code: ``commit`` and ``dirty`` of the pipeline's repository, ``digest`` of the step's code.
        environment: key of the packages and the Python that run it.
        log: a logger whose lines go to the step's log, as all that is printed does.
    """

    run_id: str
    pipeline: str
    step: str
    parameters: Mapping[str, Any]
    seed: int
    inputs: Mapping[str, Reference]
    code: Mapping[str, Any]
    environment: str
    log: logging.Logger
    _report: Callable[[float, str], None]
    _scratch: Callable[[], Path]

    def progress(self, fraction: float, message: str = "") -> None:
        """Tell how far the step is, from 0 to 1; shown live."""
        self._report(min(max(float(fraction), 0.0), 1.0), message)

    @cached_property
    def folder(self) -> Path:
        """A private folder, removed when the step is over."""
        return self._scratch()

    @cached_property
    def store(self) -> Store:
        """The lake of this run."""
        return open_store()
