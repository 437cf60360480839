"""Debian packages in a private prefix."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from millpond.targets.local.installs import InstallError, InstallRequest, InstallStore, Progress

from .conftest import left_in

needs_apt = pytest.mark.skipif(not shutil.which("apt-get"), reason="needs Debian's apt")


def deb(folder: Path, lock: str) -> InstallRequest:
    (folder / "packages.lock").write_text(lock)
    return InstallRequest("app", folder, {"deb": "packages.lock"})


def of_the_archive(name: str) -> str:
    """The line for a package as this machine's archive has it now."""
    record = subprocess.run(
        ["apt-cache", "show", "--no-all-versions", name], capture_output=True, text=True
    ).stdout
    fields = dict(re.findall(r"^(Version|SHA256): (\S+)$", record, re.MULTILINE))
    if len(fields) != 2:
        pytest.skip("apt has no lists of packages on this machine")
    return f"{name} {fields['Version']} sha256:{fields['SHA256']}\n"


def test_a_machine_without_dpkg_is_told_so(
    store: InstallStore, component: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InstallError, match="app: is made of Debian packages, and this machine has no dpkg"):
        asyncio.run(store.ensure(deb(component, "tree 1.0 sha256:" + "0" * 64)))


@needs_apt
@pytest.mark.slow
def test_a_package_is_unpacked_and_runs(store: InstallStore, component: Path) -> None:
    request = deb(component, of_the_archive("tree"))
    events: list[Progress] = []
    install = asyncio.run(store.ensure(request, events.append))
    said = subprocess.run([install.bin[0] / "tree", "--version"], capture_output=True, text=True)
    assert said.stdout.startswith("tree v")
    sizes = [event for event in events if event.unit == "bytes"]
    assert sizes[-1].done == sizes[-1].total

    store.remove(install.paths["deb"].name)
    assert asyncio.run(InstallStore(store.root, offline=True).ensure(request)) == install


@needs_apt
@pytest.mark.slow
def test_a_wrong_checksum_is_refused(store: InstallStore, component: Path) -> None:
    lock = re.sub("sha256:.*", "sha256:" + "0" * 64, of_the_archive("hostname"))
    with pytest.raises(InstallError, match="app: hostname as downloaded is not what the lock says"):
        asyncio.run(store.ensure(deb(component, lock)))
    assert left_in(store, "deb") == left_in(store, "debs") == []


@needs_apt
def test_offline_names_what_is_missing(store: InstallStore, component: Path) -> None:
    with pytest.raises(InstallError, match=r"offline, and not in the cache .*: tree"):
        asyncio.run(
            InstallStore(store.root, offline=True).ensure(deb(component, "tree 1.0 sha256:" + "0" * 64))
        )
