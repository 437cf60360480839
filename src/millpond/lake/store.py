"""The object store behind one small interface: S3 for a platform, a folder for a laptop without one.

Writes are whole or not at all, and may be conditional; the same bytes written again keep their version.
Large objects pass through files, never through memory.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from millpond.lake.lock import locked
from millpond.lake.reference import LakePath
from millpond.model.errors import MillpondError

_CHUNK = 1 << 20


@dataclass(frozen=True)
class Stat:
    """What the store says of an object; `sha256` is known for what Millpond wrote."""

    size: int
    version: str
    sha256: str | None = None
    etag: str = ""


class ConflictError(MillpondError):
    """A conditional write found another object than it was told to expect."""


class Store(Protocol):
    """What steps and sinks need of an object store."""

    def stat(self, path: LakePath) -> Stat | None:
        """The object's size and version, or None where there is none."""

    def read(self, path: LakePath | str) -> bytes:
        """The whole object; MillpondError where there is none."""

    def fetch(self, path: LakePath, target: Path) -> None:
        """Copy the object into a local file."""

    def put(self, path: LakePath, source: bytes | Path, *, expect: str | None = None) -> Stat:
        """Write the object at once; `expect` is the version that must be there, ``""`` for none.

        Raises:
            ConflictError: something else is there.
        """

    def list(self, bucket: str, prefix: str = "") -> list[str]:
        """The keys of a bucket, sorted."""

    def make_bucket(self, bucket: str) -> None:
        """Make a bucket, where there is none of this name."""


def digest_of(source: bytes | Path) -> str:
    """SHA-256 of bytes or of a file."""
    if isinstance(source, bytes):
        return hashlib.sha256(source).hexdigest()
    with source.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def open_store(environment: Mapping[str, str] | None = None) -> Store:
    """The store that the environment names: ``MILLPOND_LAKE_ROOT`` (a folder) or ``AWS_ENDPOINT_URL`` (S3).

    It takes paths in repositories as well (``lake://flights@main/raw/x.csv``).

    Raises:
        MillpondError: it names neither.
    """
    from millpond.lake.repository.store import RoutedStore

    return RoutedStore(_plain(environment), environment)


def _plain(environment: Mapping[str, str] | None) -> Store:
    names = os.environ if environment is None else environment
    if root := names.get("MILLPOND_LAKE_ROOT"):
        return FileStore(Path(root))
    if endpoint := names.get("AWS_ENDPOINT_URL_S3") or names.get("AWS_ENDPOINT_URL"):
        return _s3(
            endpoint,
            names.get("AWS_ACCESS_KEY_ID", ""),
            names.get("AWS_SECRET_ACCESS_KEY", ""),
            names.get("AWS_REGION") or names.get("AWS_DEFAULT_REGION") or "us-east-1",
        )
    raise MillpondError(
        "no lake is known here: neither AWS_ENDPOINT_URL nor MILLPOND_LAKE_ROOT is set",
        hint="millpond up, with a flavour that has an object store; or set MILLPOND_LAKE_ROOT to a folder",
    )


