"""What is exported of a pipeline, the same for every engine, and what cannot be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from millpond.model.errors import MillpondError
from millpond.pipelines import provenance
from millpond.pipelines.bundle import IGNORE, pack
from millpond.pipelines.clock import wrong_cron
from millpond.pipelines.document import Pipeline
from millpond.pipelines.environments import wanted
from millpond.pipelines.export.steppod import CODE, CODE_FILE, RUNS
from millpond.pipelines.handover.document import parameters_of, steps_of

LARGEST = 1_000_000
"""Bytes of code that travel in a ConfigMap; Kubernetes takes 1 MiB in all."""


@dataclass(frozen=True)
class Work:
    """One version of a pipeline, for an engine of a cluster.

    Attributes:
        steps: as `millpond.pipelines.handover.document.Handover` has them; so are `parameters`.
        code: the pipeline's folder as a zip; `version` names it.
        schedule: a cron expression, in `timezone`; `scheduled` are the values of its runs.
    """

    pipeline: Pipeline
    steps: dict[str, dict[str, Any]]
    parameters: dict[str, dict[str, Any]]
    code: bytes
    version: str
    schedule: str | None
    timezone: str
    scheduled: dict[str, Any]
    commit: str | None

    @classmethod
    def of(
        cls,
        pipeline: Pipeline,
        *,
        defaults: Mapping[str, Any],
        schedule: str | None = None,
        image: str | None = None,
    ) -> Work:
        """What there is to export.

        Args:
            defaults: values of parameters in place of the file's.
            schedule: a cron expression in place of the file's.
            image: the image of all steps, where it is not the platform's own.

        Raises:
            MillpondError: the folder is too large for a ConfigMap, or a step needs packages of its own.
            UsageError: a parameter or the schedule is wrong.
        """
        if schedule and (wrong := wrong_cron(schedule)):
            raise MillpondError(wrong)
        _refuse_environments(pipeline, image)
        code, version = pack(pipeline.folder)
        if len(code) > LARGEST:
            raise MillpondError(
                f"the code of {pipeline.name} is {len(code):,} bytes packed; a pod gets it by a ConfigMap, "
                f"which takes {LARGEST:,}",
                hint=f"put data into the lake, or name it in {IGNORE}",
            )
        own = pipeline.schedule
        commit, _ = provenance.commit(pipeline.folder)
        return cls(
            pipeline=pipeline,
            steps=steps_of(pipeline),
            parameters=parameters_of(pipeline, defaults),
            code=code,
            version=version[:16],
            schedule=schedule or (own.cron if own else None),
            timezone=own.timezone if own else "UTC",
            scheduled=dict(own.parameters) if own and not schedule else {},
            commit=commit,
        )

    @property
    def name(self) -> str:
        """The pipeline's name."""
        return self.pipeline.name

    def arguments(self, step: str, engine: str, *, begun: str, key: str) -> list[str]:
        """What ``python -m millpond.pipelines.step`` is told in a pod, but for parameters and tries.

        Args:
            begun: when the run began, in the engine's words; `key` is what it calls it.
        """
        found = ["--code", f"{CODE}/{CODE_FILE}", "--pipeline", self.pipeline.path.name, "--runs", RUNS]
        found += ["--begun", begun, "--key", key, "--step", step, "--engine", engine]
        found += ["--tries", str(self.steps[step]["retries"] + 1)]
        return [*found, *(["--commit", self.commit] if self.commit else [])]

    def deadline(self, step: str) -> int | None:
        """Seconds after which a step's pod is ended; the step ends itself before, unless it hangs."""
        timeout = self.steps[step]["timeout"]
        return int(timeout) + 60 if timeout else None


def text_of(value: Any) -> str:
    """A parameter's value as text, which the step reads back.

    >>> text_of(True), text_of([1, 2]), text_of("x")
    ('true', '1,2', 'x')
    """
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(text_of, value)) if isinstance(value, list) else str(value)


def _refuse_environments(pipeline: Pipeline, image: str | None) -> None:
    if apart := wanted(pipeline):
        raise MillpondError(
            f"the step {next(iter(apart))} has packages of its own, which a pod would have to fetch",
            hint="give the whole pipeline one `environment`, and --image an image that has its packages",
        )
    if pipeline.lock is not None and image is None:
        raise MillpondError(
            f"{pipeline.name} brings its own packages, which the platform's image lacks",
            hint="--image IMAGE names one that has them, and Millpond",
        )
