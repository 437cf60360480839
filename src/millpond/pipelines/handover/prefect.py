"""Prefect as a workflow engine, by its REST API: https://docs.prefect.io/v3/api-ref/rest-api."""

from __future__ import annotations

import base64
import datetime
import pprint
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from millpond.model.errors import MillpondError
from millpond.pipelines.handover.document import Handover
from millpond.pipelines.handover.engine import RunView, State, StepView
from millpond.pipelines.handover.process import run_id
from millpond.pipelines.handover.rest import Rest, RestError

_STATES: dict[str, State] = {
    "SCHEDULED": "queued",
    "PENDING": "queued",
    "RUNNING": "running",
    "COMPLETED": "succeeded",
    "FAILED": "failed",
    "CRASHED": "failed",
    "CANCELLED": "cancelled",
    "CANCELLING": "running",
    "PAUSED": "running",
}
_TYPES = {"date": "string"}
FILE = "flow.py"


class Prefect:
    """A server with a work pool.

    Args:
        url: the API, with its path ``/api``.
        pool: the work pool whose worker runs flows on this machine.
    """

    name = "prefect"

    def __init__(self, url: str, username: str, password: str, pool: str) -> None:
        token = base64.b64encode(f"{username}:{password}".encode()).decode()
        self.rest = Rest("Prefect", url, f"Basic {token}")
        self.pool = pool

    def deploy(self, handover: Handover, folder: Path) -> None:
        """See `WorkflowEngine.deploy`: a flow, and one deployment of it with the same name."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / FILE).write_text(flow_file(handover), encoding="utf-8")
        flow = self.rest.call("POST", "/flows/", {"name": handover.name, "tags": ["millpond"]})
        schedules = []
        if handover.schedule:
            cron = {"cron": handover.schedule, "timezone": handover.timezone}
            schedules = [{"schedule": cron, "active": True}]
        self.rest.call(
            "POST",
            "/deployments/",
            {
                "name": handover.name,
                "flow_id": flow["id"],
                "description": handover.summary,
                "version": handover.version,
                "tags": ["millpond", *handover.tags],
                "work_pool_name": self.pool,
                "path": str(folder.resolve()),
                "entrypoint": f"{FILE}:{_variable(handover.name)}",
                "pull_steps": [
                    {"prefect.deployments.steps.set_working_directory": {"directory": str(folder.resolve())}}
                ],
                "parameter_openapi_schema": _schema(handover),
                "enforce_parameter_schema": True,
                "parameters": {
                    name: one["default"]
                    for name, one in handover.parameters.items()
                    if one["default"] is not None
                },
                "schedules": schedules,
            },
        )

    def start(self, pipeline: str, parameters: Mapping[str, Any]) -> str:
        """See `WorkflowEngine.start`."""
        deployment = self._deployment(pipeline)
        body = {"parameters": dict(parameters), "state": {"type": "SCHEDULED"}}
        run = self.rest.call("POST", f"/deployments/{deployment['id']}/create_flow_run", body)
        return str(run["id"])

    def run(self, pipeline: str, run: str) -> RunView:
        """See `WorkflowEngine.run`."""
        found = self.rest.call("GET", f"/flow_runs/{run}")
        steps = {
            task["name"]: StepView(_step_state(task), int(task["run_count"])) for task in self._tasks(run)
        }
        return RunView(_STATES.get(found["state_type"] or "SCHEDULED", "running"), steps)

    def record(self, pipeline: str, run: str) -> str:
        """See `WorkflowEngine.record`."""
        found = self.rest.call("GET", f"/flow_runs/{run}")
        begun = datetime.datetime.fromisoformat(found["expected_start_time"].replace("Z", "+00:00"))
        return run_id(pipeline, begun, run)

    def log(self, pipeline: str, run: str, step: str) -> str:
        """See `WorkflowEngine.log`."""
        ids = [task["id"] for task in self._tasks(run) if task["name"] == step]
        if not ids:
            return ""
        wanted = {"logs": {"task_run_id": {"any_": ids}}, "sort": "TIMESTAMP_ASC", "limit": 200}
        return "".join(f"{line['message']}\n" for line in self.rest.call("POST", "/logs/filter", wanted))

    def schedule(self, pipeline: str) -> str | None:
        """See `WorkflowEngine.schedule`."""
        found = [item["schedule"].get("cron") for item in self._deployment(pipeline)["schedules"]]
        return str(found[0]) if found else None

    def cancel(self, pipeline: str, run: str) -> None:
        """See `WorkflowEngine.cancel`."""
        body = {"state": {"type": "CANCELLING", "name": "Cancelling"}, "force": False}
        self.rest.call("POST", f"/flow_runs/{run}/set_state", body)

    def resume(self, pipeline: str, run: str) -> None:
        """Run it again as the page's button does; tasks whose steps are done are over at once."""
        state = {"type": "SCHEDULED", "name": "AwaitingRetry", "message": "millpond pipeline resume"}
        found = self.rest.call("POST", f"/flow_runs/{run}/set_state", {"state": state, "force": False})
        if found["status"] != "ACCEPT":
            reason = (found.get("details") or {}).get("reason") or found["status"]
            raise MillpondError(f"Prefect does not go on with the run {run}: {reason}")

    def page(self, pipeline: str, run: str) -> str:
        """See `WorkflowEngine.page`."""
        return f"/runs/flow-run/{run}"

    def _deployment(self, pipeline: str) -> Any:
        try:
            return self.rest.call("GET", f"/deployments/name/{pipeline}/{pipeline}")
        except RestError as error:
            if error.status != 404:
                raise
            raise MillpondError(
                f"Prefect knows no pipeline {pipeline}",
                hint=f"millpond pipeline submit {pipeline} hands it over",
            ) from None

    def _tasks(self, run: str) -> list[dict[str, Any]]:
        wanted = {"flow_runs": {"id": {"any_": [run]}}, "limit": 200}
        found: list[dict[str, Any]] = self.rest.call("POST", "/task_runs/filter", wanted)
        return found


def flow_file(handover: Handover) -> str:
    """The Python file that Prefect's worker loads: the pipeline's data, and one call."""
    data = pprint.pformat(handover.as_dict(), width=100, sort_dicts=False)
    return (
        f'"""The pipeline {handover.name}, as Prefect runs it; written by `millpond pipeline submit`."""\n\n'
        "from millpond.pipelines.handover.prefect_flow import flow\n\n"
        f"{_variable(handover.name)} = flow(\n{data}\n)\n"
    )


def _variable(name: str) -> str:
    return name.replace("-", "_")


def _step_state(task: Mapping[str, Any]) -> State:
    # What needs a failed task is left pending for ever, under this name.
    if task["state_name"] == "NotReady":
        return "skipped"
    return _STATES.get(task["state_type"] or "PENDING", "running")


def _schema(handover: Handover) -> dict[str, Any]:
    properties = {}
    for position, (name, one) in enumerate(handover.parameters.items()):
        schema = {
            "type": _TYPES.get(one["type"], one["type"]),
            "title": name,
            "description": one["help"],
            "position": position,
        }
        if one["default"] is not None:
            schema["default"] = one["default"]
        if one["type"] != "date":
            bounds = {"minimum": one["minimum"], "maximum": one["maximum"], "enum": one["choices"]}
            schema |= {key: value for key, value in bounds.items() if value is not None}
        properties[name] = schema
    required = [name for name, one in handover.parameters.items() if one["default"] is None]
    return {"title": "Parameters", "type": "object", "properties": properties, "required": required}
