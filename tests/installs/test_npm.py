"""npm packages, from the registry that the user's npm is set to."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from millpond.targets.local.installs import InstallError, InstallRequest, InstallStore

from .conftest import left_in

SEMVER = "sha512-oVekP1cKtI+CTDvHWYFUcMtsK/00wmAEfyqKfNdARm8u1wNVhSgaX7A8d4UuIlUI5e84iEwOhs7ZPYRmzU9U6A=="


def npm(folder: Path, integrity: str | None) -> InstallRequest:
    entry = {"version": "7.6.3", "bin": {"semver": "bin/semver.js"}}
    if integrity:
        entry["integrity"] = integrity
    packages = {
        "": {"name": "x", "version": "1.0.0", "dependencies": {"semver": "7.6.3"}},
        "node_modules/semver": entry,
    }
    lock = {"name": "x", "version": "1.0.0", "lockfileVersion": 3, "requires": True, "packages": packages}
    (folder / "package-lock.json").write_text(json.dumps(lock))
    return InstallRequest("app", folder, {"npm": "package-lock.json"})


def test_a_lock_without_integrity_is_refused(store: InstallStore, component: Path) -> None:
    with pytest.raises(InstallError, match="is not complete") as caught:
        asyncio.run(store.ensure(npm(component, None)))
    assert "node_modules/semver has no integrity" in caught.value.details[0]


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("npm"), reason="needs npm")
def test_a_package_is_installed_and_offline_made_again(store: InstallStore, component: Path) -> None:
    request = npm(component, SEMVER)
    with pytest.raises(InstallError, match="app: offline, and the npm package semver is not in the cache"):
        asyncio.run(InstallStore(store.root, offline=True).ensure(request))
    assert left_in(store, "npm") == []

    install = asyncio.run(store.ensure(request))
    said = subprocess.run([install.bin[0] / "semver", "1.2.3", "-i", "minor"], capture_output=True, text=True)
    assert said.stdout == "1.3.0\n"

    store.remove(install.paths["npm"].name)
    assert asyncio.run(InstallStore(store.root, offline=True).ensure(request)) == install


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("npm"), reason="needs npm")
def test_a_wrong_hash_is_refused(store: InstallStore, component: Path) -> None:
    with pytest.raises(InstallError, match="an npm package as downloaded is not what the lock says"):
        asyncio.run(store.ensure(npm(component, SEMVER.replace("oVek", "oVel"))))
    assert left_in(store, "npm") == []