class FileStore:
    """Buckets as folders. An object's version is the digest of its bytes, remembered by time and size."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._known: dict[Path, tuple[int, int, str]] = {}

    def _file(self, path: LakePath) -> Path:
        return self.root / path.bucket / path.key

    def stat(self, path: LakePath) -> Stat | None:
        file = self._file(path)
        try:
            found = file.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        if file.is_dir():
            return None
        known = self._known.get(file)
        if known is None or known[:2] != (found.st_mtime_ns, found.st_size):
            known = (found.st_mtime_ns, found.st_size, digest_of(file))
            self._known[file] = known
        return Stat(found.st_size, known[2][:32], known[2])

    def read(self, path: LakePath | str) -> bytes:
        place = LakePath.parse(path) if isinstance(path, str) else path
        try:
            return self._file(place).read_bytes()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise _absent(place) from None

    def fetch(self, path: LakePath, target: Path) -> None:
        try:
            shutil.copyfile(self._file(path), target)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise _absent(path) from None

    def put(self, path: LakePath, source: bytes | Path, *, expect: str | None = None) -> Stat:
        file = self._file(path)
        digest = digest_of(source)
        before = self.stat(path)
        if expect is not None and (before.version if before else "") != expect:
            raise ConflictError(f"{path.uri} was changed by someone else", hint="read it again and repeat")
        if before is not None and before.sha256 == digest:
            return before
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".writing-", dir=file.parent)
        made = Path(name)
        try:
            with os.fdopen(handle, "wb") as out:
                if isinstance(source, bytes):
                    out.write(source)
                else:
                    with source.open("rb") as data:
                        shutil.copyfileobj(data, out, _CHUNK)
            made.chmod(0o644)
            if expect == "":
                try:
                    file.hardlink_to(made)
                except FileExistsError:
                    raise ConflictError(f"{path.uri} is there already") from None
                made.unlink()
            elif expect is not None:
                with locked(self.root):
                    self._known.pop(file, None)
                    found_now = self.stat(path)
                    if found_now is None or found_now.version != expect:
                        raise ConflictError(f"{path.uri} was changed by someone else")
                    made.replace(file)
            else:
                made.replace(file)
        except BaseException:
            with suppress(OSError):
                made.unlink()
            raise
        found = file.stat()
        self._known[file] = (found.st_mtime_ns, found.st_size, digest)
        return Stat(found.st_size, digest[:32], digest)

    def list(self, bucket: str, prefix: str = "") -> list[str]:
        top = self.root / bucket
        keys = [file.relative_to(top).as_posix() for file in top.rglob("*") if file.is_file()]
        return sorted(key for key in keys if key.startswith(prefix) and "/.writing-" not in f"/{key}")

    def make_bucket(self, bucket: str) -> None:
        (self.root / bucket).mkdir(parents=True, exist_ok=True)


@cache
def _s3(endpoint: str, key: str, secret: str, region: str) -> S3Store:
    return S3Store(endpoint, key, secret, region)


class S3Store:
    """Any S3 API through boto3, AWS's where no endpoint is given.

    The digest of what Millpond writes is kept in the object's metadata.
    """

    def __init__(self, endpoint: str, key: str, secret: str, region: str) -> None:
        import boto3
        from botocore.config import Config

        self._client: Any = boto3.session.Session().client(
            "s3",
            endpoint_url=endpoint or None,
            aws_access_key_id=key or None,
            aws_secret_access_key=secret or None,
            region_name=region,
            config=Config(
                s3={"addressing_style": "path"},
                retries={"mode": "standard", "total_max_attempts": 5},
                max_pool_connections=32,
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )
        self._lock = threading.Lock()

    def stat(self, path: LakePath) -> Stat | None:
        from botocore.exceptions import ClientError

        try:
            head = self._client.head_object(Bucket=path.bucket, Key=path.key)
        except ClientError as error:
            if _code(error) in ("404", "NoSuchKey", "NoSuchBucket", "NotFound"):
                return None
            raise _refused(path, error) from error
        return _stat(head)

    def read(self, path: LakePath | str) -> bytes:
        from botocore.exceptions import ClientError

        place = LakePath.parse(path) if isinstance(path, str) else path
        try:
            return bytes(self._client.get_object(Bucket=place.bucket, Key=place.key)["Body"].read())
        except ClientError as error:
            raise _refused(place, error) from error

    def fetch(self, path: LakePath, target: Path) -> None:
        from botocore.exceptions import ClientError

        try:
            self._client.download_file(path.bucket, path.key, str(target))
        except ClientError as error:
            raise _refused(path, error) from error

    def put(self, path: LakePath, source: bytes | Path, *, expect: str | None = None) -> Stat:
        from botocore.exceptions import ClientError

        digest = digest_of(source)
        before = self.stat(path)
        if expect is not None and (before.version if before else "") != expect:
            raise ConflictError(f"{path.uri} was changed by someone else", hint="read it again and repeat")
        if before is not None and before.sha256 == digest:
            return before
        condition: dict[str, str] = {}
        if expect is not None:
            condition = {"IfNoneMatch": "*"} if before is None else {"IfMatch": before.etag}
        try:
            self._upload(path, source, digest, condition)
        except ClientError as error:
            if _code(error) in ("PreconditionFailed", "412", "ConditionalRequestConflict"):
                raise ConflictError(f"{path.uri} was changed by someone else") from None
            if _code(error) != "NoSuchBucket":
                raise _refused(path, error) from error
            self.make_bucket(path.bucket)
            self._upload(path, source, digest, condition)
        found = self.stat(path)
        if found is None:
            raise MillpondError(f"{path.uri} was written and is gone", hint="does something else delete it?")
        return found

    def list(self, bucket: str, prefix: str = "") -> list[str]:
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return sorted(item["Key"] for page in pages for item in page.get("Contents", []))

    def _upload(self, path: LakePath, source: bytes | Path, digest: str, condition: dict[str, str]) -> None:
        metadata = {"sha256": digest}
        large = isinstance(source, Path) and source.stat().st_size > 16 * _CHUNK
        if large and not condition:
            self._client.upload_file(str(source), path.bucket, path.key, ExtraArgs={"Metadata": metadata})
            return
        with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as body:
            self._client.put_object(
                Bucket=path.bucket, Key=path.key, Body=body, Metadata=metadata, **condition
            )

    def make_bucket(self, bucket: str) -> None:
        from botocore.exceptions import ClientError

        with self._lock:
            try:
                self._client.create_bucket(Bucket=bucket)
            except ClientError as error:
                if _code(error) not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
                    raise _refused(LakePath(bucket, ""), error) from error


def _stat(head: Mapping[str, Any]) -> Stat:
    etag = str(head["ETag"]).strip('"')
    version = head.get("VersionId")
    if version in (None, "null"):
        version = etag
    digest = head.get("Metadata", {}).get("sha256", "")
    known = digest if re.fullmatch(r"[0-9a-f]{64}", digest) else None
    return Stat(int(head["ContentLength"]), str(version), known, etag)


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _absent(path: LakePath) -> MillpondError:
    return MillpondError(f"{path.uri} is not in the lake", hint="is its path right, and was it written?")


def _refused(path: LakePath, error: Any) -> MillpondError:
    code = _code(error)
    if code in ("404", "NoSuchKey", "NoSuchBucket", "NotFound"):
        return _absent(path)
    reason = error.response.get("Error", {}).get("Message") or code
    return MillpondError(f"the lake refused {path.uri}: {reason} ({code})")
