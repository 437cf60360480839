"""Where a lake's datasets are told of: one document each, in a bucket of their own.

Two people who describe the same dataset at once lose nothing: a document is written only if it is still the
one that was read, and otherwise what was to be said is said of the newer one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from millpond.lake.datasets.dataset import Dataset, checked
from millpond.lake.files.place import place
from millpond.lake.reference import LakePath
from millpond.lake.store import ConflictError, open_store
from millpond.model.errors import MillpondError, did_you_mean

BUCKET = "datasets"
_TRIES = 10


class Shelf:
    """The datasets of a lake.

    Args:
        environment: names the lake; the process's own when None.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._store = open_store(environment)
        self._place = place("lake://", environment)

    def names(self) -> list[str]:
        """The names of all, sorted."""
        if f"{BUCKET}/" not in self._place.side.level("").folders:
            return []
        keys = (item.key.removeprefix(f"{BUCKET}/") for item in self._place.side.level(f"{BUCKET}/").items)
        return sorted(key.removesuffix(".json") for key in keys if key.endswith(".json"))

    def all(self) -> list[Dataset]:
        """All, by name."""
        with ThreadPoolExecutor(8) as pool:
            return [found for found in pool.map(self._read, self.names()) if found]

    def get(self, name: str) -> Dataset:
        """One dataset.

        Raises:
            MillpondError: there is none of this name.
        """
        found = self._read(checked(name))
        if found is None:
            hint = did_you_mean(name, self.names()) or f"`millpond dataset add {name} PATH` tells of one"
            raise MillpondError(f"there is no dataset {name}", hint=hint)
        return found

    def change(self, name: str, edit: Callable[[Dataset], Dataset]) -> Dataset:
        """Make or change one; `edit` may be called again, with what somebody else has just written.

        Raises:
            ConflictError: others were quicker ten times.
        """
        path = _path(checked(name))
        for _ in range(_TRIES):
            seen = self._store.stat(path)
            before = self._read(name) if seen else Dataset(name)
            after = edit(before or Dataset(name))
            text = json.dumps(after.as_dict(), ensure_ascii=False, indent=1).encode()
            try:
                self._store.put(path, text, expect=seen.version if seen else "")
            except ConflictError:
                continue
            return after
        raise ConflictError(f"the dataset {name} is being changed by others", hint="try again")

    def _read(self, name: str) -> Dataset | None:
        path = _path(name)
        if self._store.stat(path) is None:
            return None
        return Dataset.from_dict(json.loads(self._store.read(path)))


def _path(name: str) -> LakePath:
    return LakePath(BUCKET, f"{name}.json")
