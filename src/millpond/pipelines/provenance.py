"""Where a run comes from: the commit of its code, the packages and the person that ran it."""

from __future__ import annotations

import getpass
import hashlib
import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path


def commit(folder: Path) -> tuple[str | None, bool | None]:
    """The commit that a folder is at and whether files in it were changed since; None without git."""
    place = folder.resolve()
    if "GIT_DIR" not in os.environ and not any((up / ".git").exists() for up in (place, *place.parents)):
        return None, None  # told without starting a process
    try:
        lines = _git(folder, "status", "--porcelain=v2", "--branch", "--", ".").splitlines()
    except (OSError, subprocess.SubprocessError):
        return None, None
    head = next((line.split()[2] for line in lines if line.startswith("# branch.oid ")), "(initial)")
    if head == "(initial)":
        return None, None
    return head, any(not line.startswith("#") for line in lines)


def _git(folder: Path, *words: str) -> str:
    command = ["git", "-C", str(folder), "--no-optional-locks", *words]
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, timeout=10, stdin=subprocess.DEVNULL
    )
    return done.stdout.strip()


def environment_key() -> str:
    """A short name for the packages and the Python of this process; equal environments have equal names."""
    if key := os.environ.get("MILLPOND_ENVIRONMENT_KEY"):
        return f"{key}-py{platform.python_version()}"
    packages = sorted(
        # Reading the folders' names is enough, and a hundred times quicker than all metadata.
        entry.name
        for place in sys.path
        if place and Path(place).is_dir()
        for entry in os.scandir(place)
        if entry.name.endswith(".dist-info")
    )
    return f"{hashlib.sha256(chr(10).join(packages).encode()).hexdigest()[:16]}-py{platform.python_version()}"


def user() -> str:
    """Who runs this, as the system knows them."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def version() -> str:
    """Millpond's own version."""
    try:
        return importlib.metadata.version("millpond")
    except importlib.metadata.PackageNotFoundError:
        from millpond import __version__

        return __version__
