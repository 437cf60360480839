"""What a flavour gives a lake from the start: files and folders of this machine, once for each content.

Which content was loaded last is noted beside the platform's state, so that neither a plan nor an `up` with
nothing new asks the store. Names that begin with a dot are passed over.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from millpond.model.errors import MillpondError


@dataclass(frozen=True)
class Given:
    """One entry of the flavour's ``data``.

    Attributes:
        source: a file or a folder.
        target: ``bucket/path``: a folder's contents go below it; a file becomes it, or goes into it where it
            ends with a slash or is a bucket.
    """

    source: Path
    target: str

    def files(self) -> Iterator[tuple[str, Path]]:
        """Each file with its ``bucket/key``, in order.

        Raises:
            MillpondError: the source is not there.
        """
        if self.source.is_file():
            whole = self.target.endswith("/") or "/" not in self.target
            yield f"{self.target.rstrip('/')}/{self.source.name}" if whole else self.target, self.source
            return
        if not self.source.is_dir():
            raise MillpondError(
                f"data: there is no {self.source}, which is to go to {self.target}",
                hint="its path is taken from the flavour file's folder",
                exit_code=3,
            )
        for place, folders, names in os.walk(self.source):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(names):
                path = Path(place, name)
                if not name.startswith(".") and path.is_file():
                    yield f"{self.target.rstrip('/')}/{path.relative_to(self.source).as_posix()}", path

    def look(self) -> str:
        """A hash of names, sizes and times: while it is the same, so is the content."""
        found = hashlib.sha256()
        for key, path in self.files():
            stat = path.stat()
            found.update(f"{key}\0{stat.st_size}\0{stat.st_mtime_ns}\0".encode())
        return found.hexdigest()

    def digest(self) -> str:
        """A hash of names and contents."""
        found = hashlib.sha256()
        for key, path in self.files():
            with path.open("rb") as file:
                found.update(f"{key}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\0".encode())
        return found.hexdigest()


class Loaded:
    """What was loaded, by target.

    Args:
        path: the note, one JSON object; it need not be there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def _read(self) -> dict[str, dict[str, str]]:
        try:
            found = json.loads(self._path.read_text())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def waiting(self, every: Iterable[Given]) -> list[tuple[Given, str]]:
        """What is to be loaded, each with why: ``new`` or ``changed``."""
        known = self._read()
        found = []
        for given in every:
            before = known.get(given.target)
            if before is None:
                given.look()
                found.append((given, "new"))
            elif before.get("look") != given.look() and before.get("digest") != given.digest():
                found.append((given, "changed"))
        return found

    def note(self, given: Given, look: str, digest: str) -> None:
        """Note that this content was loaded."""
        found = {**self._read(), given.target: {"look": look, "digest": digest}}
        made = self._path.with_suffix(".new")
        made.write_text(json.dumps(found, indent=1) + "\n")
        made.replace(self._path)
