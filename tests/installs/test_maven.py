"""Jars: by checksum, resumed, from the repository that the user's own settings name."""

from __future__ import annotations

import asyncio
import base64
import random
import shutil
from pathlib import Path

import pytest

from millpond.targets.local.installs import InstallError, InstallStore, Progress
from millpond.targets.repository import find_repository

from .conftest import Registry, left_in, maven

BIG = random.Random(1).randbytes(1 << 20)


def test_jars_are_downloaded_once_and_shared(
    registry: Registry, store: InstallStore, component: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    one, two = registry.add_jar("one", b"first"), registry.add_jar("two", BIG)
    events: list[Progress] = []
    first = asyncio.run(store.ensure(maven(component, one + two), events.append))
    assert sorted(path.name for path in first.paths["maven"].glob("*.jar")) == ["one-1.0.jar", "two-1.0.jar"]
    assert (first.paths["maven"] / "two-1.0.jar").read_bytes() == BIG
    last = [event for event in events if event.unit == "bytes"][-1]
    assert last.done == last.total == len(BIG) + 5

    registry.requests.clear()
    second = asyncio.run(InstallStore(store.root, offline=True).ensure(maven(other, two)))
    assert second.key != first.key
    assert (second.paths["maven"] / "two-1.0.jar").samefile(first.paths["maven"] / "two-1.0.jar")
    assert not registry.requests


def test_a_download_that_broke_off_is_resumed(
    registry: Registry, store: InstallStore, component: Path
) -> None:
    request = maven(component, registry.add_jar("big", BIG))
    registry.break_after = 300_000
    install = asyncio.run(store.ensure(request))
    assert (install.paths["maven"] / "big-1.0.jar").read_bytes() == BIG
    assert [headers.get("range") for headers in registry.downloads(".jar")] == [None, "bytes=300000-"]


def test_a_cancelled_download_leaves_no_install_and_goes_on_where_it_was(
    registry: Registry, store: InstallStore, component: Path
) -> None:
    request = maven(component, registry.add_jar("big", BIG))
    registry.pause = 0.1

    async def interrupted() -> None:
        seen = asyncio.Event()
        making = asyncio.create_task(store.ensure(request, lambda event: event.done and seen.set()))
        await asyncio.wait_for(seen.wait(), 20)
        making.cancel()
        with pytest.raises(asyncio.CancelledError):
            await making

    asyncio.run(interrupted())
    assert left_in(store, "maven") == []
    registry.pause = 0
    registry.requests.clear()
    asyncio.run(store.ensure(request))
    assert registry.downloads(".jar")[0]["range"].startswith("bytes=")


def test_a_wrong_checksum_is_refused(registry: Registry, store: InstallStore, component: Path) -> None:
    request = maven(component, registry.add_jar("one", b"first"))
    registry.files["/org/example/one/1.0/one-1.0.jar"] = b"other"
    with pytest.raises(InstallError, match=r"app: one-1\.0\.jar as downloaded is not what the lock says"):
        asyncio.run(store.ensure(request))
    assert left_in(store, "maven") == left_in(store, "jars") == left_in(store, "downloads") == []


def test_a_jar_that_the_repository_does_not_have(
    registry: Registry, store: InstallStore, component: Path
) -> None:
    request = maven(component, registry.add_jar("one", b"first"))
    registry.files.clear()
    with pytest.raises(InstallError, match=r"the Maven repository does not have one-1\.0\.jar"):
        asyncio.run(store.ensure(request))


def test_offline_names_the_jars_that_are_missing(
    registry: Registry, store: InstallStore, component: Path
) -> None:
    request = maven(component, registry.add_jar("one", b"first"))
    with pytest.raises(InstallError, match=r"offline, and not in the cache .*: one-1\.0\.jar"):
        asyncio.run(InstallStore(store.root, offline=True).ensure(request))
    assert not registry.requests


def test_a_lock_is_read_with_the_line_of_its_mistake(store: InstallStore, component: Path) -> None:
    with pytest.raises(InstallError, match=r"app: jars\.lock:2: not `group:artifact"):
        asyncio.run(store.ensure(maven(component, "# jars\norg.example:one:1.0\n")))


def test_the_mirror_and_its_credentials_come_from_the_users_settings(
    registry: Registry, store: InstallStore, component: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MILLPOND_MAVEN_REPOSITORY")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MIRROR_WORD", "open sesame")
    (tmp_path / ".m2").mkdir()
    (tmp_path / ".m2" / "settings.xml").write_text(f"""
      <settings xmlns="http://maven.apache.org/SETTINGS/1.0.0">
        <servers><server>
          <id>house</id><username>me</username><password>${{env.MIRROR_WORD}}</password>
        </server></servers>
        <mirrors>
          <mirror><id>no</id><mirrorOf>*,!central</mirrorOf><url>http://127.0.0.1:9/</url></mirror>
          <mirror><id>house</id><mirrorOf>central</mirrorOf><url>{registry.url}/</url></mirror>
        </mirrors>
      </settings>""")
    asyncio.run(store.ensure(maven(component, registry.add_jar("one", b"first"))))
    expected = base64.b64encode(b"me:open sesame").decode()
    assert registry.downloads(".jar")[0]["authorization"] == f"Basic {expected}"


def test_without_any_repository_the_error_says_what_to_set(
    registry: Registry, store: InstallStore, component: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MILLPOND_MAVEN_REPOSITORY", "MAVEN_HOME", "M2_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InstallError, match="no Maven repository is known") as caught:
        asyncio.run(store.ensure(maven(component, registry.add_jar("one", b"first"))))
    assert "MILLPOND_MAVEN_REPOSITORY" in str(caught.value.hint)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("mvn"), reason="needs an installed Maven to learn its repository from")
def test_a_real_jar_from_where_the_installed_maven_gets_it(
    store: InstallStore, component: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MILLPOND_MAVEN_REPOSITORY", raising=False)
    repository = find_repository()
    assert repository is not None
    assert repository.url.startswith("https://")
    sha256 = "66fdef91e9739348df7a096aa384a5685f4e875584cce89386a7a47251c4d8e9"
    install = asyncio.run(store.ensure(maven(component, f"org.hamcrest:hamcrest-core:1.3 sha256:{sha256}\n")))
    assert (install.paths["maven"] / "hamcrest-core-1.3.jar").stat().st_size == 45024
