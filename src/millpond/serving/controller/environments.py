"""The environment of a model: the one that all share where that has what the model needs, else its own.

A model names what it needs: MLflow writes that down when a model is logged, and a ``requirements.txt``
beside any other model does the same. Where the environment that the controller itself runs in satisfies
all of it, the model runs in that, at once. Else the requirements are resolved together with what the
model server needs (``catalogue/environments/server.in``), and installed in the store that all projects
share: by the lock's hash, so that models with the same lock share one install. The lock is kept with the
controller's data: a restart resolves nothing.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import millpond.catalogue
from millpond.model.errors import MillpondError, did_you_mean
from millpond.serving.controller.requirements import Requirements, constraint_of, missing, read
from millpond.targets.local.installs import (
    InstallError,
    InstallRequest,
    InstallStore,
    Progress,
    ProgressCallback,
    default_root,
)
from millpond.targets.local.installs.resolve import resolve

log = logging.getLogger(__name__)

Tell = Callable[[str], None]
"""Told a sentence on what is being done."""

_SHIPPED = Path(millpond.catalogue.__file__).parent / "environments"
_SERVER = _SHIPPED / "server.in"
_PACKAGES = {
    "mlflow": ("mlflow",),
    "sklearn": ("scikit-learn",),
    "xgboost": ("xgboost",),
    "lightgbm": ("lightgbm",),
    "onnx": ("onnxruntime",),
    "pytorch": ("torch",),
    "keras": ("keras",),
    "python": (),
}
"""What each format's runtime imports."""

_BACKENDS = frozenset({"jax", "tensorflow", "tensorflow-cpu", "torch"})
"""Keras needs one of them; the first where the model names none."""

_PHASES = {
    "wait": "waits for another install",
    "resolve": "looks up its packages",
    "download": "downloads its packages",
    "unpack": "unpacks its packages",
    "compile": "compiles its packages",
}


@dataclass(frozen=True)
class Environment:
    """Where a model's server runs.

    Attributes:
        python: the interpreter.
        env: variables that the server needs to find its packages, and Millpond.
        key: names what is installed; equal keys are equal environments. ``shared`` is the controller's own.
        reason: why it is this one, and a warning if there is one.
    """

    python: Path
    env: dict[str, str]
    key: str
    reason: str


async def environment_for(
    folder: Path, model_format: str, data: Path, progress: Tell | None = None, *, name: str = "model"
) -> Environment:
    """The environment that a model runs in, made if it is not there.

    Args:
        folder: the model's files.
        model_format: as KServe's ``modelFormat`` names it.
        data: the controller's data folder; locks are kept in its ``environments``.
        progress: told what takes time.
        name: the model's, for messages.

    Raises:
        MillpondError: it cannot be had; in the resolver's own words where it was that.
    """
    tell = progress or (lambda sentence: None)
    lock, said = await lock_for(folder, model_format, data, tell, name=name)
    if lock is None:
        return Environment(Path(sys.executable), _shared(), "shared", said)
    request = InstallRequest(f"model {name}", lock.parent, {"pip": lock.name, "millpond": True})
    made = await InstallStore().ensure(request, _follower(name, tell))
    env = {
        **made.env,
        "PATH": os.pathsep.join([*map(str, made.bin), os.environ.get("PATH", os.defpath)]),
    }
    return Environment(made.paths["pip"] / "bin" / "python", env, made.paths["pip"].name, said)


async def lock_for(
    folder: Path,
    model_format: str,
    data: Path,
    progress: Tell | None = None,
    *,
    name: str = "model",
    machine: tuple[str, str] | None = None,
) -> tuple[Path | None, str]:
    """The lock of a model's environment, made if it is not there, and why it is this one.

    None is the shared environment, in which this process must run. Arguments are those of `environment_for`.

    Args:
        machine: the Python's version and platform, as uv names them, where they are not this machine's.

    Raises:
        MillpondError: its requirements cannot be had together.
    """
    tell = progress or (lambda sentence: None)
    known = _actual(folder, model_format.lower())
    wanted = read(folder)
    warning = wanted.other_python()
    if warning is not None:
        log.warning("model %s: %s", name, warning)
    lack = missing(Requirements(_PACKAGES[known]), folder) or missing(wanted, folder)
    if lack is None:
        said = (
            f"the shared environment has all of {wanted.source}" if wanted.source else "it names no packages"
        )
        return None, _joined(said, warning)
    if wanted.source is None:
        return _shipped(known, name), _joined(f"the one that Millpond ships for {known}", warning)
    lock = await _lock(folder, known, wanted, data / "environments", name, tell, machine)
    return lock, _joined(f"its own, as the shared environment does not have {lack}", warning)


