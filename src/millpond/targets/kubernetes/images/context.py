"""Contexts: all that an image is built from, as files with a hash over them, the same on every machine."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import millpond
from millpond.catalogue import Entry
from millpond.model.errors import MillpondError
from millpond.targets.kubernetes.images.dockerfile import dockerfile
from millpond.targets.locks import Requirements, npm_problems, read_debs, read_jars

STAGE = Path(__file__).parent / "stage"
_NAMES = {
    "pip": "requirements.lock",
    "maven": "jars.lock",
    "npm": "package-lock.json",
    "deb": "packages.lock",
}


@dataclass(frozen=True)
class Context:
    """What a builder is given.

    Args:
        files: contents by path, the Dockerfile among them.
        package: whether Millpond's own package belongs to it, at ``millpond/``.
        model: a folder that belongs to it, at ``model/``: too large for memory, perhaps.
        model_digest: names the contents of that folder.
    """

    files: Mapping[str, bytes]
    package: bool
    model: Path | None = None
    model_digest: str = ""

    @cached_property
    def digest(self) -> str:
        """A hash that changes when any file of it does."""
        found = hashlib.sha256()
        for name, content in sorted(self.files.items()):
            found.update(f"{name}\0{len(content)}\0".encode())
            found.update(content)
        if self.package:
            found.update(_package_digest().encode())
        found.update(self.model_digest.encode())
        return found.hexdigest()

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        """Every file with its content, sorted, but for the model's."""
        found = dict(self.files)
        if self.package:
            found |= {f"millpond/{name}": path.read_bytes() for name, path in _package_files()}
        return iter(sorted(found.items()))

    def write(self, folder: Path) -> None:
        """Write all files below a folder.

        Raises:
            MillpondError: one cannot be written.
        """
        try:
            for name, content in self:
                path = folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
                path.chmod(0o644)
            if self.model is not None:
                _copy(self.model, folder / "model")
        except OSError as error:
            raise MillpondError(f"{folder} cannot be written: {error.strerror}") from error


def context(entry: Entry, *, cuda: bool = False, lock: Path | None = None) -> Context:
    """The context of a component's image.

    Args:
        entry: the component; it must have a recipe `service`.
        cuda: the variant for GPUs.
        lock: Python packages in place of the component's own: a model's environment.

    Raises:
        MillpondError: a lock is missing or lacks a hash, or the component has nothing to build.
    """
    component = entry.component
    install = component.service.install
    if not component.service.processes:
        raise MillpondError(
            f"{component.name}: is installed by a chart, which names its own images",
            hint="`millpond images` without names leaves such components out",
        )
    if install.path:
        raise MillpondError(
            f"{component.name}: is made of programs on PATH ({', '.join(install.path)}), not of packages",
            hint="name an image that has them: `image:` of this component in the flavour",
        )
    files: dict[str, bytes] = {}
    for kind, target in _NAMES.items():
        name = getattr(install, kind)
        if name or (kind == "pip" and lock):
            path = lock if kind == "pip" and lock else entry.resource(name)
            files[f"locks/{target}"] = _checked(component.name, kind, path)
    if "locks/requirements.lock" in files:
        files["locks/build.rules"] = _build_rules(files["locks/requirements.lock"])
    if "locks/package-lock.json" in files:
        files["locks/package.json"] = _package_json(files["locks/package-lock.json"])
    for name in ("install.sh", "jars.py", "uv.lock"):
        files[f"stage/{name}"] = (STAGE / name).read_bytes()
    files["Dockerfile"] = dockerfile(component, cuda=cuda, millpond=install.millpond).encode()
    return Context(files, install.millpond)


def _copy(source: Path, target: Path) -> None:
    """A folder's files, readable by everyone; nothing of what was there before."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, copy_function=shutil.copyfile)
    for path in (target, *target.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


def _checked(component: str, kind: str, path: Path) -> bytes:
    """A lock's bytes. What cannot be trusted is refused here, before a builder wastes minutes on it."""
    try:
        found = path.read_bytes()
    except OSError as error:
        raise MillpondError(f"{component}: cannot read the lock {path}: {error.strerror}") from error
    return _trusted(component, kind, path.name, found)


@cache
def _trusted(component: str, kind: str, name: str, found: bytes) -> bytes:
    text = found.decode()
    problems: tuple[str, ...] = ()
    try:
        if kind == "pip":
            problems = Requirements.parse(text, name).problems
        elif kind == "npm":
            problems = npm_problems(text, name)
        else:
            (read_jars if kind == "maven" else read_debs)(text, name)
    except ValueError as error:
        problems = (str(error),)
    if problems:
        raise MillpondError(
            f"{component}: the lock {name} is not complete: {problems[0]}",
            hint="make it anew with tools/lock.py",
            details=problems,
        )
    return found


@cache
def _build_rules(lock: bytes) -> bytes:
    return " ".join(Requirements.parse(lock.decode(), "").build_rules).encode() + b"\n"


def _package_json(lock: bytes) -> bytes:
    root = json.loads(lock)["packages"].get("", {})
    return json.dumps({"name": "install", "version": "0.0.0", **root}, indent=2).encode()


@cache
def _package_digest() -> str:
    found = hashlib.sha256()
    for name, path in _package_files():
        content = path.read_bytes()
        found.update(f"{name}\0{len(content)}\0".encode())
        found.update(content)
    return found.hexdigest()


def _package_files() -> list[tuple[str, Path]]:
    package = Path(millpond.__file__).resolve().parent
    found = []
    for folder, folders, names in os.walk(package):
        folders[:] = [name for name in folders if name != "__pycache__" and not name.startswith(".")]
        for name in names:
            if not name.startswith(".") and not name.endswith((".pyc", "~")):
                path = Path(folder, name)
                found.append((path.relative_to(package).as_posix(), path))
    return sorted(found)
