"""A pipeline as an Airflow DAG: one task per step, with the same graph, retries and time-outs.

Imported in Airflow's own environment, by the DAG file that a hand-over writes; it is all of Millpond that a
DAG file needs when it is parsed.
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Mapping
from typing import Any

from airflow.sdk import DAG, CronTriggerTimetable, Param, get_current_context, task

from millpond.pipelines.handover.process import run_id, run_step

_TYPES = {
    "string": "string",
    "integer": "integer",
    "number": "number",
    "boolean": "boolean",
    "date": "string",
}


def dag(handover: Mapping[str, Any]) -> Any:
    """The DAG of a `Handover` as plain data."""
    cron, zone = handover["schedule"], handover["timezone"]
    with DAG(
        dag_id=handover["name"],
        description=handover["summary"] or None,
        schedule=CronTriggerTimetable(cron, timezone=zone) if cron else None,
        start_date=datetime.datetime.fromisoformat(handover["handed"]),
        catchup=False,
        params={name: _param(one) for name, one in handover["parameters"].items()},
        tags=["millpond", f"version:{handover['version']}", *handover["tags"]],
    ) as made:
        tasks = {name: _task(handover, name, step) for name, step in handover["steps"].items()}
        for name, step in handover["steps"].items():
            for other in step["needs"]:
                tasks[other] >> tasks[name]
    return made


def _param(one: Mapping[str, Any]) -> Any:
    schema: dict[str, Any] = {"type": _TYPES[one["type"]], "description": one["help"]}
    if one["type"] == "date":
        # The word today is one, too, so that no format may be asked for.
        schema["examples"] = ["today"]
    else:
        bounds = {"minimum": one["minimum"], "maximum": one["maximum"], "enum": one["choices"]}
        schema |= {name: value for name, value in bounds.items() if value is not None}
    if one["default"] is None:
        schema["type"] = ["null", schema["type"]]
    return Param(one["default"], **schema)


def _task(handover: Mapping[str, Any], name: str, step: Mapping[str, Any]) -> Any:
    timeout = step["timeout"]

    def run() -> None:
        context = get_current_context()
        begun = context["dag_run"]
        parameters = {key: value for key, value in context["params"].items() if value is not None}
        run_step(
            handover,
            name,
            engine="airflow",
            run=run_id(handover["name"], begun.run_after, begun.run_id),
            engine_run=begun.run_id,
            parameters=parameters,
            attempt=int(context["ti"].try_number),
            tell=logging.getLogger("millpond").info,
        )

    made: Any = task(
        task_id=name,
        retries=step["retries"],
        retry_delay=datetime.timedelta(seconds=step["retry_delay"]),
        # The step ends itself in time; this is for one that does not.
        execution_timeout=datetime.timedelta(seconds=timeout + 60) if timeout else None,
    )(run)
    return made()
