"""Where a repository's objects are: few operations, of which two are conditional, over S3 or a folder.

This is narrower than `millpond.lake.store`: objects are written once and whole, read in ranges, and only
refs ever change. obstore carries it on S3: its import takes milliseconds where boto3's takes a third of a
second, and its requests leave Python's lock alone.
"""

from __future__ import annotations

import datetime
import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from millpond.lake.lock import locked
from millpond.lake.store import ConflictError, open_store
from millpond.model.errors import MillpondError

_MARK = ".writing-"


class AbsentError(MillpondError):
    """An object is not there."""


@dataclass(frozen=True)
class Listed:
    """An object as a listing tells it; `modified` in seconds since the epoch."""

    key: str
    size: int
    modified: float


class Objects(Protocol):
    """The objects below one place. Keys are relative to it."""

    uri: str

    def under(self, prefix: str) -> Objects:
        """The objects below a prefix of these."""

    def read(self, key: str) -> bytes:
        """A whole object; AbsentError where there is none."""

    def read_range(self, key: str, start: int, length: int) -> bytes:
        """A part of an object."""

    def read_tail(self, key: str, length: int) -> bytes:
        """The last bytes of an object; all of it where it is shorter."""

    def read_version(self, key: str) -> tuple[bytes, str] | None:
        """A whole object with what `swap` wants to know of it; None where there is none."""

    def create(self, key: str, data: bytes) -> None:
        """Write a new object.

        Raises:
            ConflictError: there is one.
        """

    def swap(self, key: str, data: bytes, version: str) -> None:
        """Replace an object that is still the version that was read.

        Raises:
            ConflictError: it is another one by now, or gone.
        """

    def below(self, prefix: str = "") -> list[Listed]:
        """What is below a prefix, sorted by key."""

    def folders(self) -> list[str]:
        """The names of the prefixes right below this place, sorted."""

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects; those that are gone already are passed over."""


def open_objects(
    bucket: str, prefix: str = "", environment: Mapping[str, str] | None = None, *, make: bool = False
) -> Objects:
    """The objects of a bucket of the lake that the environment names, as `millpond.lake.store` finds it.

    Args:
        prefix: ends with a slash where it is given.
        make: make the bucket where it is missing.

    Raises:
        MillpondError: no lake is known here.
    """
    names = os.environ if environment is None else environment
    if root := names.get("MILLPOND_LAKE_ROOT"):
        return FolderObjects(Path(root) / bucket / prefix)
    if make or not (names.get("AWS_ENDPOINT_URL_S3") or names.get("AWS_ENDPOINT_URL")):
        open_store(names).make_bucket(bucket)
    return S3Objects(bucket, prefix, names)


class S3Objects:
    """Objects below a prefix of a bucket, through any S3 API that knows If-None-Match and If-Match."""

    def __init__(self, bucket: str, prefix: str, names: Mapping[str, str], store: Any = None) -> None:
        self.uri = f"s3://{bucket}/{prefix}"
        self._bucket, self._prefix, self._names = bucket, prefix, names
        self._store = store or _s3(bucket, names)

    def under(self, prefix: str) -> Objects:
        return S3Objects(self._bucket, self._prefix + prefix, self._names, self._store)

    def read(self, key: str) -> bytes:
        import obstore

        with self._told(key):
            return bytes(obstore.get(self._store, self._prefix + key).bytes())

    def read_range(self, key: str, start: int, length: int) -> bytes:
        import obstore

        with self._told(key):
            return bytes(obstore.get_range(self._store, self._prefix + key, start=start, length=length))

    def read_tail(self, key: str, length: int) -> bytes:
        import obstore

        with self._told(key):
            found = obstore.get(self._store, self._prefix + key, options={"range": {"suffix": length}})
            return bytes(found.bytes())

    def read_version(self, key: str) -> tuple[bytes, str] | None:
        import obstore

        try:
            with self._told(key):
                found = obstore.get(self._store, self._prefix + key)
                return bytes(found.bytes()), str(found.meta["e_tag"])
        except AbsentError:
            return None

    def create(self, key: str, data: bytes) -> None:
        self._put(key, data, "create")

    def swap(self, key: str, data: bytes, version: str) -> None:
        self._put(key, data, {"e_tag": version})

    def _put(self, key: str, data: bytes, mode: Any) -> None:
        import obstore

        with self._told(key):
            obstore.put(self._store, self._prefix + key, data, mode=mode, use_multipart=False)

    def below(self, prefix: str = "") -> list[Listed]:
        import obstore

        # obstore lists whole folders; a beginning of a name is where the listing starts and ends.
        folder, slash, beginning = prefix.rpartition("/")
        start = self._prefix + prefix if beginning else None
        found: list[Listed] = []
        with self._told(prefix):
            for page in obstore.list(self._store, self._prefix + folder + slash, offset=start):
                for item in page:
                    key = str(item["path"]).removeprefix(self._prefix)
                    if key.startswith(prefix):
                        found.append(Listed(key, int(item["size"]), _seconds(item["last_modified"])))
                if beginning and not key.startswith(prefix):
                    break
        return sorted(found, key=lambda item: item.key)

    def folders(self) -> list[str]:
        import obstore

        with self._told(""):
            found = obstore.list_with_delimiter(self._store, self._prefix or None)
        return sorted(str(name).rstrip("/").rsplit("/", 1)[-1] for name in found["common_prefixes"])

    def delete(self, keys: Iterable[str]) -> None:
        import obstore

        for key in keys:
            with suppress(AbsentError), self._told(key):
                obstore.delete(self._store, self._prefix + key)

    @contextmanager
    def _told(self, key: str) -> Iterator[None]:
        from obstore import exceptions

        try:
            yield
        except FileNotFoundError:
            raise AbsentError(f"{self.uri}{key} is not in the lake") from None
        except (exceptions.AlreadyExistsError, exceptions.PreconditionError):
            raise ConflictError(f"{self.uri}{key} was changed by someone else") from None
        except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError) as error:
            hint = "does this key open the bucket? `millpond env` shows which key is used"
            raise MillpondError(f"the lake refused {self.uri}{key}: {_first(error)}", hint=hint) from None
        except exceptions.BaseError as error:
            text = str(error)
            if "NoSuchBucket" in text:
                raise AbsentError(f"{self.uri}{key} is not in the lake") from None
            if "ConditionalRequestConflict" in text:
                raise ConflictError(f"{self.uri}{key} was changed by someone else") from None
            hint = "is the object store up? `millpond status` shows it"
            raise MillpondError(f"the lake failed at {self.uri}{key}: {_first(error)}", hint=hint) from None


def _s3(bucket: str, names: Mapping[str, str]) -> Any:
    from obstore.store import S3Store

    endpoint = names.get("AWS_ENDPOINT_URL_S3") or names.get("AWS_ENDPOINT_URL") or ""
    return S3Store(
        bucket,
        endpoint=endpoint.rstrip("/"),
        access_key_id=names.get("AWS_ACCESS_KEY_ID", ""),
        secret_access_key=names.get("AWS_SECRET_ACCESS_KEY", ""),
        config={"session_token": token} if (token := names.get("AWS_SESSION_TOKEN")) else None,
        region=names.get("AWS_REGION") or names.get("AWS_DEFAULT_REGION") or "us-east-1",
        virtual_hosted_style_request=False,
        client_options={"allow_http": endpoint.startswith("http://"), "timeout": "300s"},
        retry_config={
            "max_retries": 5,
            "retry_timeout": datetime.timedelta(seconds=60),
        },
    )


def _seconds(moment: Any) -> float:
    return float(moment.timestamp())


def _first(error: Exception) -> str:
    text = " ".join(str(error).split("Debug source")[0].split())
    return text if len(text) < 300 else text[:297] + "…"


class FolderObjects:
    """Objects as files below a folder; a writer that dies leaves at most a file with a mark in its name."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.uri = f"{root}/"

    def under(self, prefix: str) -> Objects:
        return FolderObjects(self.root / prefix)

    def read(self, key: str) -> bytes:
        with self._told(key):
            return (self.root / key).read_bytes()

    def read_range(self, key: str, start: int, length: int) -> bytes:
        with self._told(key), (self.root / key).open("rb") as file:
            return os.pread(file.fileno(), length, start)

    def read_tail(self, key: str, length: int) -> bytes:
        with self._told(key), (self.root / key).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            return os.pread(file.fileno(), length, max(size - length, 0))

    def read_version(self, key: str) -> tuple[bytes, str] | None:
        try:
            data = self.read(key)
        except AbsentError:
            return None
        return data, hashlib.sha256(data).hexdigest()

    def create(self, key: str, data: bytes) -> None:
        with self._written(key, data) as made:
            try:
                (self.root / key).hardlink_to(made)
            except FileExistsError:
                raise ConflictError(f"{self.uri}{key} is there already") from None
            made.unlink()

    def swap(self, key: str, data: bytes, version: str) -> None:
        with locked(self.root), self._written(key, data) as made:
            found = self.read_version(key)
            if found is None or found[1] != version:
                raise ConflictError(f"{self.uri}{key} was changed by someone else")
            made.replace(self.root / key)

    def below(self, prefix: str = "") -> list[Listed]:
        top = self.root / prefix.rpartition("/")[0]
        found = []
        for folder, _, names in os.walk(top):
            for name in names:
                place = Path(folder, name)
                key = place.relative_to(self.root).as_posix()
                if name.startswith(_MARK) or not key.startswith(prefix):
                    continue
                with suppress(FileNotFoundError):
                    stat = place.stat()
                    found.append(Listed(key, stat.st_size, stat.st_mtime))
        return sorted(found, key=lambda item: item.key)

    def folders(self) -> list[str]:
        if not self.root.is_dir():
            return []
        return sorted(entry.name for entry in os.scandir(self.root) if entry.is_dir())

    def delete(self, keys: Iterable[str]) -> None:
        with locked(self.root):
            for key in keys:
                with suppress(FileNotFoundError):
                    (self.root / key).unlink()

    @contextmanager
    def _told(self, key: str) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise AbsentError(f"{self.uri}{key} is not there") from None
        except OSError as error:
            raise MillpondError(f"{self.uri}{key} cannot be read: {error.strerror}") from None

    @contextmanager
    def _written(self, key: str, data: bytes) -> Iterator[Path]:
        file = self.root / key
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(prefix=_MARK, dir=file.parent)
        except OSError as error:
            raise MillpondError(f"{self.uri}{key} cannot be written: {error.strerror}") from None
        made = Path(name)
        try:
            with os.fdopen(handle, "wb") as out:
                out.write(data)
            made.chmod(0o644)
            yield made
        finally:
            with suppress(FileNotFoundError):
                made.unlink()
