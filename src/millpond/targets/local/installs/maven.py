"""The kind ``maven``: jars by checksum, each kept once and linked into every install that has it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from millpond.targets.local.installs import download
from millpond.targets.local.installs.causes import FREE_SPACE, NETWORK, failed
from millpond.targets.local.installs.maker import Work, clean_environment, read_lock
from millpond.targets.local.installs.places import open_folder
from millpond.targets.local.installs.request import InstallError, Kind, Layout
from millpond.targets.locks import Jar, read_jars
from millpond.targets.repository import find_repository, local_repository

_PARALLEL = 4


class MavenMaker:
    """Makes a folder with the jars of one ``jars.lock``.

    Raises:
        InstallError: the lock cannot be read.
    """

    kind: Kind = "maven"

    def __init__(self, component: str, lock: Path) -> None:
        self.component = component
        self.lock = read_lock(component, lock)
        try:
            self.jars = read_jars(self.lock.decode(), lock.name)
        except ValueError as error:
            raise InstallError(f"{component}: {error}", hint="make it anew with tools/lock.py") from error

    def identity(self) -> bytes:
        """The names and checksums; jars are the same on every machine."""
        return "\n".join(f"{jar.file} {jar.sha256}" for jar in self.jars).encode()

    def layout(self, target: Path) -> Layout:
        """The folder with the jars in it."""
        return Layout({"maven": target})

    def intact(self, target: Path) -> bool:
        """Leans on nothing outside."""
        return True

    async def make(self, target: Path, work: Work) -> None:
        """Links the jars that are there, after bringing those that are not."""
        store = open_folder(work.root / "jars")
        missing = [jar for jar in self.jars if not _stored(store, jar)]
        if missing and work.offline:
            names = ", ".join(jar.file for jar in missing)
            raise InstallError(
                f"{self.component}: offline, and not in the cache {work.root}: {names}",
                hint="run it once with a network",
            )
        if missing:
            await self._download(missing, store, work)
        work.report("unpack", 0, len(self.jars), "packages")
        for jar in self.jars:
            _link(store / f"{jar.sha256}.jar", target / jar.file)

    async def _download(self, jars: list[Jar], store: Path, work: Work) -> None:
        repository = find_repository()
        if repository is None:
            raise InstallError(
                f"{self.component}: needs {len(jars)} jars, and no Maven repository is known on this machine",
                hint="set MILLPOND_MAVEN_REPOSITORY to the base URL of Maven Central or of your mirror of it",
            )
        partials = open_folder(work.root / "downloads")
        files = [
            {
                "url": f"{repository.url}/{jar.path}",
                "sha256": jar.sha256,
                "target": str(store / f"{jar.sha256}.jar"),
                "partial": str(partials / f"{jar.sha256}.part"),
                "headers": repository.headers,
            }
            for jar in jars
        ]
        failure: dict[str, Any] = {}

        def said(line: str) -> None:
            try:
                event = json.loads(line)
            except ValueError:
                return
            if "failed" in event:
                failure.update(event)
            else:
                work.report("download", event["done"], event["total"], "bytes")

        work.report("download", 0, None, "bytes")
        # The order goes by stdin, as its headers may hold a password.
        finished = await work.run(
            [sys.executable, "-I", download.__file__],
            env=clean_environment(),
            stdin=json.dumps({"parallel": _PARALLEL, "files": files}).encode(),
            said=said,
        )
        if not finished.status:
            return
        if not failure:
            raise failed(self.component, "its jars", work.root, finished)
        name, details = failure["file"], [failure["reason"]]
        if failure["failed"] == "hash":
            raise InstallError(
                f"{self.component}: {name} as downloaded is not what the lock says: its hash differs",
                hint="if a mirror or proxy serves your jars, ask its keeper; else try again",
                details=details,
            )
        if failure["failed"] == "missing":
            raise InstallError(
                f"{self.component}: the Maven repository does not have {name}",
                hint="check MILLPOND_MAVEN_REPOSITORY and the mirrors in settings.xml",
                details=details,
            )
        if failure["failed"] == "disk":
            raise InstallError(
                f"{self.component}: the disk under {work.root} is full", hint=FREE_SPACE, details=details
            )
        raise InstallError(
            f"{self.component}: no network, or no way to {name}", hint=NETWORK, details=details
        )


def _stored(store: Path, jar: Jar) -> bool:
    kept = store / f"{jar.sha256}.jar"
    if kept.exists():
        return True
    theirs = local_repository() / jar.path
    try:
        with theirs.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != jar.sha256:
                return False
    except OSError:
        return False
    # Copied, as Maven's own file may be changed or be closed to others.
    fresh = store / f"{jar.sha256}.{os.getpid()}.new"
    shutil.copyfile(theirs, fresh)
    fresh.chmod(0o644)
    fresh.rename(kept)
    return True


def _link(kept: Path, wanted: Path) -> None:
    try:
        wanted.hardlink_to(kept)
    except OSError:
        shutil.copyfile(kept, wanted)
        wanted.chmod(0o644)
