"""A step that runs in a container of an image, by Docker or Podman, whichever is on the machine."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from millpond.model.errors import MillpondError
from millpond.model.expression import Reference as Expression
from millpond.pipelines.document import Step
from millpond.pipelines.extension import Code, Keys, Problem, StepCall, StepKind
from millpond.pipelines.process import execute
from millpond.pipelines.steps.files import digest_of_files, input_files, output_files, variables, written

_PASSED = (
    "AWS_",
    "MLFLOW_",
    "PG",
    "KAFKA_",
    "MILLPOND_INPUT_",
    "MILLPOND_OUTPUT_",
    "MILLPOND_RUN",
    "MILLPOND_STEP",
)
_ENGINES = ("docker", "podman")


class ContainerKeys(Keys):
    """The image, and what is run in it."""

    image: str = Field(description="The image, best by its digest: `NAME@sha256:…`")
    run: list[str | int | float] = Field(
        default_factory=list, description="Arguments; `${inputs.x}` and `${outputs.y}` are files in it"
    )
    entrypoint: str | None = Field(default=None, description="In place of the image's own")
    env: dict[str, str] = Field(default_factory=dict, description="Further variables; nothing secret")
    network: Literal["none", "host", "bridge"] = Field(
        default="host", description="Which network it sees; the platform's services are on the host's"
    )
    files: list[str] = Field(default=[], description="Patterns of files beside it that count as its code")


class ContainerStep(StepKind):
    """Runs an image. The pipeline's folder is its working folder, read-only, at the path that it has here."""

    keys = ContainerKeys
    raw = frozenset({"run"})

    def check(self, step: Step, keys: ContainerKeys, folder: Path, strict: bool) -> Iterable[Problem]:
        """Values stand in ``run``."""
        if step.arguments:
            yield Problem(("with",), "a container takes no values under with", "put them into run or env")
        if step.environment is not None:
            yield Problem(("environment",), "a container has the packages of its image")

    def code(self, keys: ContainerKeys, folder: Path) -> Code:
        """The files that count; the image's name is one of the keys."""
        return Code(digest_of_files(folder, [], keys.files))

    def run(self, call: StepCall) -> Mapping[str, Any]:
        """Run the container to its end.

        Raises:
            MillpondError: there is no engine, it fails, or an output is not written.
        """
        engine = next((found for name in _ENGINES if (found := shutil.which(name))), None)
        if engine is None:
            raise MillpondError(
                "neither docker nor podman is on the PATH of this machine",
                hint="install one of them, or use the kind command with an environment",
            )
        keys: ContainerKeys = call.keys
        inputs, outputs = input_files(call), output_files(call)

        def names(reference: Expression) -> Any:
            return {"inputs": inputs, "outputs": outputs}[reference.path[0]][reference.path[1]]

        environment = variables(call, inputs, outputs)
        container = f"millpond-{uuid.uuid4().hex[:12]}"
        argv = [engine, "run", "--rm", "--name", container, "--network", keys.network]
        # By name alone, so that no value stands in an argument list.
        argv += [word for name in sorted(environment) if name.startswith(_PASSED) for word in ("--env", name)]
        argv += [word for name, value in keys.env.items() for word in ("--env", f"{name}={value}")]
        folder = call.context.folder
        argv += ["--volume", f"{folder}:{folder}", "--volume", f"{call.code}:{call.code}:ro"]
        argv += ["--workdir", str(call.code), "--user", f"{os.getuid()}:{os.getgid()}"]
        argv += ["--entrypoint", keys.entrypoint] if keys.entrypoint else []
        argv += [keys.image, *(str(call.render(word, names)) for word in keys.run)]
        done = False
        try:
            execute(argv, call.code, environment, "container")
            done = True
        finally:
            if not done:
                _remove(engine, container)
        return written("container", outputs)


def _remove(engine: str, container: str) -> None:
    """Ending the client does not end the container; removing it does."""
    import subprocess

    subprocess.run([engine, "rm", "--force", container], capture_output=True, timeout=30, check=False)
