"""Which blob is in which pack: for writers, who send only what is new, and for readers after a clean-up.

It is read from the packs' own ends, each once per machine, as a pack never changes. ``clean-up.json`` says
which packs are about to go (see `millpond.lake.repository.cleanup`): what only they have counts as not there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from millpond.lake.repository.cache import Cache
from millpond.lake.repository.objects import AbsentError, Listed, Objects
from millpond.lake.repository.pack import Blob, DamagedError, read_index

CLEANUP = "clean-up.json"
_READERS = 16


class BlobIndex:
    """The index of one repository."""

    def __init__(self, objects: Objects, cache: Cache) -> None:
        self._objects, self._cache = objects, cache
        self._condemned: frozenset[str] = frozenset()
        self._generation = ""
        self._ready = False

    def begin(self) -> str:
        """Learn what is about to go; call it before the first `known` of a change.

        Returns:
            The clean-up's generation; while it stays the same, nothing that is known here has gone.
        """
        found = self._objects.read_version(CLEANUP)
        state = json.loads(found[0]) if found else {}
        self._condemned = frozenset(state.get("condemned", {}))
        self._generation = str(state.get("generation", ""))
        self._ready = True
        if (self._cache.fact("generation") or "") != self._generation:
            self.refresh()
        return self._generation

    def generation(self) -> str:
        """The clean-up's generation as it is now."""
        found = self._objects.read_version(CLEANUP)
        return str(json.loads(found[0]).get("generation", "")) if found else ""

    def known(self, id: str) -> Blob | None:  # noqa: A002 - the field's name
        """Where a blob is, if it is known and stays."""
        blob = self._cache.blobs([id]).get(id)
        return blob if blob is not None and blob.pack not in self._condemned else None

    def refresh(self) -> list[Listed]:
        """Learn of packs that others wrote, forget those that are gone; returns all that there are."""
        listed = self._objects.below("packs/")
        present = {name_of(item.key): item.size for item in listed}
        mine = self._cache.packs()
        self._cache.forget(mine - present.keys())
        self.learn({name: present[name] for name in present.keys() - mine})
        if self._ready:
            self._cache.note("generation", self._generation)
        return listed

    def learn(self, packs: dict[str, int]) -> None:
        """Read the ends of some packs, given with their sizes."""

        for pack, blobs in self.read(packs).items():
            if blobs is not None:
                self._cache.know(pack, blobs)

    def read(self, packs: Mapping[str, int]) -> dict[str, list[Blob] | None]:
        """What some packs have, from their own ends; None for one that is gone or damaged."""

        def blobs(pack: str) -> list[Blob] | None:
            with suppress(AbsentError, DamagedError):
                return read_index(self._objects, pack, packs[pack])
            return None

        if not packs:
            return {}
        with ThreadPoolExecutor(_READERS, "millpond-index") as pool:
            return dict(zip(packs, pool.map(blobs, packs), strict=True))

    def locate(self, ids: Iterable[str]) -> dict[str, Blob]:
        """Where blobs are now whose packs are gone, as a clean-up moved them.

        Raises:
            DamagedError: one is nowhere.
        """
        wanted = set(ids)
        self.refresh()
        found = self._cache.blobs(wanted)
        if missing := wanted - found.keys():
            raise DamagedError(
                f"{len(missing)} parts of files are in no pack of {self._objects.uri}",
                hint="`millpond repo fsck` tells which files they belong to",
            )
        return found


def name_of(key: str) -> str:
    """The name of a pack by its key."""
    return key.removeprefix("packs/").removesuffix(".pack")
