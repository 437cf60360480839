"""A step that runs an MLflow project: https://mlflow.org/docs/latest/ml/projects/."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from millpond.lake.reference import ModelReference
from millpond.model.errors import MillpondError
from millpond.pipelines.document import Step
from millpond.pipelines.extension import Code, Keys, Problem, StepCall, StepKind
from millpond.pipelines.process import execute
from millpond.pipelines.steps.files import digest_of_files, input_files, variables

_PORTS = {"run": "json", "model": "model"}
_SCRIPT = """
import json, sys
import mlflow
given = json.load(open(sys.argv[1]))
run = mlflow.projects.run(given["project"], entry_point=given["entry_point"], parameters=given["parameters"],
                          experiment_name=given["experiment"], env_manager="local", synchronous=True)
models = mlflow.search_logged_models(experiment_ids=[mlflow.get_run(run.run_id).info.experiment_id],
                                     filter_string=f"source_run_id = '{run.run_id}'", output_format="list")
json.dump({"run_id": run.run_id, "model": models[0].model_uri if models else None}, open(sys.argv[2], "w"))
"""


class ProjectKeys(Keys):
    """The project's folder, entry point and experiment."""

    project: str = Field(description="The folder of the project, beside the pipeline, with its MLproject")
    entry_point: str = Field(default="main", description="The entry point")
    experiment: str | None = Field(
        default=None, description="The experiment of its run; the pipeline's name if none"
    )


class ProjectStep(StepKind):
    """Runs a project. Values under ``with`` and local files of the inputs are its parameters.

    Its output ``run`` is JSON with the run's id; ``model`` is the model that the run logged.
    """

    keys = ProjectKeys
    packages = ("mlflow",)

    def check(self, step: Step, keys: ProjectKeys, folder: Path, strict: bool) -> Iterable[Problem]:
        """The project is there, and the outputs are those that a project can give."""
        if not (folder / keys.project / "MLproject").is_file():
            yield Problem(("project",), f"there is no {keys.project}/MLproject beside the pipeline")
        for port, output in step.outputs.items():
            if _PORTS.get(port) != output.type:
                hint = "it gives run of type json, and model of type model"
                yield Problem(("outputs", port), f"a project gives no {port} of type {output.type}", hint)

    def code(self, keys: ProjectKeys, folder: Path) -> Code:
        """All files of the project."""
        return Code(digest_of_files(folder, [], [f"{keys.project}/**/*"]))

    def run(self, call: StepCall) -> Mapping[str, Any]:
        """Run the project to its end.

        Raises:
            MillpondError: it fails, or logged no model where one is wanted.
        """
        keys: ProjectKeys = call.keys
        files = input_files(call)
        given, answer = call.context.folder / "given.json", call.context.folder / "answer.json"
        parameters = {**{port: str(path) for port, path in files.items()}, **call.arguments}
        document = {
            "project": str(call.code / keys.project),
            "entry_point": keys.entry_point,
            "parameters": {name: str(value) for name, value in parameters.items()},
            "experiment": keys.experiment or call.context.pipeline,
        }
        given.write_text(json.dumps(document), encoding="utf-8")
        argv = [sys.executable, "-c", _SCRIPT, str(given), str(answer)]
        execute(argv, call.code, variables(call, files, {}), "project")
        found = json.loads(answer.read_text(encoding="utf-8"))
        values: dict[str, Any] = {"run": {"run_id": found["run_id"]}}
        if "model" in call.outputs:
            if found["model"] is None:
                raise MillpondError(
                    f"the run {found['run_id']} of the project {keys.project} logged no model"
                )
            values["model"] = ModelReference(found["model"], run_id=found["run_id"])
        return values
