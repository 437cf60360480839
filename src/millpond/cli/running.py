"""Running a pipeline before somebody's eyes: what it needs, the live view, then its results."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from millpond.cli.exit_codes import ExitCode
from millpond.cli.style import columns, faint, hint, note, out, paint, seconds_text, strong
from millpond.model.errors import MillpondError

if TYPE_CHECKING:
    from millpond.cli.run_views import RunView
    from millpond.pipelines.document import Pipeline
    from millpond.pipelines.environments import StepEnvironment
    from millpond.pipelines.launch import Launch
    from millpond.targets.kubernetes.target import KubernetesTarget
    from millpond.targets.local.installs import Install
    from millpond.targets.local.target import LocalTarget
    from millpond.targets.local.workspace import Workspace

_MINE = ("s3", "mlflow", "dask", "inference", "gateway")


def run_pipeline(
    target: LocalTarget | KubernetesTarget,
    pipeline: Path,
    parameters: Mapping[str, str],
    *,
    only: Sequence[str] = (),
    force: Sequence[str] = (),
    offline: bool = False,
    logs: bool = False,
    as_json: bool = False,
) -> int:
    """Run a pipeline on a platform that is up, and return the exit code.

    On a cluster the steps run here, in processes of this machine to which the platform's ports are forwarded:
    the workers of its Dask know the platform by other addresses, and its pods not this folder.

    Raises:
        MillpondError: the file is wrong, or the platform is not ready.
    """
    from millpond.pipelines.launch import Launch

    runs = _workspace(target).runs
    launch = Launch(pipeline, parameters, runs=runs, only=only, force=force)
    return run_launch(target, launch, offline=offline, logs=logs, as_json=as_json)


def run_launch(
    target: LocalTarget | KubernetesTarget,
    launch: Launch,
    *,
    offline: bool = False,
    logs: bool = False,
    as_json: bool = False,
) -> int:
    """Run what was checked already, and return the exit code; see `run_pipeline`."""
    from millpond.cli.environments import installed, shipped
    from millpond.cli.run_views import run_view

    require_ready(target)
    _workspace(target).create()
    lock = launch.pipeline.lock or shipped("science")
    install = asyncio.run(installed(lock, offline=offline, as_json=as_json))
    environments = step_environments(
        launch.pipeline, launch.steps, _workspace(target).root, offline=offline, as_json=as_json
    )
    if not as_json:
        note(f"{strong(launch.pipeline.name, sys.stderr)}  {faint(f'run {launch.id}', sys.stderr)}")
    with (
        _reached(target) as found,
        launch.start(install.bin[0] / "python", _variables(found, install), environments) as running,
        run_view(as_json=as_json, logs=logs) as view,
    ):
        for event in running:
            view(event)
    if as_json:
        return _exit_code(view)
    return _tell_end(view, launch)


def _workspace(target: LocalTarget | KubernetesTarget) -> Workspace:
    """The project's folder, which has the records of runs wherever the platform is."""
    from millpond.targets.local.target import LocalTarget
    from millpond.targets.local.workspace import Workspace

    return target.workspace if isinstance(target, LocalTarget) else Workspace(target.project)


@contextmanager
def _reached(target: LocalTarget | KubernetesTarget) -> Iterator[dict[str, str]]:
    """What the platform tells the steps, while it can be reached."""
    from millpond.targets.local.target import LocalTarget

    if isinstance(target, LocalTarget):
        yield target.environment()
        return
    from millpond.cli.cluster_side import reached

    with reached(target) as found:
        if found.pop("DASK_SCHEDULER_ADDRESS", None):
            note(faint("the steps run on this machine, not on the cluster's Dask", sys.stderr))
        yield found


def step_environments(
    pipeline: Pipeline, steps: Collection[str], state: Path, *, offline: bool = False, as_json: bool = False
) -> dict[str, StepEnvironment]:
    """The environments of a run's steps that have their own, locked and installed where they are not yet.

    Args:
        state: the project's ``.millpond``, which keeps the locks of requirements that had none.

    Raises:
        MillpondError: one cannot be had.
    """
    from millpond.cli.environments import installed
    from millpond.pipelines.environments import StepEnvironment, lock_of, wanted
    from millpond.targets.local.installs import default_root

    found = {}
    for step, environment in wanted(pipeline).items():
        if step not in steps:
            continue
        folder = state / "environments"
        if not environment.kept(folder).is_file() and not as_json:
            note(f"{step}: looks up its packages")
        lock = asyncio.run(lock_of(step, environment, folder, default_root(), offline=offline))
        install = asyncio.run(installed(lock, offline=offline, as_json=as_json))
        bins = tuple(str(folder) for folder in install.bin)
        found[step] = StepEnvironment(f"{bins[0]}/python", install.key, bins, dict(install.env))
    return found


