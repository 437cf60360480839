"""Removing what no branch or tag leads to, while others go on writing.

It goes in two steps, with a time of grace between them. First, packs that nothing needs are *condemned*: from
then on no writer relies on what only they have. Those who began before have the time of grace to finish, and
what they rely on is seen to be needed when the condemned are looked at again, after it. What then still
nothing needs is deleted. Packs of which most is waste are condemned, too, after what is needed of them was
moved to new ones; readers who find a pack gone look for its blobs in the index.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from millpond.lake.repository.commit import key_of as commit_key
from millpond.lake.repository.history import walk
from millpond.lake.repository.index import CLEANUP, name_of
from millpond.lake.repository.pack import Blob, key_of
from millpond.lake.repository.tree import Nodes, reach
from millpond.lake.repository.upload import Packer
from millpond.lake.store import ConflictError
from millpond.model.errors import MillpondError

if TYPE_CHECKING:
    from millpond.lake.repository.repository import Repository

GRACE = 86_400.0
_WASTE = 0.5
_SETTLE = 5.0


@dataclass
class Cleaned:
    """What a clean-up did; bytes are those of packs.

    Attributes:
        condemned: packs and commits that a later clean-up deletes, in `wait` seconds at the earliest.
        moved: bytes that were copied out of packs with much waste.
    """

    deleted: int = 0
    deleted_bytes: int = 0
    condemned: int = 0
    condemned_bytes: int = 0
    moved: int = 0
    kept: int = 0
    kept_bytes: int = 0
    wait: float | None = None


@dataclass
class _State:
    """``clean-up.json``: what is condemned since when, by key."""

    generation: str = ""
    condemned: dict[str, float] = field(default_factory=dict)
    commits: dict[str, float] = field(default_factory=dict)
    version: str | None = None

    @classmethod
    def read(cls, repository: Repository) -> _State:
        found = repository.objects.read_version(CLEANUP)
        if found is None:
            return cls()
        data = json.loads(found[0])
        return cls(data["generation"], data["condemned"], data["commits"], found[1])

    def write(self, repository: Repository) -> _State:
        data: Mapping[str, Any] = {
            "generation": self.generation,
            "condemned": self.condemned,
            "commits": self.commits,
        }
        text = (json.dumps(data, indent=1) + "\n").encode()
        try:
            if self.version is None:
                repository.objects.create(CLEANUP, text)
            else:
                repository.objects.swap(CLEANUP, text, self.version)
        except ConflictError:
            raise MillpondError(
                f"somebody else cleans {repository.name} up", hint="wait until they are done"
            ) from None
        return _State.read(repository)


def clean_up(repository: Repository, *, grace: float = GRACE) -> Cleaned:
    """Delete what was condemned and is needed by nothing, then condemn what is not needed now.

    Args:
        grace: seconds between the two; longer than any commit takes. With 0 nobody else may write meanwhile.

    Raises:
        MillpondError: somebody else cleans up at the same time, or something that is needed is damaged.
    """
    state = _State.read(repository)
    now = time.time()
    expired = any(now - since >= grace for since in (*state.condemned.values(), *state.commits.values()))
    if expired or grace == 0:
        # From here on, writers who began earlier find out before they move a branch, or are seen below.
        state.generation = secrets.token_hex(8)
        state = state.write(repository)
        time.sleep(min(grace, _SETTLE))
    survey = _Survey(repository, state)
    made = Cleaned()
    moved = survey.move_out(made)
    unneeded = survey.unneeded() | moved
    # One that is needed again is not condemned any longer.
    state.condemned = {pack: state.condemned.get(pack, now) for pack in sorted(unneeded)}
    state.commits = {commit: state.commits.get(commit, now) for commit in sorted(survey.loose_commits())}
    packs = [pack for pack, since in state.condemned.items() if now - since >= grace]
    commits = [commit for commit, since in state.commits.items() if now - since >= grace]
    if (packs or commits) and not (expired or grace == 0):
        packs, commits = [], []
    state = state.write(repository)
    repository.objects.delete([*(key_of(pack) for pack in packs), *(commit_key(item) for item in commits)])
    for pack in packs:
        del state.condemned[pack]
    for commit in commits:
        del state.commits[commit]
    if packs or commits:
        state = state.write(repository)
    repository.cache.forget(packs)
    made.deleted, made.condemned = len(packs) + len(commits), len(state.condemned) + len(state.commits)
    made.deleted_bytes = sum(survey.sizes.get(pack, 0) for pack in packs)
    made.condemned_bytes = sum(survey.sizes.get(pack, 0) for pack in state.condemned)
    left = survey.sizes.keys() - set(packs) - state.condemned.keys()
    made.kept, made.kept_bytes = len(left), sum(survey.sizes[pack] for pack in left)
    times = [*state.condemned.values(), *state.commits.values()]
    made.wait = max(grace - (now - min(times)), 0) if times else None
    return made


class _Survey:
    """What there is and what of it is needed."""

    def __init__(self, repository: Repository, state: _State) -> None:
        self._repository = repository
        self._commits = {
            item.key.removeprefix("commits/").removesuffix(".json")
            for item in repository.objects.below("commits/")
        }
        listed = repository.objects.below("packs/")
        self.sizes = {name_of(item.key): item.size for item in listed}
        self._packs = repository.index.read(self.sizes)
        if broken := [pack for pack, blobs in self._packs.items() if blobs is None]:
            raise MillpondError(
                f"the pack {broken[0]} of {repository.name} is damaged, so nothing is cleaned up",
                hint="`millpond repo fsck` tells what it held",
            )
        # Refs come after packs and commits: what is younger than the lists is in neither.
        self._reached: set[str] = set()
        roots = []
        for ref in repository.refs.all():
            for commit in walk(repository.commit_at, repository.commit_at(ref.commit)):
                if commit.id not in self._reached:
                    self._reached.add(commit.id)
                    roots += [commit.tree] if commit.tree else []
        nodes = Nodes(repository.load_nodes, _no)
        live = {blob.id for blob, _ in reach(nodes, roots, set())}
        # Each blob is kept in one pack: one that is not condemned, if there is one.
        self._needed: dict[str, list[Blob]] = {pack: [] for pack in self._packs}
        met: set[str] = set()
        for pack in sorted(self._packs, key=lambda name: (name in state.condemned, -self.sizes[name])):
            for blob in self._packs[pack] or ():
                if blob.id in live and blob.id not in met:
                    met.add(blob.id)
                    self._needed[pack].append(blob)

    def unneeded(self) -> set[str]:
        """Packs without anything that is needed."""
        return {pack for pack, blobs in self._needed.items() if not blobs}

    def loose_commits(self) -> set[str]:
        """Commits that no ref leads to."""
        return self._commits - self._reached

    def move_out(self, made: Cleaned) -> set[str]:
        """Copy what is needed of packs with much waste to new ones; returns the old ones."""
        sparse = []
        for pack, blobs in self._needed.items():
            every = sum(blob.stored for blob in self._packs[pack] or ())
            if blobs and sum(blob.stored for blob in blobs) < every * (1 - _WASTE):
                sparse.append(pack)
        if not sparse:
            return set()
        repository = self._repository
        packer = Packer(repository.objects, lambda blob: None, repository.learn)
        try:
            for pack in sparse:
                for data in repository.reader.contents(self._needed[pack]).values():
                    made.moved += packer.add(data).stored
            packer.flush()
        finally:
            packer.close()
        return set(sparse)


def _no(data: bytes) -> Blob:
    raise TypeError("a clean-up changes no tree")
