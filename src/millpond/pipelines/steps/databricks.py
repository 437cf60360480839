"""A step that runs a job on Databricks, by the jobs API 2.2 through Databricks' own SDK.

https://docs.databricks.com/api/workspace/jobs. The workspace and the credentials are found as the SDK finds
them: ``DATABRICKS_HOST``, ``DATABRICKS_TOKEN``, and the others of its unified authentication.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from millpond.model.errors import MillpondError
from millpond.pipelines.document import Duration, Step
from millpond.pipelines.extension import Keys, Problem, StepCall, StepKind

_JOBS = "/api/2.2/jobs"
_OVER = ("TERMINATED", "INTERNAL_ERROR", "SKIPPED")


class DatabricksKeys(Keys):
    """The job as it is to be, and how its run is watched."""

    job: dict[str, Any] = Field(description="The job's settings, as the API takes them, with its `name`")
    poll: Duration = Field(default=10.0, description="How often the run is looked at")


class DatabricksStep(StepKind):
    """Brings a job to its desired state, runs it with the values under ``with``, and waits until it is over.

    A job is known by its name. It is made where there is none, and changed where its settings differ; one
    that is as it should be is left alone. When the step is stopped, so is the job's run.
    """

    keys = DatabricksKeys
    cacheable = False
    packages = ("databricks-sdk",)

    def check(self, step: Step, keys: DatabricksKeys, folder: Path, strict: bool) -> Iterable[Problem]:
        """A job has a name and tasks; the step has one output at most, and no inputs."""
        if not isinstance(keys.job.get("name"), str):
            yield Problem(("job",), "a job needs a name, by which it is known")
        if not keys.job.get("tasks"):
            yield Problem(("job",), "a job needs tasks")
        for port in step.inputs:
            yield Problem(("inputs", port), "a job takes no inputs", "give it paths of the lake under with")
        for port, output in step.outputs.items():
            if output.type != "json" or len(step.outputs) > 1:
                yield Problem(("outputs", port), "a job has one output of type json, which tells of its run")

    def run(self, call: StepCall) -> Mapping[str, Any]:
        """Apply, run and wait; returns the job's and the run's ids, the run's page and its result.

        Raises:
            MillpondError: there is no workspace, it refuses, or the run fails.
        """
        from databricks.sdk import WorkspaceClient
        from databricks.sdk.errors import DatabricksError

        keys: DatabricksKeys = call.keys
        try:
            api = WorkspaceClient().api_client
            job = _applied(api, keys.job, call.context.log)
            parameters = {name: str(value) for name, value in call.arguments.items()}
            # Databricks answers a repeated request with the run that the first one made.
            token = f"{call.context.run_id}-{call.context.step}"[-64:]
            body = {"job_id": job, "job_parameters": parameters, "idempotency_token": token}
            run = int(api.do("POST", f"{_JOBS}/run-now", body=body)["run_id"])
            found = _watched(api, run, keys.poll, call)
        except ValueError as error:
            raise MillpondError(
                f"no workspace of Databricks is known: {str(error).splitlines()[0]}",
                hint="set DATABRICKS_HOST and DATABRICKS_TOKEN where the run is started",
            ) from None
        except DatabricksError as error:
            raise MillpondError(f"Databricks refused the job {keys.job['name']}: {error}") from None
        return {port: {"job_id": job, "run_id": run, **found} for port in call.outputs}


def _applied(api: Any, wanted: dict[str, Any], log: Any) -> int:
    """The id of the job with this name, in the state that is wanted."""
    name = wanted["name"]
    listed = api.do("GET", f"{_JOBS}/list", query={"name": name, "limit": 2}).get("jobs", [])
    if len(listed) > 1:
        raise MillpondError(f"there are several jobs named {name}", hint="delete or rename all but one")
    if not listed:
        job = int(api.do("POST", f"{_JOBS}/create", body=wanted)["job_id"])
        log.info("made the job %s (%d)", name, job)
        return job
    job = int(listed[0]["job_id"])
    settings = api.do("GET", f"{_JOBS}/get", query={"job_id": job})["settings"]
    if _differs(wanted, settings):
        api.do("POST", f"{_JOBS}/reset", body={"job_id": job, "new_settings": wanted})
        log.info("changed the job %s (%d)", name, job)
    return job


def _differs(wanted: Any, found: Any) -> bool:
    """Whether what is wanted is not there; what the server fills in by itself does not count."""
    if isinstance(wanted, dict):
        return not isinstance(found, dict) or any(
            _differs(item, found.get(key)) for key, item in wanted.items()
        )
    if isinstance(wanted, list):
        if not isinstance(found, list) or len(found) != len(wanted):
            return True
        return any(_differs(item, other) for item, other in zip(wanted, found, strict=True))
    return bool(wanted != found)


def _watched(api: Any, run: int, poll: float, call: StepCall) -> dict[str, Any]:
    over = False
    try:
        while True:
            found = api.do("GET", f"{_JOBS}/runs/get", query={"run_id": run})
            state = found.get("state", {})
            word = state.get("life_cycle_state", "")
            call.context.progress(1.0 if word in _OVER else 0.0, word.lower())
            if word in _OVER:
                over = True
                break
            _pause(poll)
    finally:
        if not over:
            api.do("POST", f"{_JOBS}/runs/cancel", body={"run_id": run})
    page, result = found.get("run_page_url"), state.get("result_state", word)
    if result != "SUCCESS":
        reason = state.get("state_message") or result
        raise MillpondError(
            f"the run {run} of the job failed: {reason}", hint=f"see {page}" if page else None
        )
    return {"url": page, "result": result}


def _pause(seconds: float) -> None:
    """Wait in short steps, so that the step can be stopped meanwhile."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(left, 0.2))
