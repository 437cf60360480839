"""The kind ``deb``: Debian packages unpacked into a private prefix, without root and without their scripts.

Where packages come from is the machine's own apt configuration. If its lists are missing or too old, apt
is given a state of its own in the store, so that nothing of the system changes.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
from pathlib import Path

from millpond.targets.local.installs.causes import failed
from millpond.targets.local.installs.maker import Work, clean_environment, read_lock
from millpond.targets.local.installs.places import open_folder
from millpond.targets.local.installs.request import InstallError, Kind, Layout
from millpond.targets.locks import Deb, read_debs

_URI = re.compile(r"'[^']+' (\S+) (\d+) ")


class DebMaker:
    """Makes the prefix of one ``packages.lock``.

    Raises:
        InstallError: the lock cannot be read, or this is no Debian.
    """

    kind: Kind = "deb"

    def __init__(self, component: str, lock: Path) -> None:
        self.component = component
        if not shutil.which("dpkg") or not shutil.which("apt-get"):
            raise InstallError(
                f"{component}: is made of Debian packages, and this machine has no dpkg and apt",
                hint="use Debian or Ubuntu for it, or meet this need with `external:` in the flavour",
            )
        self.architecture = _architecture()
        try:
            debs = read_debs(read_lock(component, lock).decode(), lock.name)
        except ValueError as error:
            raise InstallError(f"{component}: {error}", hint="make it anew with tools/lock.py") from error
        self.debs = [deb for deb in debs if deb.architecture in {"", "all", self.architecture}]
        if not self.debs:
            raise InstallError(
                f"{component}: {lock.name} has no packages for {self.architecture}",
                hint="use another machine, or meet this need with `external:` in the flavour",
            )

    def identity(self) -> bytes:
        """The packages for this architecture."""
        lines = [self.architecture, *(f"{deb.name} {deb.version} {deb.sha256}" for deb in self.debs)]
        return "\n".join(lines).encode()

    def layout(self, target: Path) -> Layout:
        """The prefix, its folders of programs, and of libraries for the dynamic linker."""
        programs = [target / name for name in ("usr/bin", "usr/sbin", "bin", "sbin")]
        multiarch = _multiarch(target)
        libraries = [target / "usr/lib" / multiarch, target / "lib" / multiarch, target / "usr/lib"]
        search = os.pathsep.join(str(path) for path in dict.fromkeys(libraries) if path.is_dir())
        return Layout(
            {"deb": target},
            tuple(path for path in programs if path.is_dir()),
            {"LD_LIBRARY_PATH": search} if search else {},
        )

    def intact(self, target: Path) -> bool:
        """Leans on nothing outside but the C library."""
        return True

    async def make(self, target: Path, work: Work) -> None:
        """Downloads what the store does not have, checks it and unpacks it."""
        store = open_folder(work.root / "debs")
        missing = [deb for deb in self.debs if not (store / f"{deb.sha256}.deb").exists()]
        if missing and work.offline:
            names = ", ".join(deb.name for deb in missing)
            raise InstallError(
                f"{self.component}: offline, and not in the cache {work.root}: {names}",
                hint="run it once with a network",
            )
        if missing:
            await self._download(missing, store, target / ".downloads", work)
        for number, deb in enumerate(self.debs):
            work.report("unpack", number, len(self.debs), "packages", deb.name)
            finished = await work.run(["dpkg", "-x", store / f"{deb.sha256}.deb", target])
            if finished.status:
                raise failed(self.component, f"the Debian package {deb.name}", work.root, finished)
        _without_set_id(target)
        work.report("unpack", len(self.debs), len(self.debs), "packages")

    async def _download(self, debs: list[Deb], store: Path, folder: Path, work: Work) -> None:
        open_folder(folder)
        wanted = [
            f"{deb.name}{':' + deb.architecture if deb.architecture else ''}={deb.version}" for deb in debs
        ]
        apt = ["apt-get", "-q"]
        if os.geteuid() == 0:
            # The user that apt drops to cannot enter a cache in root's home.
            apt += ["-o", "APT::Sandbox::User=root"]
        env = clean_environment({"DEBIAN_FRONTEND": "noninteractive"})
        sizes: dict[str, int] = {}

        def listed(line: str) -> None:
            if found := _URI.match(line):
                sizes[found[1]] = int(found[2])

        work.report("resolve")
        finished = await work.run([*apt, "download", "--print-uris", *wanted], env=env, said=listed)
        if finished.status:
            apt += _private_state(work.root)
            finished = await work.run([*apt, "update"], env=env)
            if finished.status:
                raise failed(self.component, "the lists of Debian packages", work.root, finished)
            sizes.clear()
            finished = await work.run([*apt, "download", "--print-uris", *wanted], env=env, said=listed)
            if finished.status:
                raise InstallError(
                    f"{self.component}: this machine's apt sources do not have all of {', '.join(wanted)}",
                    hint="the lock is for another Debian release, or the archive has moved on: make it anew",
                    details=finished.last(),
                )
        total = sum(sizes.values())
        work.report("download", 0, total, "bytes")
        finished = await work.run(
            [*apt, "-o", "Acquire::Retries=3", "download", *wanted],
            env=env,
            cwd=folder,
            said=lambda line: work.report("download", _size(folder), total, "bytes"),
        )
        if finished.status:
            raise failed(self.component, "its Debian packages", work.root, finished)
        arrived = _arrived(folder)
        for deb in debs:
            if deb.sha256 not in arrived:
                raise InstallError(
                    f"{self.component}: {deb.name} as downloaded is not what the lock says: its hash differs",
                    hint="if a mirror serves your packages, ask its keeper; else make the lock anew",
                    details=[f"expected sha256 {deb.sha256}"],
                )
            path = arrived[deb.sha256]
            path.chmod(0o644)
            path.rename(store / f"{deb.sha256}.deb")
        shutil.rmtree(folder)


def _architecture() -> str:
    machine = os.uname().machine
    return {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "armhf", "i686": "i386"}.get(machine, machine)


def _multiarch(prefix: Path) -> str:
    machine = os.uname().machine
    found = sorted(path.name for path in prefix.glob(f"usr/lib/{machine}-linux-gnu*"))
    return found[0] if found else f"{machine}-linux-gnu"


def _private_state(root: Path) -> list[str]:
    state, cache = root / "apt" / "state", root / "apt" / "cache"
    for folder in (state / "lists" / "partial", cache / "archives" / "partial"):
        open_folder(folder)
    options = [f"Dir::State={state}", "Dir::State::status=/var/lib/dpkg/status", f"Dir::Cache={cache}"]
    return [word for option in options for word in ("-o", option)]


def _without_set_id(prefix: Path) -> None:
    """A program that becomes root when started has no business in a cache that everyone can read."""
    for folder, _, names in os.walk(prefix):
        for name in names:
            path = Path(folder, name)
            mode = path.lstat().st_mode
            if stat.S_ISREG(mode) and mode & (stat.S_ISUID | stat.S_ISGID):
                path.chmod(stat.S_IMODE(mode) & 0o777)


def _arrived(folder: Path) -> dict[str, Path]:
    return {_checksum(path): path for path in folder.glob("*.deb")}


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