def _actual(folder: Path, model_format: str) -> str:
    """The format whose packages are needed: a PyTorch model that was exported to ONNX needs no PyTorch.

    Raises:
        MillpondError: there is no such format.
    """
    if model_format not in _PACKAGES:
        raise MillpondError(
            f"unknown model format {model_format}", hint=did_you_mean(model_format, _PACKAGES)
        )
    if model_format == "pytorch" and any(folder.glob("*.onnx")) and not any(folder.glob("*.pt*")):
        return "onnx"
    return model_format


def _shared() -> dict[str, str]:
    binaries = str(Path(sys.executable).parent)
    return {
        "PATH": f"{binaries}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
    }


def _shipped(model_format: str, name: str) -> Path:
    """The lock of the environment that Millpond ships for a format that the shared one lacks.

    Raises:
        MillpondError: it ships none.
    """
    lock = _SHIPPED / model_format / "requirements.lock"
    if not lock.is_file():
        package = _PACKAGES[model_format][0]
        raise MillpondError(
            f"model {name}: Millpond ships no environment with {package}",
            hint=f"put a requirements.txt beside the model that names {package}"
            + ("; or export the model to ONNX" if model_format == "pytorch" else ""),
        )
    return lock


async def _lock(
    folder: Path,
    model_format: str,
    wanted: Requirements,
    data: Path,
    name: str,
    tell: Tell,
    machine: tuple[str, str] | None,
) -> Path:
    """The lock of what a model names and the server needs: one that was made before, else a new one."""
    for line in wanted.lines:
        if "://" in line or line.startswith(("-e", "--editable")) or re.search(r"\s@\s", line):
            raise MillpondError(
                f"model {name}: {wanted.source} names what is in no package index: {line[:100]}",
                hint="only released packages can be held to a hash: put the code beside the model instead",
            )
    extra = _unnamed(model_format, wanted)
    lock = data / f"{_key(folder, wanted, extra, machine)}.lock"
    if _is_there(lock):
        return lock
    tell("looks for versions of its packages that fit together")
    with tempfile.TemporaryDirectory(prefix="millpond-requirements-") as place:
        inputs = _inputs(folder, wanted, extra, Path(place))
        try:
            text = await resolve(
                f"model {name}", inputs, default_root(), lambda: tell(_PHASES["wait"]), machine
            )
        except InstallError as error:
            other = wanted.other_python()
            if other is None:
                raise
            raise InstallError(
                error.message, hint=f"{other}, which may be why: {error.hint}", details=error.details
            ) from error
    _keep(lock, f"# Made for a model from its {wanted.source}\n{text}")
    return lock


def _key(folder: Path, wanted: Requirements, extra: list[str], other: tuple[str, str] | None = None) -> str:
    """Names a lock by everything that it is made from, and by the machine that it is made for."""
    found = [constraint_of(line, folder) for line in wanted.lines]
    constraints = [path.read_text() for path in found if path is not None and path.is_file()]
    machine = f"{sys.implementation.cache_tag} {sys.platform} {os.uname().machine}"
    machine = " ".join(other) if other else machine
    parts = [*sorted(wanted.lines), *extra, *constraints, _SERVER.read_text(), machine]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]


def _inputs(folder: Path, wanted: Requirements, extra: list[str], place: Path) -> list[Path]:
    """Files for the resolver; the model's own where it is one that can be read as it is."""
    more, own = place / "more.in", folder / "requirements.txt"
    more.write_text("\n".join([*extra, ""]))
    if wanted.source != own.name:
        own = place / "requirements.txt"
        own.write_text("\n".join([*wanted.lines, ""]))
    return [_SERVER, more, own]


def _is_there(lock: Path) -> bool:
    return lock.is_file()


def _keep(lock: Path, text: str) -> None:
    lock.parent.mkdir(parents=True, exist_ok=True)
    fresh = lock.with_suffix(f".{os.getpid()}.new")
    fresh.write_text(text)
    fresh.rename(lock)


def _unnamed(model_format: str, wanted: Requirements) -> list[str]:
    """What the format's runtime imports, or the model was installed with, and the model does not name."""
    names = wanted.names
    packages = [
        package
        for package in _PACKAGES[model_format]
        if not names & {package, f"{package}-cpu", f"{package}-gpu", f"{package}-skinny"}
    ]
    if model_format == "keras" and not names & _BACKENDS:
        packages.append("jax")
    return packages if "setuptools" in names else [*packages, *wanted.tools]


def _follower(name: str, tell: Tell) -> ProgressCallback:
    """Turns the store's events into sentences, each said once, with the megabytes where they are known."""
    last = ""

    def follow(event: Progress) -> None:
        nonlocal last
        if event.kind != "pip" or event.phase not in _PHASES:
            return
        said = _PHASES[event.phase]
        if event.phase == "download" and event.unit == "bytes" and event.total:
            said += f": {(event.done or 0) / 1e6:.0f} of {event.total / 1e6:.0f} MB"
        if said != last:
            last = said
            log.info("the environment of model %s: %s", name, said)
            tell(said)

    return follow


def _joined(reason: str, warning: str | None) -> str:
    return reason if warning is None else f"{reason}; {warning}"
