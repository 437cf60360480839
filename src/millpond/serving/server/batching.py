"""Several requests made one prediction, and the prediction taken apart again.

Each request gets exactly what it would have got alone: only models whose rows are proven independent are
joined, only data that joins without a change of type, and only answers that are arrays of as many rows.
When anything goes wrong with the whole, each is predicted by itself, so that an error hits the
request that it belongs to and no other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from millpond.serving.server.table import count_of, joined, key_of, part_of
from millpond.serving.server.tensors import Prediction, Request

_ROWS = 1024
"""Rows of a batch at most: past this a batch saves nothing, and holds up whoever comes next."""


@dataclass(slots=True)
class Job:
    """One request: how to read it, how to write its answer, and who waits for that."""

    read: Callable[[], Request]
    write: Callable[[Request, Prediction], Any]
    future: asyncio.Future[Any]
    request: Any = None
    data: Any = None
    rows: int = 0
    result: Any = None
    error: BaseException | None = field(default=None)

    def settle(self) -> None:
        """Tell the one who waits; on the event loop."""
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


def work(plane: Any, model: Any, jobs: list[Job], together: bool, rows: int | None = None) -> None:
    """Do all jobs: each has its result or its error afterwards; nothing is raised.

    Args:
        plane: the data plane, for what is predicted by itself.
        model: its model.
        jobs: what was there at this moment.
        together: whether they may be joined.
        rows: of a batch at most.
    """
    groups: dict[Any, list[Job]] = {}
    for job in jobs:
        try:
            job.request = job.read()
            key = None
            if model.direct:
                job.data = model.arrange(job.request)
                if together and len(jobs) > 1:
                    key = key_of(job.data)
            if key is None:
                _alone(plane, model, job)
            else:
                job.rows = count_of(job.data) or 0
                groups.setdefault(key, []).append(job)
        except Exception as error:
            job.error = error
    for members in groups.values():
        for batch in _batches(members, rows or _ROWS):
            _together(plane, model, batch)


def _batches(jobs: list[Job], most: int) -> list[list[Job]]:
    found: list[list[Job]] = []
    count = most
    for job in jobs:
        if count + job.rows > most:
            found.append([])
            count = 0
        found[-1].append(job)
        count += job.rows
    return found


def _alone(plane: Any, model: Any, job: Job) -> None:
    try:
        if job.data is None:
            prediction = plane.infer(job.request)
        else:
            prediction = plane.selected(job.request, model.answer_to(job.data))
        job.result = job.write(job.request, prediction)
    except Exception as error:
        job.error = error


def _together(plane: Any, model: Any, jobs: list[Job]) -> None:
    if len(jobs) == 1:
        _alone(plane, model, jobs[0])
        return
    try:
        result = model.run_joined(joined([job.data for job in jobs]))
        apart = splits(result, sum(job.rows for job in jobs))
    except Exception:
        apart = False
    if not apart:
        for job in jobs:
            _alone(plane, model, job)
        return
    start = 0
    for job in jobs:
        stop = start + job.rows
        try:
            outputs = model.outputs(part_of(result, start, stop), job.rows)
            job.result = job.write(job.request, plane.selected(job.request, outputs))
        except Exception as error:
            job.error = error
        start = stop


def splits(result: Any, rows: int) -> bool:
    """Whether a result has a part for each row, of a type that does not depend on the other rows."""
    if type(result) is dict:
        return bool(result) and all(splits(values, rows) for values in result.values())
    return type(result) is np.ndarray and result.ndim > 0 and len(result) == rows
