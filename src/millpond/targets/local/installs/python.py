"""The kind ``pip``: a venv from a hashed lock, made by uv.

uv's cache is kept in the store, so that its files are hard-linked into every venv and an install that was
removed can be made again without a network. Bytecode is compiled at once, as the first start of a large
service otherwise takes several times as long.
"""

from __future__ import annotations

import importlib.machinery
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from millpond.targets.local.installs.bytecode import compile_packages
from millpond.targets.local.installs.causes import failed
from millpond.targets.local.installs.claim import claim
from millpond.targets.local.installs.maker import Work, clean_environment, read_lock
from millpond.targets.local.installs.places import open_file
from millpond.targets.local.installs.process import Finished
from millpond.targets.local.installs.request import InstallError, Kind, Layout
from millpond.targets.locks import Requirements

_LOCK_COPY = ".requirements.lock"
_UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_COUNTED = re.compile(r"(Resolved|Prepared|Installed) (\d+) packages?\b")
_ANNOUNCED = re.compile(r"Downloading (\S+) \(([\d.]+)([KMG]?i?B)\)")
_DOWNLOADED = re.compile(r" ?Downloaded (\S+)")
_MISSING = re.compile(r"Because (\S+) was not found in the cache")
_MISMATCH = re.compile(r"Hash mismatch for `([^`]+)`")
_NO_WHEEL = re.compile(
    r"Because (?:only the following versions of )?(\S+?)(?:==\S+)? (?:has no|have no) (?:usable )?wheels"
)
_NO_VERSION = re.compile(r"there is no version of (\S+)")
# Where packages come from and how to reach them is the user's; the rest would change what is installed.
_UV_SETTINGS = re.compile(
    r"UV_(DEFAULT_INDEX|INDEX|INDEX_URL|EXTRA_INDEX_URL|INDEX_STRATEGY|FIND_LINKS|NO_INDEX"
    r"|INDEX_\w+_(USERNAME|PASSWORD)"
    r"|KEYRING_PROVIDER|NATIVE_TLS|SYSTEM_CERTS|INSECURE_HOST|HTTP_\w+|CONCURRENT_\w+|CONFIG_FILE|LINK_MODE|OFFLINE"
    r"|CREDENTIALS_DIR|REQUEST_TIMEOUT)"
)


class PipMaker:
    """Makes the venv of one ``requirements.lock``.

    Raises:
        InstallError: the lock cannot be read, or has a package without a hash.
    """

    kind: Kind = "pip"

    def __init__(self, component: str, lock: Path) -> None:
        self.component = component
        self.source = lock
        self.lock = read_lock(component, lock)

    def identity(self) -> bytes:
        """The lock, and the version and binary interface of the Python that it is installed for."""
        interface = (
            f"{sys.implementation.cache_tag} {importlib.machinery.EXTENSION_SUFFIXES[0]} {os.uname().machine}"
        )
        return self.lock + b"\0" + interface.encode()

    def layout(self, target: Path) -> Layout:
        """The venv, its ``bin`` and its site-packages."""
        site = target / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
        return Layout({"pip": target, "site": site}, (target / "bin",))

    def intact(self, target: Path) -> bool:
        """False when the Python under the venv was removed or replaced by another version."""
        return (target / "bin" / "python").exists()

    async def make(self, target: Path, work: Work) -> None:
        """A venv on the Python that runs Millpond, with exactly the packages of the lock."""
        requirements = Requirements.parse(self.lock.decode(), str(self.source))
        if requirements.problems:
            raise InstallError(
                f"{self.component}: the lock {self.source.name} is not complete",
                hint="make it anew with tools/lock.py",
                details=requirements.problems,
            )
        uv = find_uv()
        env = uv_environment(work.root)
        async with _uv_cache(work):
            venv: list[str | Path] = [
                uv,
                "venv",
                "--quiet",
                "--no-project",
                "--allow-existing",
                "--python",
                base_python(),
                target,
            ]
            finished = await work.run(venv, env=env)
            if finished.status:
                raise self._error(work, finished)
            # The copy, not the file: what is installed is what the key was made of.
            copy = target / _LOCK_COPY
            open_file(copy, self.lock)
            sync: list[str | Path] = [uv, "pip", "sync", "--require-hashes"]
            sync += ["--python", target / "bin" / "python", *requirements.build_rules, copy]
            if work.offline:
                sync.append("--offline")
            work.report("resolve", total=None)
            finished = await work.run(sync, env=env, said=_follow(work))
            if finished.status:
                raise self._error(work, finished)
        work.report("compile")
        await compile_packages(target, self.layout(target).paths["site"], work)

    def _error(self, work: Work, finished: Finished) -> InstallError:
        text = finished.text
        details = finished.last()
        if found := _MISMATCH.search(text):
            return InstallError(
                f"{self.component}: {found[1]} as downloaded is not what the lock says: its hash differs",
                hint="if a mirror or proxy serves your packages, ask its keeper; else try again",
                details=details,
            )
        if work.offline and (found := _MISSING.search(text)):
            return InstallError(
                f"{self.component}: offline, and {found[1]} is not in the cache {work.root}",
                hint="run it once with a network",
                details=details,
            )
        if work.offline and re.search(r"network (connectivity )?(is|was) disabled", text, re.IGNORECASE):
            return InstallError(
                f"{self.component}: offline, and some Python packages are not in the cache {work.root}",
                hint="run it once with a network",
                details=details,
            )
        if found := _NO_WHEEL.search(text):
            version = f"{sys.version_info.major}.{sys.version_info.minor}"
            system = f"{sys.platform} {os.uname().machine}, Python {version}"
            return InstallError(
                f"{self.component}: {found[1]} is not made for this machine ({system})",
                hint="use another machine or Python, or meet this need with `external:` in the flavour",
                details=details,
            )
        if found := _NO_VERSION.search(text):
            return InstallError(
                f"{self.component}: the package index does not have {found[1]}",
                hint="if you use a mirror, let it fetch this version",
                details=details,
            )
        return failed(self.component, "its Python packages", work.root, finished)


