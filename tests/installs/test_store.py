"""The store itself: its place, its list, who can read it, and Millpond's own overlay."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from millpond.targets.local.installs import (
    InstallError,
    InstallRequest,
    InstallStore,
    default_root,
    readable_by,
)
from millpond.targets.local.installs.overlay import OverlayMaker

from .conftest import Registry, pip

NOBODY = 65534


def test_the_root_is_where_the_user_says_or_the_platform_does(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("MILLPOND_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setattr(sys, "platform", "linux")
    assert default_root() == tmp_path / "xdg" / "millpond"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert default_root() == tmp_path / ".cache" / "millpond"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert default_root() == tmp_path / "Library" / "Caches" / "millpond"
    monkeypatch.setenv("MILLPOND_CACHE_DIR", str(tmp_path / "mine"))
    assert default_root() == tmp_path / "mine"


def test_installs_are_listed_with_size_and_last_use_and_can_be_removed(
    registry: Registry, store: InstallStore, component: Path
) -> None:
    request = pip(component, registry.add_wheel("mill", size=100_000))
    asyncio.run(store.ensure(request))
    (found,) = store.installs()
    assert (found.kind, found.component) == ("pip", "app")
    assert found.size > 100_000
    os.utime(found.path / ".millpond-install.json", (1, 1))
    assert store.installs()[0].last_used == 1
    asyncio.run(store.ensure(request))
    assert store.installs()[0].last_used > found.created - 1
    assert store.remove(found.key) > 100_000
    assert store.installs() == []
    with pytest.raises(InstallError, match="there is no install"):
        store.remove(found.key)


def test_programs_that_the_user_must_have(store: InstallStore, component: Path) -> None:
    found = asyncio.run(store.ensure(InstallRequest("app", component, {"path": ["sh", sys.executable]})))
    assert found.paths["sh"].name == "sh"
    assert found.bin == (Path(sys.executable).parent,)
    assert not store.root.exists()
    missing = InstallRequest("app", component, {"path": ["sh", "no-such-mill", "/no/such/pond"]})
    with pytest.raises(InstallError, match="app: no-such-mill, /no/such/pond are not on this machine"):
        asyncio.run(store.ensure(missing))


def test_an_unknown_kind_and_a_missing_lock_are_told(store: InstallStore, component: Path) -> None:
    with pytest.raises(InstallError, match="app: unknown kind of install: pipp"):
        asyncio.run(store.ensure(InstallRequest("app", component, {"pipp": "x"})))
    with pytest.raises(InstallError, match="app: cannot read the lock"):
        asyncio.run(store.ensure(InstallRequest("app", component, {"pip": "x"})))


def test_the_overlay_is_a_copy_of_the_running_package(store: InstallStore, component: Path) -> None:
    request = InstallRequest("app", component, {"millpond": True})
    install = asyncio.run(store.ensure(request))
    code = "import millpond.model.errors as m; print(m.__file__, m.__cached__)"
    env = {"PYTHONPATH": install.env["PYTHONPATH"], "PATH": os.environ["PATH"]}
    said = subprocess.run([sys.executable, "-S", "-c", code], env=env, capture_output=True, text=True)
    source, compiled = said.stdout.split()
    assert Path(source) == install.paths["millpond"] / "millpond" / "model" / "errors.py"
    assert Path(compiled).exists()


def test_the_overlay_changes_with_the_content_and_only_with_it(tmp_path: Path) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / "one.py").write_text("1")
    maker = OverlayMaker(tmp_path / "cache", package)
    first = maker.identity()
    os.utime(package / "one.py", (1, 1))
    assert maker.identity() == first
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "one.pyc").write_text("")
    assert maker.identity() == first
    (package / "two.yaml").write_text("2")
    assert maker.identity() != first


def test_who_can_read_a_path(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    for path in [tmp_path, *tmp_path.parents[:-2]]:
        path.chmod(path.stat().st_mode | 0o111)
    other = NOBODY if os.geteuid() != NOBODY else 1
    folder.chmod(0o755)
    assert readable_by(folder / "not-yet", other)
    folder.chmod(0o700)
    assert readable_by(folder, os.geteuid())
    assert not readable_by(folder / "not-yet", other)
    assert readable_by(folder / "not-yet", 0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root installs for another user")
def test_what_another_user_runs_is_put_where_they_can_enter(
    registry: Registry, component: Path, tmp_path: Path
) -> None:
    for path in [tmp_path, *tmp_path.parents[:-2]]:
        path.chmod(path.stat().st_mode | 0o111)
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    store = InstallStore(home / "cache", shared_root=tmp_path / "shared")
    request = pip(component, registry.add_wheel("mill"))
    own = asyncio.run(store.ensure(request))
    assert home in own.paths["pip"].parents
    theirs = asyncio.run(store.ensure(request, reader=NOBODY))
    assert tmp_path / "shared" in theirs.paths["pip"].parents
    module = theirs.paths["site"] / "mill.py"
    said = subprocess.run(
        ["cat", module], user=NOBODY, group=NOBODY, extra_groups=[], capture_output=True, text=True
    )
    assert said.stdout.startswith("NAME = 'mill'\n")
