"""The lake's store with repositories in it: a path such as ``lake://flights@main/raw/x.csv`` is one like any.

So whatever takes a path of the lake (inputs of pipelines, sinks, fans) takes a version of a file as well.
Reading finds the commit first and tells it as the version; writing is a commit of one file on the branch.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from millpond.lake.reference import LakePath
from millpond.lake.repository import places
from millpond.lake.repository.commit import Commit
from millpond.lake.repository.repository import Repository
from millpond.lake.store import ConflictError, Stat, Store


class VersionedStore:
    """A store for paths in repositories.

    Args:
        environment: names the lake, as for `millpond.lake.store.open_store`.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._environment = environment
        self._open: dict[str, Repository] = {}

    def _at(self, path: LakePath) -> tuple[Repository, str]:
        name, ref = path.repository, path.ref
        if name not in self._open:
            self._open[name] = places.find(name, self._environment)
        return self._open[name], ref

    def stat(self, path: LakePath) -> Stat | None:
        """The file's size and digest; the version is the commit's id."""
        repo, ref = self._at(path)
        return _stat(repo, repo.at(ref), path.key)

    def read(self, path: LakePath | str) -> bytes:
        """The whole file."""
        place = LakePath.parse(path) if isinstance(path, str) else path
        repo, ref = self._at(place)
        return repo.read(place.key, ref)

    def fetch(self, path: LakePath, target: Path) -> None:
        """Copy the file to a local one."""
        repo, ref = self._at(path)
        repo.fetch(path.key, target, ref)

    def put(self, path: LakePath, source: bytes | Path, *, expect: str | None = None) -> Stat:
        """Commit the file to the branch; bytes that are there already make no commit.

        Args:
            expect: the commit that was read, or ``""`` where the file must not be there.

        Raises:
            ConflictError: someone else changed the file since.
            MillpondError: the path names no branch, but a tag or a commit.
        """
        repo, ref = self._at(path)
        base = repo.at(expect) if expect else None
        if expect == "" and repo.tree(ref).get(path.key) is not None:
            raise ConflictError(f"{path.uri} is there already")
        with repo.commit(branch=ref, base=base) as change:
            if isinstance(source, Path):
                change.put(source, path.key)
            else:
                change.write(path.key, source)
        assert change.result is not None
        found = _stat(repo, change.result, path.key)
        assert found is not None
        return found

    def list(self, bucket: str, prefix: str = "") -> list[str]:
        """The paths of a commit's files below a prefix; `bucket` is ``REPO@REF``."""
        repo, ref = self._at(LakePath(bucket, ""))
        return [entry.path for entry in repo.tree(ref).entries(prefix)]

    def make_bucket(self, bucket: str) -> None:
        """Make the repository, where there is none of this name."""
        name = LakePath(bucket, "").repository
        if name not in places.repositories(self._environment):
            places.create(name, self._environment)


def _stat(repo: Repository, commit: Commit, key: str) -> Stat | None:
    entry = repo.tree(commit).get(key)
    return None if entry is None else Stat(entry.size, commit.id, entry.sha256, commit.id)


class RoutedStore:
    """One store for both: paths with a version go to the repositories, all others to the object store."""

    def __init__(self, plain: Store, environment: Mapping[str, str] | None) -> None:
        self._plain, self._versioned = plain, VersionedStore(environment)

    def _for(self, path: LakePath) -> Store:
        return self._versioned if path.versioned else self._plain

    def stat(self, path: LakePath) -> Stat | None:
        """See `Store.stat`."""
        return self._for(path).stat(path)

    def read(self, path: LakePath | str) -> bytes:
        """See `Store.read`."""
        place = LakePath.parse(path) if isinstance(path, str) else path
        return self._for(place).read(place)

    def fetch(self, path: LakePath, target: Path) -> None:
        """See `Store.fetch`."""
        self._for(path).fetch(path, target)

    def put(self, path: LakePath, source: bytes | Path, *, expect: str | None = None) -> Stat:
        """See `Store.put`."""
        return self._for(path).put(path, source, expect=expect)

    def list(self, bucket: str, prefix: str = "") -> list[str]:
        """See `Store.list`."""
        return self._for(LakePath(bucket, "")).list(bucket, prefix)

    def make_bucket(self, bucket: str) -> None:
        """See `Store.make_bucket`."""
        self._for(LakePath(bucket, "")).make_bucket(bucket)
