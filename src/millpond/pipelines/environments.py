"""Environments of single steps: requirements that become a lock, and a lock that becomes an isolated install.

A lock with hashes is installed as it is. Requirements without hashes, in a file or in the pipeline itself,
are resolved once, together with what a step needs beside its own packages; the lock is kept with the
project, so that they stay the same. Installs lie in the store that all projects share, by the hash of their
lock: steps with equal locks share one.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import millpond.catalogue
from millpond.model.errors import MillpondError
from millpond.pipelines import extension
from millpond.pipelines.document import Pipeline, Step

_SHIPPED = Path(millpond.catalogue.__file__).parent / "environments"
_BASE = _SHIPPED / "step.in"
_TABLES = ("pandas", "pyarrow")
NEEDED = ("boto3", "pydantic", "pyyaml")
"""What a lock must have, for a step to be run in it at all."""


@dataclass(frozen=True)
class StepEnvironment:
    """An environment that is installed on this machine.

    Attributes:
        python: its interpreter.
        key: hash of its lock; part of the step's own key.
        env: variables that its processes need, with ``PATH``'s first folders under ``bin``.
    """

    python: str
    key: str
    bin: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON data; `of` reads it back."""
        return asdict(self)

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> StepEnvironment:
        """The inverse of `as_dict`."""
        return cls(data["python"], data["key"], tuple(data["bin"]), data["env"])


@dataclass(frozen=True)
class Wanted:
    """What a step's environment is made from: a lock, or requirements that have none yet."""

    lock: Path | None = None
    requirements: str = ""

    def kept(self, folder: Path) -> Path:
        """Where the lock is, or will be: for requirements in `folder`, by their hash."""
        if self.lock is not None:
            return self.lock
        word = f"{platform.system()}-{platform.machine()}-{platform.python_version()}\n{self.requirements}"
        return folder / hashlib.sha256(word.encode()).hexdigest()[:24] / "requirements.lock"


def wanted(pipeline: Pipeline) -> dict[str, Wanted]:
    """The environments of all steps that do not run in the pipeline's, by the steps' names.

    Raises:
        MillpondError: a kind's own environment does not ship.
    """
    found = {}
    for name, step in pipeline.steps.items():
        if step.environment is not None:
            found[name] = _of_step(step, pipeline.folder)
        elif extension.installed("millpond.steps", step.use):
            own = extension.find("millpond.steps", step.use).environment
            if own is not None:
                lock = _SHIPPED / own / "requirements.lock"
                if not lock.is_file():
                    raise MillpondError(f"the environment {own} of the kind {step.use} does not ship")
                found[name] = Wanted(lock)
    return found


def _of_step(step: Step, folder: Path) -> Wanted:
    given = step.environment
    if isinstance(given, str):
        file = folder / given
        text = file.read_text(encoding="utf-8")
        if "--hash=" in text:
            return Wanted(file)
        lines = text.splitlines()
    else:
        lines = list(given or [])
    kinds = {output.type for output in step.outputs.values()}
    if "table" in kinds or step.inputs:
        lines += _TABLES
    if extension.installed("millpond.steps", step.use):
        lines += extension.find("millpond.steps", step.use).packages
    base = _BASE.read_text(encoding="utf-8").splitlines()
    plain = sorted({line.strip() for line in [*lines, *base] if line.strip() and not line.startswith("#")})
    return Wanted(requirements="\n".join(plain) + "\n")


async def lock_of(step: str, environment: Wanted, folder: Path, root: Path, *, offline: bool) -> Path:
    """The lock of an environment, made where it is not there yet.

    Args:
        step: whose, for messages.
        folder: of the project's locks.
        root: of the store of installs, which has the resolver's cache.

    Raises:
        InstallError: the requirements cannot be had; MillpondError: `offline`, and there is no lock yet.
    """
    lock = environment.kept(folder)
    if lock.is_file():
        return lock
    if offline:
        raise MillpondError(
            f"the requirements of the step {step} were never locked here, which needs the network",
            hint="run it once without --offline",
        )
    from millpond.targets.local.installs.resolve import resolve

    lock.parent.mkdir(parents=True, exist_ok=True)
    source = lock.with_name("requirements.in")
    source.write_text(environment.requirements, encoding="utf-8")
    text = await resolve(f"the step {step}", [source], root)
    made = lock.with_name(".requirements.lock")
    made.write_text(text, encoding="utf-8")
    made.replace(lock)
    return lock


async def installed(
    pipeline: Pipeline, steps: Collection[str], folder: Path, *, offline: bool = False
) -> dict[str, StepEnvironment]:
    """The environments of some steps of a pipeline, locked and installed where they are not yet.

    Args:
        folder: of the project's locks.

    Raises:
        InstallError: one cannot be had.
    """
    from millpond.targets.local.installs import InstallRequest, InstallStore, default_root

    found = {}
    for step, environment in wanted(pipeline).items():
        if step in steps:
            lock = await lock_of(step, environment, folder, default_root(), offline=offline)
            request = InstallRequest(f"the step {step}", lock.parent, {"pip": lock.name, "millpond": True})
            install = await InstallStore(offline=offline).ensure(request)
            bins = tuple(str(place) for place in install.bin)
            found[step] = StepEnvironment(f"{bins[0]}/python", install.key, bins, dict(install.env))
    return found
