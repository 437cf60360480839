"""A place of its own for buildah, a base image, and containers of what was built; nothing stays behind."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from millpond.catalogue import Catalogue
from millpond.model.cluster import Cluster
from millpond.targets.kubernetes.images.builder import Builder
from millpond.targets.kubernetes.images.context import context
from millpond.targets.kubernetes.images.names import image

USER = 10001
COMPONENTS = ("serving", "mlflow", "seaweedfs")
DEBIAN = "localhost/debian:test"
SUITE = "bookworm"
PACKAGES = "ca-certificates,python3-distutils,python3-lib2to3,python3.11,python3.11-venv"


class Place:
    """Buildah with its storage, caches and scratch in one folder, and the images that were built there."""

    def __init__(self, folder: Path, driver: str) -> None:
        self.folder = folder
        self.env = {
            "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
            "BUILDAH_ISOLATION": "chroot",
            "TMPDIR": str(folder / "tmp"),
        }
        self._built: dict[str, Future[str]] = {}
        self._builds = ThreadPoolExecutor(os.cpu_count())
        (folder / "tmp").mkdir(exist_ok=True)
        (folder / "storage.conf").write_text(
            f'[storage]\ndriver = "{driver}"\ngraphroot = "{folder}/images"\nrunroot = "{folder}/run"\n'
        )

    def buildah(self, *words: str | Path) -> str:
        done = subprocess.run(
            ["buildah", *map(str, words)], env={**os.environ, **self.env}, capture_output=True, text=True
        )
        assert done.returncode == 0, f"buildah {words[0]}: {done.stderr[-2000:]}"
        return done.stdout.strip()

    def begin(self, names: Iterable[str]) -> None:
        """Build these components' images beside what the tests do."""
        for name in names:
            self._built.setdefault(name, self._builds.submit(self.build, name))

    def built(self, name: str) -> str:
        """The image of a component, built for the first test that asks for it."""
        self.begin([name] if name not in self._built else [])
        return self._built[name].result()

    def build(self, name: str) -> str:
        entry = Catalogue().entry(name)
        folder = self.folder / "contexts" / name
        context(entry).write(folder)
        called = image(entry, Cluster())
        Builder("buildah").build(called, folder)
        return called

    @contextmanager
    def container(self, name: str) -> Iterator[str]:
        found = self.buildah("from", "--pull-never", name)
        try:
            yield found
        finally:
            self.buildah("rm", found)

    @contextmanager
    def running(
        self, image: str, command: Sequence[str], env: Mapping[str, str], data: Path, url: str
    ) -> Iterator[None]:
        """A process in a container of an image, as the image's own user, that answers at ``url``."""
        data.mkdir(exist_ok=True)
        settings = data / "settings"
        settings.write_text("".join(f"export {key}='{value}'\n" for key, value in env.items()))
        for path in (data, *data.iterdir()):
            os.chown(path, USER, USER)
        log = self.folder / "service.log"
        with self.container(image) as box, log.open("w") as stream:
            process = subprocess.Popen(
                [
                    *("buildah", "run", "--volume", f"{data}:/data", box, "--"),
                    *("sh", "-c", '. /data/settings; exec "$@"', "sh", *command),
                ],
                env={**os.environ, **self.env},
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                _answers(url, process, log)
                yield
            finally:
                _end(process)

    def clear(self) -> None:
        self._builds.shutdown(cancel_futures=True)
        for line in reversed(Path("/proc/mounts").read_text().splitlines()):
            at = line.split()[1]
            if at.startswith(f"{self.folder}/"):
                subprocess.run(["umount", at], check=False)
        shutil.rmtree(self.folder)


def _answers(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 180
    while process.poll() is None and time.monotonic() < until:
        with suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:
            if answer.status == 200:
                return
        time.sleep(0.1)
    pytest.fail(f"nothing answers at {url}: {log.read_text()[-3000:]}")


def _end(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(15)
            break
    # What the shell in the container left in the same group.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Place]:
    """Buildah, ready to build on a Debian base."""
    lack = _lack()
    if lack:
        pytest.skip(f"no image can be built here: {lack}")
    folder = tmp_path_factory.mktemp("buildah").resolve()
    patch = pytest.MonkeyPatch()
    found = _place(folder)
    try:
        for name, value in found.env.items():
            patch.setenv(name, value)
        if not os.environ.get("MILLPOND_BASE_IMAGE"):
            _debian(found, Path(request.config.cache.mkdir("images")))  # type: ignore[union-attr]
            patch.setenv("MILLPOND_BASE_IMAGE", DEBIAN)
        wanted = "\n".join(item.name for item in request.session.items)
        found.begin(name for name in COMPONENTS if f"_{name}" in wanted)
        yield found
    finally:
        patch.undo()
        found.clear()


def _lack() -> str | None:
    """What of this machine does not let images be built; `./bootstrap test` installs the programs."""
    if os.geteuid() != 0:
        return "buildah's chroot isolation is root's"
    programs = ["buildah"] if os.environ.get("MILLPOND_BASE_IMAGE") else ["buildah", "debootstrap"]
    missing = [name for name in programs if not shutil.which(name)]
    if missing:
        return f"{' and '.join(missing)} not on PATH"
    if subprocess.run(
        ["unshare", "--mount", "--propagation", "unchanged", "true"], capture_output=True
    ).returncode:
        return "this machine makes no mount namespaces, which buildah runs a container in"
    return None


def _place(folder: Path) -> Place:
    """With overlays where the kernel lets them be nested, else with copies."""
    for driver in ("overlay", "vfs"):
        found = Place(folder, driver)
        with suppress(AssertionError):
            found.buildah("rm", found.buildah("from", "scratch"))
            return found
    pytest.fail("buildah can keep images neither with overlay nor with vfs")


def _debian(place: Place, cache: Path) -> None:
    """A Debian 12 with Python, which later runs take from pytest's cache."""
    wanted = f"{SUITE} {PACKAGES} {os.uname().machine}"
    archive = cache / f"{hashlib.sha256(wanted.encode()).hexdigest()[:16]}.tar"
    if archive.is_file():
        place.buildah("pull", "--quiet", f"docker-archive:{archive}")
        return
    box = place.buildah("from", "scratch")
    # Right into the container, which spares copying a system twice.
    root = place.buildah("mount", box)
    done = subprocess.run(
        ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, root, *_mirror()],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    for package in Path(root, "var/cache/apt/archives").glob("*.deb"):
        package.unlink()
    place.buildah("umount", box)
    place.buildah("commit", "--quiet", "--rm", box, DEBIAN)
    partial = archive.with_suffix(f".{os.getpid()}")
    place.buildah("push", "--quiet", DEBIAN, f"docker-archive:{partial}:{DEBIAN}")
    partial.rename(archive)


def _mirror() -> list[str]:
    """Where this machine itself takes Debian 12 from, if it does; else debootstrap's own choice."""
    asked = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(RELEASE) $(REPO_URI)", "Created-By: Packages"],
        capture_output=True,
        text=True,
    )
    found = re.search(rf"^{SUITE} (http\S+)$", asked.stdout, re.M)
    return [found[1]] if found else []


@pytest.fixture
def port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
