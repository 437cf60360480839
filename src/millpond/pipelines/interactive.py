"""Pipelines and the platform's variables from a notebook, a shell or a script, with nothing configured.

``from millpond import run, env``. The platform is that of ``MILLPOND_PROJECT``, which notebooks and steps of
a platform find in their environment, or of the nearest folder that has ``.millpond``.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import sys
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import millpond
import millpond.catalogue
from millpond.lake.reference import Reference
from millpond.model.errors import MillpondError
from millpond.pipelines.events import Event, RunEnded, RunRefused, StepChanged
from millpond.pipelines.inputs import value_of
from millpond.pipelines.launch import Launch
from millpond.pipelines.record import RunRecord, Runs

_KNOWN_BY = ("AWS_ENDPOINT_URL", "MILLPOND_LAKE_ROOT")


def project() -> Path | None:
    """The folder of the platform that is meant here, if there is one."""
    if given := os.environ.get("MILLPOND_PROJECT"):
        return Path(given)
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / ".millpond").is_dir()), None)


class Environment(Mapping[str, str]):
    """What the platform tells user code: addresses, keys and names, by the variables that libraries look for.

    What this process has already is taken from it; else the nearest platform is asked, once.
    """

    @cached_property
    def _values(self) -> dict[str, str]:
        if any(name in os.environ for name in _KNOWN_BY):
            return dict(os.environ)
        return {**os.environ, **_of_platform()}

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        # Names alone: what is printed in a notebook is kept in it.
        return f"<{len(self)} variables of the platform>"

    def apply(self) -> None:
        """Let this process, and what it starts, find all of them; names that are set already stay."""
        for name, value in self._values.items():
            os.environ.setdefault(name, value)


def _of_platform() -> dict[str, str]:
    folder = project()
    if folder is None:
        return {}
    from millpond.flavours import loader
    from millpond.targets.local.target import LocalTarget

    file = folder / loader.FILE
    noted = folder / ".millpond" / "flavour"
    if not file.is_file() and noted.is_file():
        file = Path(noted.read_text(encoding="utf-8").strip())
    if not file.is_file():
        return {}
    source = loader.read(file)
    if source.flavour.target != "local":
        return {}
    catalogue = source.catalogue()
    return LocalTarget(source.resolve(catalogue), catalogue, folder).environment()


env = Environment()
"""The platform's variables, as ``millpond env`` prints them."""


def settle() -> None:
    """Let this process find the nearest platform, where it knows none and there is one.

    A platform that cannot be read is passed over here: it is told of by what needs it.
    """
    with suppress(MillpondError):
        env.apply()


class Result:
    """What came of a run.

    Attributes:
        record: the run's record: every step with its inputs, outputs, code and times.
    """

    def __init__(self, record: RunRecord) -> None:
        self.record = record

    @property
    def id(self) -> str:
        """The run's id, for ``millpond runs show``."""
        return self.record.id

    @property
    def results(self) -> dict[str, Any]:
        """The values that the pipeline file asks to show, by label."""
        return self.record.results

    @property
    def outputs(self) -> dict[str, Reference]:
        """Every output by ``step.port``, as a reference: where it is, and exactly which bytes."""
        return {
            f"{name}.{port}": reference
            for name, step in self.record.steps.items()
            for port, reference in step.outputs.items()
        }

    def __getitem__(self, name: str) -> Any:
        """The value of an output, by ``step.port``: a table as a DataFrame, a file as a path.

        Raises:
            KeyError: there is no such output.
        """
        env.apply()
        folder = Path(tempfile.mkdtemp(prefix="millpond-output-"))
        return value_of(self.outputs[name], name, lambda: folder)

    def __repr__(self) -> str:
        took = f" after {self.record.seconds:.1f} s" if self.record.seconds is not None else ""
        lines = [f"{self.record.pipeline} {self.record.status}{took}, run {self.id}"]
        lines += [f"  {label}: {value}" for label, value in self.results.items()]
        return "\n".join(lines)


def run(
    pipeline: str | os.PathLike[str],
    /,
    *,
    only: Collection[str] = (),
    force: Collection[str] = (),
    quiet: bool = False,
    **parameters: Any,
) -> Result:
    """Run a pipeline on the platform, wait for it, and return what came of it.

    Args:
        pipeline: its file, or the folder that has ``pipeline.yaml``.
        only: run these steps and what they need.
        force: steps whose earlier results are not taken, or ``all``.
        quiet: print nothing; else a line on standard error for each step that ends.
        parameters: the pipeline's parameters, by name.

    Raises:
        MillpondError: the file or a parameter is wrong, or a step failed; it says which and why.
    """
    folder = project() or Path.cwd()
    runs = folder / ".millpond" / "runs"
    launch = Launch(Path(pipeline), parameters, runs=runs, only=list(only), force=list(force))
    python, variables = _interpreter(launch)
    refused: RunRefused | None = None
    with launch.start(python, variables, _environments(launch, runs.parent)) as running:
        for event in running:
            if isinstance(event, RunRefused):
                refused = event
            if not quiet:
                _tell(event)
    if refused is not None:
        raise MillpondError(str(refused.error.get("message")), hint=refused.error.get("hint"))
    record = Runs(runs).read(launch.id)
    for name, step in record.steps.items():
        if step.status == "failed":
            error = step.error or {}
            raise MillpondError(
                f"the step {name} failed: {error.get('message', 'it says no reason')}",
                hint=error.get("hint") or f"millpond runs show {record.id} tells all of it",
            )
    if record.status != "succeeded":
        raise MillpondError(f"the run {record.id} was {record.status}")
    return Result(record)


def _interpreter(launch: Launch) -> tuple[Path, dict[str, str]]:
    """The Python that runs the pipeline, and its variables: this one where it has what that takes."""
    package = str(Path(millpond.__file__).resolve().parent.parent)
    own = os.environ.get("PYTHONPATH", "")
    variables = {**env, "PYTHONPATH": os.pathsep.join(word for word in (package, own) if word)}
    lock = launch.pipeline.lock
    if lock is None and all(importlib.util.find_spec(name) for name in ("distributed", "mlflow", "boto3")):
        return Path(sys.executable), variables
    from millpond.targets.local.installs import InstallRequest, InstallStore

    shipped = Path(millpond.catalogue.__file__).parent / "environments" / "science" / "requirements.lock"
    found = lock or shipped
    request = InstallRequest("environment", found.parent, {"pip": found.name, "millpond": True})
    install = _waited(InstallStore().ensure(request))
    return install.bin[0] / "python", {**variables, **install.env}


def _environments(launch: Launch, state: Path) -> dict[str, Any]:
    from millpond.pipelines.environments import installed

    found: dict[str, Any] = _waited(installed(launch.pipeline, launch.steps, state / "environments"))
    return found


def _waited(work: Any) -> Any:
    """The result of a coroutine, also inside a notebook, whose own loop runs already."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


def _tell(event: Event) -> None:
    if isinstance(event, StepChanged) and event.over:
        took = f" {event.seconds:.1f} s" if event.seconds else ""
        print(f"{event.step}: {event.state}{took}", file=sys.stderr)  # noqa: T201
    elif isinstance(event, RunEnded):
        print(f"{event.run}: {event.status}", file=sys.stderr)  # noqa: T201
