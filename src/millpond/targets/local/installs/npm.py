"""The kind ``npm``: the packages of a ``package-lock.json``, without their install scripts."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

from millpond.targets.local.installs.causes import failed
from millpond.targets.local.installs.maker import Work, clean_environment, read_lock
from millpond.targets.local.installs.places import open_file
from millpond.targets.local.installs.process import Finished
from millpond.targets.local.installs.request import InstallError, Kind, Layout
from millpond.targets.locks import npm_problems


class NpmMaker:
    """Makes the ``node_modules`` of one lock.

    Raises:
        InstallError: the lock cannot be read, or has a package without a hash.
    """

    kind: Kind = "npm"

    def __init__(self, component: str, lock: Path) -> None:
        self.component = component
        self.lock = read_lock(component, lock)
        problems = npm_problems(self.lock.decode(), lock.name)
        if problems:
            raise InstallError(
                f"{component}: the lock {lock.name} is not complete", hint="make it anew", details=problems
            )

    def identity(self) -> bytes:
        """The lock and the platform: some packages have a binary for each."""
        system = os.uname()
        return self.lock + f"\0{system.sysname} {system.machine}".encode()

    def layout(self, target: Path) -> Layout:
        """The folder with ``node_modules``, and the commands of its packages."""
        return Layout({"npm": target}, (target / "node_modules" / ".bin",))

    def intact(self, target: Path) -> bool:
        """Leans on nothing outside but the Node.js that runs it."""
        return True

    async def make(self, target: Path, work: Work) -> None:
        """Runs ``npm ci`` with a cache in the store."""
        search = os.pathsep.join([*map(str, work.bin), os.environ.get("PATH", os.defpath)])
        npm = shutil.which("npm", path=search)
        if npm is None:
            raise InstallError(f"{self.component}: npm is not on PATH", hint="install Node.js 20 or newer")
        document: dict[str, Any] = json.loads(self.lock)
        packages: dict[str, dict[str, Any]] = document["packages"]
        wanted = [
            name
            for name, entry in packages.items()
            if name and not entry.get("dev") and not entry.get("link")
        ]
        open_file(target / "package-lock.json", self.lock)
        # npm ci compares the two; the lock's own root entry is what it was made from.
        root = {"name": "install", "version": "0.0.0", **packages.get("", {})}
        open_file(target / "package.json", json.dumps(root, indent=2).encode())
        argv = [
            npm,
            "ci",
            "--ignore-scripts",
            "--omit=dev",
            "--no-audit",
            "--no-fund",
            "--no-update-notifier",
        ]
        argv += ["--loglevel=error", "--cache", str(work.root / "npm-cache")]
        if work.offline:
            argv.append("--offline")
        work.report("download", None, len(wanted), "packages")
        env = clean_environment({"PATH": search, "DO_NOT_TRACK": "1"})
        finished = await work.run(argv, env=env, cwd=target)
        if finished.status:
            raise self._error(work, finished)
        installed = sum((target / name / "package.json").exists() for name in wanted)
        work.report("unpack", installed, installed, "packages")

    def _error(self, work: Work, finished: Finished) -> InstallError:
        details = finished.last()
        if found := re.search(
            r"ENOTCACHED[\s\S]*?request to \S+?/((?:@[^/\s]+/)?[^/\s]+)(?:/-/\S+)? failed", finished.text
        ):
            return InstallError(
                f"{self.component}: offline, and the npm package {found[1]} is not in the cache {work.root}",
                hint="run it once with a network",
                details=details,
            )
        if "EINTEGRITY" in finished.text:
            return InstallError(
                f"{self.component}: an npm package as downloaded is not what the lock says: its hash differs",
                hint="if a mirror or proxy serves your packages, ask its keeper; else try again",
                details=details,
            )
        return failed(self.component, "its npm packages", work.root, finished)
