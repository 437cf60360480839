"""Files of versioned repositories in a query: ``'lake://flights@main/raw/*.csv'``.

A branch is looked up when the query begins; the files of its commit are brought to a folder of the cache,
once, and read from there. So one query sees one commit, whatever others write meanwhile.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from millpond.lake.reference import LakePath
from millpond.lake.repository.places import find
from millpond.targets.cache import default_root


def brought(path: str, environment: Mapping[str, str]) -> str:
    """Where the files of ``repository@ref/pattern`` are on this machine, as a pattern again.

    Raises:
        MillpondError: there is no such repository, branch, tag, commit or file.
    """
    place = LakePath.parse(f"lake://{path}")
    repository = find(place.repository, environment)
    commit = repository.at(place.ref)
    folder = default_root() / "query" / place.repository / commit.id
    missing = [
        entry.path
        for entry in repository.files(place.key, ref=commit)
        if not _is_there(folder / entry.path, entry.size)
    ]
    if missing:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".bringing-") as name:
            for file in repository.get(*missing, to=name, ref=commit):
                target = folder / file.relative_to(name)
                target.parent.mkdir(parents=True, exist_ok=True)
                # Others may bring the same; whoever is last puts the same bytes.
                shutil.move(file, target)
    return str(folder / place.key)


def _is_there(file: Path, size: int) -> bool:
    try:
        return file.stat().st_size == size
    except OSError:
        return False
