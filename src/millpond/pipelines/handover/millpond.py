"""The platform's own engine as a workflow engine: the component `pipelines`, by its API."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from millpond.pipelines.bundle import pack
from millpond.pipelines.handover.document import Handover
from millpond.pipelines.handover.engine import RunView, StepView
from millpond.pipelines.server.client import PipelineService, basic


class Millpond:
    """The component's API, as the platform's owner.

    Args:
        url: where it listens.
    """

    name = "millpond"

    def __init__(self, url: str, username: str, password: str) -> None:
        self.service = PipelineService(url, basic(username, password))

    def deploy(self, handover: Handover, folder: Path) -> None:
        """See `WorkflowEngine.deploy`; nothing is put into `folder`, as the code is sent."""
        file = Path(handover.file)
        archive, _ = pack(file.parent)
        self.service.deploy(
            handover.name,
            {
                "code": self.service.send(archive),
                "file": file.name,
                "version": handover.commit,
                "dirty": handover.dirty,
                "schedule": handover.schedule,
                "parameters": {
                    name: one["default"]
                    for name, one in handover.parameters.items()
                    if one["default"] is not None
                },
            },
        )

    def start(self, pipeline: str, parameters: Mapping[str, Any]) -> str:
        """See `WorkflowEngine.start`."""
        return str(self.service.start(pipeline, parameters)["run"])

    def run(self, pipeline: str, run: str) -> RunView:
        """See `WorkflowEngine.run`."""
        found = self.service.run(run)
        steps = {name: StepView(step["state"], step["attempts"]) for name, step in found["steps"].items()}
        return RunView(found["state"], steps)

    def record(self, pipeline: str, run: str) -> str:
        """See `WorkflowEngine.record`: they are the same."""
        return run

    def log(self, pipeline: str, run: str, step: str) -> str:
        """See `WorkflowEngine.log`."""
        return self.service.log(run, step)

    def schedule(self, pipeline: str) -> str | None:
        """See `WorkflowEngine.schedule`."""
        found: str | None = self.service.pipeline(pipeline)["schedule"]
        return found

    def cancel(self, pipeline: str, run: str) -> None:
        """See `WorkflowEngine.cancel`."""
        self.service.cancel(run)

    def page(self, pipeline: str, run: str) -> str:
        """See `WorkflowEngine.page`."""
        return f"/runs/{run}"
