"""A pipeline as a Prefect flow: one task per step, with the same graph, retries and time-outs.

Imported in Prefect's own environment, by the small file that a hand-over writes.
"""

from __future__ import annotations

import datetime
import inspect
from collections.abc import Mapping
from typing import Any

from prefect import Flow, Task, get_run_logger, runtime
from prefect.context import FlowRunContext
from prefect.futures import wait

from millpond.pipelines.handover.process import give_up, run_id, run_step

_TYPES = {"string": str, "integer": int, "number": float, "boolean": bool, "date": str}


def flow(handover: Mapping[str, Any]) -> Any:
    """The flow of a `Handover` as plain data."""
    tasks = {name: _task(handover, name, step) for name, step in handover["steps"].items()}

    def body(**parameters: Any) -> str:
        context = FlowRunContext.get()
        assert context is not None and context.flow_run is not None
        begun = context.flow_run.expected_start_time or datetime.datetime.now(datetime.UTC)
        key = str(context.flow_run.id)
        run = run_id(handover["name"], begun, key)
        get_run_logger().info("the run's record is %s", run)
        futures: dict[str, Any] = {}
        for name, step in handover["steps"].items():
            before = [futures[other] for other in step["needs"]]
            futures[name] = tasks[name].submit(run, key, parameters, wait_for=before)
        try:
            wait(list(futures.values()))
        except BaseException:
            # The flow was cancelled; the threads that wait for the steps would hold this process up.
            give_up(handover, run)
            raise
        failed = [name for name, future in futures.items() if not future.state.is_completed()]
        if failed:
            raise RuntimeError(f"not done: {', '.join(failed)}; the run's record is {run}")
        return run

    body.__name__ = handover["name"].replace("-", "_")
    body.__doc__ = handover["summary"] or None
    body.__signature__ = inspect.Signature(  # type: ignore[attr-defined] # what the page asks for
        [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                annotation=_TYPES[one["type"]],
                default=inspect.Parameter.empty if one["default"] is None else one["default"],
            )
            for name, one in handover["parameters"].items()
        ]
    )
    return Flow(body, name=handover["name"], version=handover["version"], log_prints=False)


def _task(handover: Mapping[str, Any], name: str, step: Mapping[str, Any]) -> Any:
    def body(run: str, engine_run: str, parameters: Mapping[str, Any]) -> None:
        log = get_run_logger()
        run_step(
            handover,
            name,
            engine="prefect",
            run=run,
            engine_run=engine_run,
            parameters=parameters,
            attempt=int(runtime.task_run.run_count or 1),
            tell=log.info,
        )

    body.__name__ = name.replace("-", "_")
    return Task(
        body,
        name=name,
        task_run_name=name,
        retries=step["retries"],
        retry_delay_seconds=step["retry_delay"],
        timeout_seconds=step["timeout"] and step["timeout"] + 60,
        persist_result=False,
    )