def require_ready(target: LocalTarget | KubernetesTarget, interfaces: Collection[str] = _MINE) -> None:
    """Make sure that what provides these interfaces to user code is up.

    Raises:
        MillpondError: it is not.
    """
    wanted = {
        binding.provider
        for interface, binding in target.platform.user.items()
        if binding.provider and (interface in interfaces or binding.interface in interfaces)
    }
    missing = [
        f"{found.name} is {found.state}"
        for found in target.status()
        if found.name in wanted and found.state != "ready"
    ]
    if missing:
        raise MillpondError(
            f"the platform is not ready: {', '.join(missing)}",
            hint="`millpond up` brings it up",
            exit_code=ExitCode.NOT_READY,
        )


def _variables(found: Mapping[str, str], install: Install) -> dict[str, str]:
    """What the runner finds: this process's names, the platform's, and where its packages are."""
    mine = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    path = os.pathsep.join([*(str(folder) for folder in install.bin), mine.get("PATH", os.defpath)])
    return {**mine, **found, **install.env, "PATH": path}


def _exit_code(view: RunView) -> int:
    if view.ended is None:
        return ExitCode.FAILED
    return {"succeeded": ExitCode.OK, "cancelled": ExitCode.INTERRUPTED}.get(
        view.ended.status, ExitCode.FAILED
    )


def _tell_end(view: RunView, launch: Launch) -> int:
    if view.refused is not None:
        error = view.refused.error
        details = error.get("details") or ()
        raise MillpondError(
            str(error.get("message", "the run was refused")), hint=error.get("hint"), details=details
        )
    if view.ended is None:
        raise MillpondError(
            "the run ended without saying how", hint=f"`millpond runs show {launch.id}` has what was done"
        )
    for row in view.rows.values():
        if row.state == "failed" and row.error:
            tell_step_error(row.name, row.error, row.log)
    counts = ", ".join(f"{count} {state}" for state, count in view.ended.counts.items())
    note()
    word = paint(view.ended.status, view.ended.status, sys.stderr, bold=True)
    note(f"{launch.pipeline.name} {word} after {seconds_text(view.ended.seconds)} ({counts})")
    show_results(view.ended.results)
    if view.ended.status != "succeeded":
        hint(
            f"`millpond runs show {launch.id}` tells of each step; `millpond pipeline resume` goes on with it"
        )
    return _exit_code(view)


def tell_step_error(step: str, error: Mapping[str, Any], log: Sequence[str] = ()) -> None:
    """Why a step failed: the message, the place in its code, its last lines, and what to do."""
    note()
    note(f"{paint('error:', 'error', sys.stderr, bold=True)} {step}: {error.get('message', 'failed')}")
    if error.get("file"):
        note(f"  {error['file']}:{error.get('line', '')}: {str(error.get('source', '')).strip()}")
    for line in list(log)[-10:]:
        note(f"  {faint(line, sys.stderr)}")
    if error.get("hint"):
        note(f"{paint('hint:', 'hint', sys.stderr)} {error['hint']}")


def show_results(results: Mapping[str, Any]) -> None:
    """The results of a run: short ones side by side, tables and longer texts under their names."""
    short: list[tuple[str, str]] = []
    long: list[tuple[str, list[str]]] = []
    for label, value in results.items():
        lines = _lines(value)
        if len(lines) == 1:
            short.append((label, lines[0]))
        elif lines:
            long.append((label, lines))
    if short:
        out()
        for line in columns(short, paints={0: strong}):
            out(line)
    for label, lines in long:
        out()
        out(strong(label))
        for line in lines:
            out(f"  {line}")


def _lines(value: Any) -> list[str]:
    """A value as lines: a list of mappings is a table, a mapping one line per key."""
    if isinstance(value, str):
        return value.strip("\n").splitlines() or [""]
    if isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
        heads = list(dict.fromkeys(str(key) for row in value for key in row))
        return columns([[_cell(row.get(key, "")) for key in heads] for row in value], heads=heads)
    if isinstance(value, dict):
        return columns(list(_flat(value, "")))
    return [_cell(value)]


def _flat(value: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
    """A mapping with the mappings in it, their keys joined by dots."""
    for key, item in value.items():
        if isinstance(item, dict) and item:
            yield from _flat(item, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", _cell(item)


def _cell(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: ""}[value]
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1e5 else f"{value:,.0f}"
    if isinstance(value, str | int):
        return str(value)
    return json.dumps(value, default=str)
