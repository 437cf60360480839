"""Python packages: what a user gets, and what is left when something goes wrong."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from millpond.targets.local.installs import InstallError, InstallStore, Progress

from .conftest import Registry, ensure_command, left_in, pip


def test_packages_are_installed_compiled_and_importable(
    registry: Registry, store: InstallStore, component: Path
) -> None:
    events: list[Progress] = []
    request = pip(component, registry.add_wheel("mill") + registry.add_wheel("pond"))
    install = asyncio.run(store.ensure(request, events.append))

    python = install.bin[0] / "python"
    said = subprocess.run(
        [python, "-c", "import mill, pond; print(mill.NAME, pond.NAME)"], capture_output=True, text=True
    )
    assert said.stdout == "mill pond\n"
    assert list(install.paths["site"].glob("__pycache__/mill.*.pyc"))
    assert os.path.realpath(python) == os.path.realpath(sys._base_executable)  # type: ignore[attr-defined]
    phases = list(dict.fromkeys(event.phase for event in events))
    assert phases == ["resolve", "download", "unpack", "compile", "done"]
    assert {event.total for event in events if event.unit == "packages"} == {2}
    assert not events[-1].cached


def test_the_second_time_nothing_is_asked_of_anyone(
    registry: Registry, store: InstallStore, component: Path
) -> None:
    request = pip(component, registry.add_wheel("mill"))
    first = asyncio.run(store.ensure(request))
    registry.requests.clear()
    events: list[Progress] = []
    assert asyncio.run(InstallStore(store.root).ensure(request, events.append)) == first
    assert [(event.phase, event.cached) for event in events] == [("done", True)]
    assert not registry.requests


def test_equal_locks_share_one_install(
    registry: Registry, store: InstallStore, component: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    lock = registry.add_wheel("mill")

    async def both() -> None:
        one, two = await asyncio.gather(store.ensure(pip(component, lock)), store.ensure(pip(other, lock)))
        assert one.paths == two.paths
        assert one.key == two.key

    asyncio.run(both())
    assert len(registry.downloads(".whl")) == 1


def test_what_two_environments_have_in_common_is_downloaded_stored_and_compiled_once(
    registry: Registry, store: InstallStore, component: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    both, one = registry.add_wheel("mill"), registry.add_wheel("pond")
    first = asyncio.run(store.ensure(pip(component, both)))
    second = asyncio.run(store.ensure(pip(other, both + one)))
    assert first.paths["pip"] != second.paths["pip"]
    assert len(registry.downloads("/mill-1.0-py3-none-any.whl")) == 1
    (compiled,) = first.paths["site"].glob("__pycache__/mill.*.pyc")
    assert (second.paths["site"] / "__pycache__" / compiled.name).samefile(compiled) == (
        second.paths["site"] / "mill.py"
    ).samefile(first.paths["site"] / "mill.py")
    code = "import mill; print(mill.__file__, mill.f.__code__.co_filename)"
    said = subprocess.run([second.bin[0] / "python", "-c", code], capture_output=True, text=True)
    assert set(said.stdout.split()) == {str(second.paths["site"] / "mill.py")}


def test_without_any_network_what_was_installed_is_found_and_what_was_removed_is_made_again(
    registry: Registry, store: InstallStore, component: Path
) -> None:
    """In a network namespace of its own, where not even loopback is up."""
    alone = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net"]
    if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this system does not let us make a network namespace")
    install = asyncio.run(store.ensure(pip(component, registry.add_wheel("mill"))))
    registry.close()

    again = subprocess.run([*alone, *ensure_command(store, component)], capture_output=True, text=True)
    assert again.stdout.strip() == str(install.paths["pip"]), again.stderr

    store.remove(install.paths["pip"].name)
    assert left_in(store, "pip") == []
    made = subprocess.run(
        [*alone, *ensure_command(store, component, "offline")], capture_output=True, text=True
    )
    assert made.stdout.strip() == str(install.paths["pip"]), made.stderr


def test_offline_says_what_is_missing(registry: Registry, store: InstallStore, component: Path) -> None:
    request = pip(component, registry.add_wheel("mill"))
    with pytest.raises(InstallError, match="app: offline, and mill is not in the cache") as caught:
        asyncio.run(InstallStore(store.root, offline=True).ensure(request))
    assert "with a network" in str(caught.value.hint)
    assert not registry.requests
    assert left_in(store, "pip") == []


def test_a_wrong_hash_is_refused(registry: Registry, store: InstallStore, component: Path) -> None:
    lock = registry.add_wheel("mill")
    wrong = lock[:-2] + ("0" if lock[-2] != "0" else "1") + "\n"
    with pytest.raises(InstallError, match=r"mill==1\.0 as downloaded is not what the lock says"):
        asyncio.run(store.ensure(pip(component, wrong)))
    assert left_in(store, "pip") == []


def test_a_lock_without_hashes_is_refused(registry: Registry, store: InstallStore, component: Path) -> None:
    registry.add_wheel("mill")
    with pytest.raises(InstallError, match="is not complete") as caught:
        asyncio.run(store.ensure(pip(component, "mill==1.0\n")))
    assert "mill has no sha256" in caught.value.details[0]
    assert not registry.requests


def test_no_network_is_one_sentence_without_the_password_of_the_index(
    registry: Registry, store: InstallStore, component: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = pip(component, registry.add_wheel("mill"))
    monkeypatch.setenv(
        "UV_DEFAULT_INDEX", registry.url.replace("://", "://someone:hidden-word@") + "/simple/"
    )
    registry.close()
    with pytest.raises(InstallError, match="app: no network") as caught:
        asyncio.run(store.ensure(request))
    assert caught.value.hint
    assert "hidden-word" not in repr(caught.value.as_dict())
    assert left_in(store, "pip") == []


def test_a_package_that_is_not_made_for_this_machine(
    registry: Registry, store: InstallStore, component: Path
) -> None:
    request = pip(component, registry.add_wheel("mill", tag="cp311-cp311-win_amd64"))
    with pytest.raises(InstallError, match="app: mill is not made for this machine"):
        asyncio.run(store.ensure(request))


def test_the_index_of_pip_is_the_index_of_uv(
    registry: Registry, store: InstallStore, component: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("UV_DEFAULT_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", f"{registry.url}/simple/")
    asyncio.run(store.ensure(pip(component, registry.add_wheel("mill"))))
    assert registry.downloads(".whl")


def test_cancelled_in_the_middle_nothing_is_left_and_the_next_time_works(
    registry: Registry, store: InstallStore, component: Path
) -> None:
    request = pip(component, registry.add_wheel("mill", size=4 << 20))
    registry.pause = 0.2

    async def interrupted() -> None:
        making = asyncio.create_task(store.ensure(request))
        await asyncio.to_thread(registry.asked_for_file.wait, 20)
        making.cancel()
        with pytest.raises(asyncio.CancelledError):
            await making

    asyncio.run(interrupted())
    assert left_in(store, "pip") == []
    assert not processes_that_name(store.root)
    registry.pause = 0
    install = asyncio.run(store.ensure(request))
    assert (install.paths["site"] / "mill.bin").stat().st_size == 4 << 20
    assert not list((store.root / "uv-cache").glob(".tmp*"))


def test_killed_in_the_middle_the_leftover_counts_for_nothing(
    registry: Registry, store: InstallStore, component: Path
) -> None:
    request = pip(component, registry.add_wheel("mill", size=1 << 20))
    registry.pause = 0.05
    maker = subprocess.Popen(ensure_command(store, component))
    assert registry.asked_for_file.wait(20)
    maker.send_signal(signal.SIGKILL)
    maker.wait()
    assert left_in(store, "pip")
    assert store.installs() == []

    events: list[Progress] = []
    install = asyncio.run(store.ensure(request, events.append))
    # uv outlived its parent and was still writing: nobody writes beside it.
    assert events[0].phase == "wait"
    assert (install.paths["site"] / "mill.bin").stat().st_size == 1 << 20
    assert [found.key for found in store.installs()] == [install.paths["pip"].name]


def test_two_processes_make_it_once(registry: Registry, store: InstallStore, component: Path) -> None:
    pip(component, registry.add_wheel("mill", size=1 << 20))
    registry.pause = 0.02
    command = ensure_command(store, component)
    makers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [maker.communicate(timeout=60)[0] for maker in makers]
    assert [maker.returncode for maker in makers] == [0, 0]
    assert said[0] == said[1] != ""
    assert len(registry.downloads(".whl")) == 1


@pytest.mark.skipif(os.geteuid() != 0 or sys.platform != "linux", reason="mounts a small file system")
def test_a_full_disk(registry: Registry, tmp_path: Path, component: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", small], check=True)
    try:
        store = InstallStore(small / "cache")
        with pytest.raises(InstallError, match=f"app: the disk under {store.root} is full"):
            asyncio.run(store.ensure(pip(component, registry.add_wheel("mill", size=6 << 20))))
        assert left_in(store, "pip") == []
    finally:
        subprocess.run(["umount", small], check=True)


def test_a_limit_on_file_sizes(registry: Registry, store: InstallStore, component: Path) -> None:
    pip(component, registry.add_wheel("mill", size=6 << 20))
    limited = ["bash", "-c", 'ulimit -f 2048; exec "$@"', "limited", *ensure_command(store, component)]
    said = subprocess.run(limited, capture_output=True, text=True).stderr
    assert "app: a file became larger than this system lets a process write" in said
    assert left_in(store, "pip") == []


def test_a_root_that_cannot_be_written(registry: Registry, tmp_path: Path, component: Path) -> None:
    (tmp_path / "file").write_text("")
    store = InstallStore(tmp_path / "file" / "cache")
    with pytest.raises(InstallError, match="app: cannot write to the cache of installs") as caught:
        asyncio.run(store.ensure(pip(component, registry.add_wheel("mill"))))
    assert "MILLPOND_CACHE_DIR" in str(caught.value.hint)


def test_others_can_read_it_whatever_the_umask(
    registry: Registry, store: InstallStore, component: Path
) -> None:
    request = pip(component, registry.add_wheel("mill"))
    before = os.umask(0o077)
    try:
        install = asyncio.run(store.ensure(request))
    finally:
        os.umask(before)
    closed = [
        path for path in [store.root, *store.root.glob("pip/**/*")] if not path.stat().st_mode & stat.S_IROTH
    ]
    assert closed == []
    assert install.paths["pip"].stat().st_mode & stat.S_IXOTH


def test_a_moved_store_is_not_trusted(
    registry: Registry, store: InstallStore, component: Path, tmp_path: Path
) -> None:
    request = pip(component, registry.add_wheel("mill"))
    asyncio.run(store.ensure(request))
    store.root.rename(tmp_path / "moved")
    install = asyncio.run(InstallStore(tmp_path / "moved").ensure(request))
    said = subprocess.run(
        [install.bin[0] / "python", "-c", "import mill; print(mill.__file__)"], capture_output=True
    )
    assert str(tmp_path / "moved").encode() in said.stdout


def processes_that_name(path: Path) -> list[str]:
    """Command lines that have this path in them, other than ours."""
    listed = subprocess.run(["ps", "-Ao", "args="], capture_output=True, text=True).stdout
    return [line for line in listed.splitlines() if str(path) in line]