def find_uv() -> str:
    """The path of uv: the one that came with Millpond, else the one on PATH.

    Raises:
        InstallError: there is none.
    """
    try:
        import uv

        return str(uv.find_uv_bin())
    except (ImportError, FileNotFoundError):
        found = shutil.which("uv")
        if found:
            return found
    raise InstallError("uv was not found", hint="install Millpond with its dependencies, or put uv on PATH")


def base_python() -> str:
    """The interpreter under the venv that Millpond itself runs in; never a shim that guesses a version."""
    return str(getattr(sys, "_base_executable", None) or sys.executable)


def uv_environment(root: Path) -> dict[str, str]:
    """uv's environment: the user's settings of where packages come from, none that change what they are."""
    kept = {
        name: value
        for name, value in clean_environment().items()
        if not name.startswith("UV_") or _UV_SETTINGS.fullmatch(name)
    }
    # uv reads no setting of pip; whoever has only those means the same by them.
    if "PIP_INDEX_URL" in kept and not kept.keys() & {"UV_DEFAULT_INDEX", "UV_INDEX_URL"}:
        kept["UV_DEFAULT_INDEX"] = kept["PIP_INDEX_URL"]
    if "PIP_EXTRA_INDEX_URL" in kept and not kept.keys() & {"UV_INDEX", "UV_EXTRA_INDEX_URL"}:
        kept["UV_INDEX"] = kept["PIP_EXTRA_INDEX_URL"]
    kept["UV_CACHE_DIR"] = str(root / "uv-cache")
    kept["UV_PYTHON_DOWNLOADS"] = "never"
    kept["UV_NO_PROGRESS"] = "1"
    return kept


@asynccontextmanager
async def _uv_cache(work: Work) -> AsyncIterator[None]:
    """One uv at a time: it downloads in parallel itself, and two would fetch and keep the same package twice.

    Clears what a killed uv left half-done in its cache.
    """
    async with claim(work.root / "locks" / "uv-cache.lock", lambda: work.report("wait")):
        for leftover in (work.root / "uv-cache").glob(".tmp*"):
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                with suppress(OSError):
                    leftover.unlink()
        yield


def _follow(work: Work) -> Callable[[str], None]:
    """Reads uv's lines and reports them; large downloads are announced by uv with their sizes."""
    sizes: dict[str, int] = {}
    arrived: set[str] = set()
    resolved: list[int] = []

    def said(line: str) -> None:
        if found := _COUNTED.match(line):
            count = int(found[2])
            if found[1] == "Resolved":
                resolved.append(count)
                work.report("download", None, count, "packages")
            elif found[1] == "Prepared":
                # Counts only what was not in the cache, so the total is from before.
                work.report("unpack", 0, resolved[-1] if resolved else count, "packages")
            else:
                work.report("unpack", count, count, "packages")
        elif found := _ANNOUNCED.match(line):
            sizes[found[1]] = int(float(found[2]) * _UNITS.get(found[3], 1))
            work.report("download", _sum(sizes, arrived), sum(sizes.values()), "bytes", found[1])
        elif (found := _DOWNLOADED.match(line)) and found[1] in sizes:
            arrived.add(found[1])
            work.report("download", _sum(sizes, arrived), sum(sizes.values()), "bytes", found[1])

    return said


def _sum(sizes: dict[str, int], names: set[str]) -> int:
    return sum(sizes[name] for name in names)
