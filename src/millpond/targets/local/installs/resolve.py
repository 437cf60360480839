"""Makes a lock of requirements for this machine, to be installed as the kind ``pip``.

The catalogue's locks are made by ``tools/lock.py`` for all machines. This is for what is only known here:
what a model was logged with.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from millpond.targets.local.installs.causes import failed, system_error
from millpond.targets.local.installs.claim import claim
from millpond.targets.local.installs.maker import read_lock
from millpond.targets.local.installs.places import open_file, open_folder, prepare_root
from millpond.targets.local.installs.process import Finished, run
from millpond.targets.local.installs.python import base_python, find_uv, uv_environment
from millpond.targets.local.installs.request import InstallError
from millpond.targets.locks import Requirements

# The sentence behind uv's "No solution found": uv 0.13 and later, and before.
_UNSOLVED = re.compile(r"(?:^\s*cause: |╰─▶ )(.*?)(?:\n\s*\n|\nhint: |\Z)", re.DOTALL | re.MULTILINE)
_LEFT_OUT = ("nvidia-nccl-cu12", "nvidia-nccl-cu13")
"""Libraries for several GPUs at once, hundreds of megabytes, which XGBoost names and predicts without."""
_NEEDS_ALL = re.compile(r"^torch==", re.MULTILINE)
"""What cannot even be imported without them."""


async def resolve(
    component: str,
    inputs: Sequence[Path],
    root: Path,
    waiting: Callable[[], None] = lambda: None,
    machine: tuple[str, str] | None = None,
) -> str:
    """The text of a lock: exact versions with hashes, wheels only, for the Python that runs Millpond.

    Args:
        component: whose, for messages.
        inputs: files of requirements, all of which must hold.
        root: of the store, which has uv's cache.
        waiting: called once if another installer is at work.
        machine: another Python's version and platform, as uv names them, in place of this one's.

    Raises:
        InstallError: the requirements cannot be had, in the resolver's own words.
    """
    prepare_root(root)
    text = await _compiled(component, inputs, root, waiting, _LEFT_OUT, machine)
    if _NEEDS_ALL.search(text):
        text = await _compiled(component, inputs, root, waiting, (), machine)
    problems = Requirements.parse(text, "its lock").problems
    if problems:
        raise InstallError(
            f"{component}: not every requirement comes from a package index: {problems[0]}",
            hint="name released packages only, no folder, repository or URL",
            details=problems,
        )
    return text


async def _compiled(
    component: str,
    inputs: Sequence[Path],
    root: Path,
    waiting: Callable[[], None],
    without: Sequence[str],
    machine: tuple[str, str] | None,
) -> str:
    with tempfile.TemporaryDirectory(prefix="millpond-resolve-") as folder:
        target, overrides = Path(folder, "requirements.lock"), Path(folder, "overrides.in")
        open_file(overrides, "".join(f'{name}; sys_platform == "none"\n' for name in without).encode())
        argv: list[str | Path] = [find_uv(), "pip", "compile", "--quiet", "--python", base_python()]
        argv += ["--generate-hashes", "--only-binary", ":all:", "--no-header", "--no-annotate"]
        if machine is not None:
            argv += ["--python-version", machine[0], "--python-platform", machine[1]]
        argv += ["--no-emit-index-url", "--no-emit-find-links", "--override", overrides]
        argv += ["--output-file", target, *inputs]
        try:
            open_folder(root / "locks")
            async with claim(root / "locks" / "uv-cache.lock", waiting) as lock:
                finished = await run(argv, env=uv_environment(root), cwd=Path(folder), lock=lock)
        except OSError as error:
            raise system_error(component, root, error) from error
        if finished.status:
            raise _unsolved(component, root, finished)
        return read_lock(component, target).decode()


def _unsolved(component: str, root: Path, finished: Finished) -> InstallError:
    found = _UNSOLVED.search(finished.text)
    if found and "No solution found" in finished.text:
        sentence = " ".join(found[1].split()).rstrip(".")
        return InstallError(
            f"{component}: {sentence}",
            hint="its requirements must be had together with what the model server needs",
            details=finished.last(),
        )
    for line in finished.lines:
        if line.startswith(("error: Couldn't parse requirement", "error: Unsupported")):
            return InstallError(f"{component}: {line.removeprefix('error: ')}", details=finished.last())
    return failed(component, "its Python packages", root, finished)
