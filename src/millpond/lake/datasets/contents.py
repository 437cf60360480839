"""What a dataset's path means: its files, exactly which bytes they are, and copies of them to look into."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from millpond.lake.datasets.dataset import File
from millpond.lake.files.listing import files
from millpond.lake.files.place import place
from millpond.lake.files.transfer import Move, run
from millpond.model.errors import MillpondError, UsageError


@dataclass(frozen=True)
class Contents:
    """The files at a path, with copies on this machine.

    Attributes:
        uri: the path for good: of a repository with the commit in place of the branch.
        copies: in the order of `files`.
    """

    uri: str
    files: tuple[File, ...]
    copies: tuple[Path, ...]


@contextmanager
def contents(path: str) -> Iterator[Contents]:
    """Fetch what a path means: a file, a folder or a pattern of the lake, or a path in a repository.

    Raises:
        MillpondError: there is nothing, or it is not in the lake.
    """
    with TemporaryDirectory(prefix="millpond-dataset-") as folder:
        bare = path.removeprefix("lake://").removeprefix("s3://")
        if "@" in bare.partition("/")[0]:
            yield _of_repository(bare, Path(folder))
        else:
            yield _of_lake(path, Path(folder))


def _of_lake(path: str, folder: Path) -> Contents:
    found = place(path)
    if found.local or "://" in found.side.show("x"):
        raise UsageError(f"{path} is not in the lake", hint=f"`millpond lake cp {path} raw/` brings it there")
    items = list(files(found, recursive=True))
    if not items:
        raise MillpondError(f"there is nothing in {path}", hint="`millpond lake ls` lists")
    copies = tuple(folder / f"{number}{_suffix(item.key)}" for number, item in enumerate(items))
    here = place(f"{folder}/")
    moves = [Move(item, found.side, str(copy), here.side) for item, copy in zip(items, copies, strict=True)]
    outcome = run(moves, lambda count: None)
    for name, why in outcome.failed.items():
        raise MillpondError(f"{name} could not be read: {why}")
    told = tuple(File(f"s3://{item.key}", item.size, item.etag or str(item.modified)) for item in items)
    return Contents(f"s3://{found.key}", told, copies)


def _of_repository(bare: str, folder: Path) -> Contents:
    from millpond.lake.repository.places import find

    place_, _, inner = bare.partition("/")
    name, _, ref = place_.partition("@")
    repository = find(name)
    commit = repository.at(ref.replace("%2F", "/"))
    entries = repository.files(*([inner] if inner else []), ref=commit)
    copies, told = [], []
    for number, entry in enumerate(entries):
        copy = folder / f"{number}{_suffix(entry.path)}"
        repository.fetch(entry.path, copy, commit)
        copies.append(copy)
        content = hashlib.sha256("".join(str(blob.id) for blob in entry.blobs).encode()).hexdigest()[:32]
        told.append(File(f"lake://{name}@{commit.id}/{entry.path}", copy.stat().st_size, content))
    return Contents(f"lake://{name}@{commit.id}/{inner}", tuple(told), tuple(copies))


def _suffix(key: str) -> str:
    """The extension, with that of a compression."""
    name = key.rsplit("/", 1)[-1]
    found = Path(name).suffixes
    return "".join(found[-2:] if found and found[-1] in (".gz", ".zst") else found[-1:]).lower()
