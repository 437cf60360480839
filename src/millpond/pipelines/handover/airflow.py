"""Airflow as a workflow engine: a DAG file for its folder, the rest by its REST API, version 2.

https://airflow.apache.org/docs/apache-airflow/stable/stable-rest-api-ref.html
"""

from __future__ import annotations

import datetime
import json
import pprint
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from millpond.model.errors import MillpondError
from millpond.pipelines.handover.document import Handover
from millpond.pipelines.handover.engine import RunView, State, StepView
from millpond.pipelines.handover.process import run_id
from millpond.pipelines.handover.rest import Rest, RestError

_STATES: dict[str | None, State] = {
    None: "queued",
    "scheduled": "queued",
    "queued": "queued",
    "running": "running",
    "restarting": "running",
    "up_for_retry": "running",
    "success": "succeeded",
    "failed": "failed",
    "upstream_failed": "skipped",
    "skipped": "skipped",
    "removed": "skipped",
}
_SEEN = 180.0
"""Seconds until the DAG processor must have read a new file."""


class Airflow:
    """An API server, and the folder that its DAG processor looks into.

    Args:
        url: the API, with its path ``/api/v2``.
        dags: the folder of DAG files.
    """

    name = "airflow"

    def __init__(self, url: str, username: str, password: str, dags: Path) -> None:
        self.rest = Rest("Airflow", url)
        self.dags = dags
        self._credentials = {"username": username, "password": password}

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        if self.rest.authorization is None:
            place = urlsplit(self.rest.url)
            base = Rest("Airflow", f"{place.scheme}://{place.netloc}{place.path.removesuffix('/api/v2')}")
            token = base.call("POST", "/auth/token", self._credentials)["access_token"]
            self.rest.authorization = f"Bearer {token}"
        return self.rest.call(method, path, body)

    def deploy(self, handover: Handover, folder: Path) -> None:
        """See `WorkflowEngine.deploy`; returns when Airflow has read this version.

        Raises:
            MillpondError: it could not be read.
        """
        self.dags.mkdir(parents=True, exist_ok=True)
        fresh = self.dags / f".{handover.name}.new"
        fresh.write_text(dag_file(handover), encoding="utf-8")
        fresh.replace(self.dags / f"{handover.name}.py")
        end = time.monotonic() + _SEEN
        while not self._read(handover):
            if time.monotonic() > end:
                raise MillpondError(
                    f"Airflow has not read the DAG {handover.name} after {_SEEN:.0f} s",
                    hint="`millpond logs airflow` has what its DAG processor says",
                )
            time.sleep(0.5)

    def _read(self, handover: Handover) -> bool:
        try:
            found = self._call("GET", f"/dags/{handover.name}")
        except RestError as error:
            if error.status == 404:
                return False
            raise
        tags = {tag["name"] for tag in found["tags"]}
        known = str(found.get("timetable_summary") or "")
        scheduled = handover.schedule is None or handover.schedule in known
        return f"version:{handover.version}" in tags and scheduled

    def start(self, pipeline: str, parameters: Mapping[str, Any]) -> str:
        """See `WorkflowEngine.start`."""
        body = {"logical_date": None, "conf": dict(parameters)}
        try:
            run = self._call("POST", f"/dags/{pipeline}/dagRuns", body)
        except RestError as error:
            if error.status != 404:
                raise
            raise MillpondError(
                f"Airflow knows no pipeline {pipeline}",
                hint=f"millpond pipeline submit {pipeline} hands it over",
            ) from None
        return str(run["dag_run_id"])

    def run(self, pipeline: str, run: str) -> RunView:
        """See `WorkflowEngine.run`."""
        found = self._call("GET", _run(pipeline, run))
        tasks = self._call("GET", f"{_run(pipeline, run)}/taskInstances?limit=1000")["task_instances"]
        steps = {
            task["task_id"]: StepView(_STATES.get(task["state"], "running"), int(task["try_number"] or 0))
            for task in tasks
        }
        return RunView(_STATES.get(found["state"], "running"), steps)

    def record(self, pipeline: str, run: str) -> str:
        """See `WorkflowEngine.record`."""
        begun = self._call("GET", _run(pipeline, run))["run_after"]
        return run_id(pipeline, datetime.datetime.fromisoformat(begun.replace("Z", "+00:00")), run)

    def log(self, pipeline: str, run: str, step: str) -> str:
        """See `WorkflowEngine.log`: every try of it."""
        tries = self.run(pipeline, run).steps[step].attempts
        lines = []
        for number in range(1, tries + 1):
            path = f"{_run(pipeline, run)}/taskInstances/{step}/logs/{number}?full_content=true"
            content = self._call("GET", path)["content"]
            lines += [item.get("event", "") if isinstance(item, dict) else str(item) for item in content]
        return "".join(f"{line}\n" for line in lines)

    def schedule(self, pipeline: str) -> str | None:
        """See `WorkflowEngine.schedule`."""
        found = self._call("GET", f"/dags/{pipeline}")["timetable_summary"]
        return None if found in (None, "None", "null") else str(found)

    def cancel(self, pipeline: str, run: str) -> None:
        """See `WorkflowEngine.cancel`: Airflow calls a run that was stopped failed."""
        self._call("PATCH", f"{_run(pipeline, run)}?update_mask=state", {"state": "failed"})

    def resume(self, pipeline: str, run: str) -> None:
        """Clear what failed, and what did not run because of that; Airflow then runs it again."""
        body = {"dry_run": False, "only_failed": True}
        self._call("POST", f"{_run(pipeline, run)}/clear", body)

    def page(self, pipeline: str, run: str) -> str:
        """See `WorkflowEngine.page`."""
        return f"/dags/{pipeline}/runs/{quote(run, safe='')}"


def _run(pipeline: str, run: str) -> str:
    return f"/dags/{pipeline}/dagRuns/{quote(run, safe='')}"


def dag_file(handover: Handover) -> str:
    """The DAG file: the pipeline's data, and one call."""
    data = pprint.pformat(json.loads(json.dumps(handover.as_dict())), width=100, sort_dicts=False)
    return (
        f'"""The pipeline {handover.name} as an Airflow DAG; written by `millpond pipeline submit`."""\n\n'
        "from millpond.pipelines.handover.airflow_dag import dag\n\n"
        f"made = dag(\n{data}\n)\n"
    )
