"""What user code does with files of the lake: ``from millpond import lake``, ``lake.read("raw/x.csv")``.

Where the lake is says the environment, as everywhere on a platform. Paths are those of ``millpond lake``;
`read` and `open` take those of repositories, too.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from millpond.lake.files.listing import files, listed
from millpond.lake.files.place import place
from millpond.lake.reference import LakePath
from millpond.model.errors import MillpondError

if TYPE_CHECKING:
    from millpond.lake.repository.repository import Repository


def ls(path: str = "lake://", *, recursive: bool = False) -> list[str]:
    """The paths of what is at a path or matches a pattern; folders end with a slash."""
    found = place(path)
    folders, items = listed(found, recursive=recursive)
    return [found.side.show(key) for key in (*folders, *(item.key for item in items))]


def exists(path: str) -> bool:
    """Whether there is a file at the path."""
    found = place(path)
    return found.side.stat(found.key) is not None


def read(path: str) -> bytes:
    """A file's bytes.

    Raises:
        MillpondError: there is none.
    """
    if named := _in_repository(path):
        return _repository(named).read(named.key, named.ref)
    found = place(path)
    return b"".join(found.side.read(found.key))


def write(path: str, data: bytes | str) -> None:
    """Write a file, whole or not at all; text as UTF-8."""
    import tempfile

    found = place(path)
    with tempfile.TemporaryDirectory(prefix="millpond-") as folder:
        source = Path(folder, "file")
        source.write_bytes(data.encode() if isinstance(data, str) else data)
        found.side.store(source, found.key, lambda count: None)


def open(path: str, mode: str = "rb", **options: Any) -> IO[Any]:  # noqa: A001 - what it is for
    """A file of the lake as Python's own `open` gives one; for pandas, pyarrow, json and the like.

    Reading fetches what is read and no more. A file that is written is there when it is closed.
    """
    if named := _in_repository(path):
        if "w" in mode or "a" in mode:
            raise MillpondError(f"{path} is versioned", hint="lake.repo(NAME).put commits files")
        import io

        raw: IO[Any] = _repository(named).open(named.key, named.ref)
        return raw if "b" in mode else io.TextIOWrapper(raw, encoding="utf-8", **options)
    found = place(path)
    if found.local:
        return Path(found.key).open(mode, **options)
    from millpond.lake.files.folder import Folder

    if isinstance(found.side, Folder):
        local = found.side.path(found.key)
        if "r" not in mode:
            local.parent.mkdir(parents=True, exist_ok=True)
        return local.open(mode, **options)
    import fsspec

    address = path if "://" in path else f"s3://{path}"
    address = f"s3://{address.removeprefix('lake://')}" if address.startswith("lake://") else address
    opened: IO[Any] = fsspec.open(address, mode, **options, **_settings(address)).open()
    return opened


def _in_repository(path: str) -> LakePath | None:
    """The path, if it is one of a versioned repository: ``lake://flights@main/x.csv``."""
    place_ = path.removeprefix("lake://").partition("/")[0]
    return LakePath.parse(path) if path.startswith("lake://") and "@" in place_ else None


def _repository(path: LakePath) -> Repository:
    from millpond.lake.repository.places import find

    return find(path.repository)


def _settings(address: str) -> dict[str, Any]:
    if not address.startswith("s3://"):
        if "+" in address.partition("://")[0]:
            raise MillpondError(f"{address} can be copied and not opened", hint="lake.read reads it whole")
        return {}
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    return {"endpoint_url": endpoint, "config_kwargs": {"s3": {"addressing_style": "path"}}}


def cp(source: str, target: str, *, recursive: bool = False) -> int:
    """Copy files between the lake, this machine and other stores, as ``millpond lake cp``; says how many.

    Raises:
        MillpondError: a file could not be copied.
    """
    from millpond.lake.files.transfer import moves, run

    outcome = run(moves([place(source)], place(target), recursive=recursive), lambda count: None)
    for name, why in outcome.failed.items():
        raise MillpondError(f"{name} could not be copied: {why}")
    return outcome.files


def rm(path: str, *, recursive: bool = False) -> int:
    """Delete a file, what a pattern matches, or what is in a folder; says how many.

    Raises:
        MillpondError: there is nothing, or the store refused.
    """
    found = place(path)
    if found.local:
        raise MillpondError(f"{path} is a file of this machine", hint="pathlib deletes it")
    keys = [item.key for item in files(found, recursive=recursive)]
    for key, why in found.side.delete(keys).items():
        raise MillpondError(f"{found.side.show(key)} could not be deleted: {why}")
    return len(keys)
