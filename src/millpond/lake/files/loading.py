"""Loads what a flavour gives into the lake; a process in the lake's environment, called by `up`.

An object that somebody else wrote or changed is never overwritten: what was loaded is marked as such in its
metadata, any other write drops the mark, and every write here is conditional on what was seen.

Standard input is a JSON list of ``[source, target]``, standard output a JSON object: how many files were
loaded, how many were there already, which were kept as somebody changed them, which failed.
"""

from __future__ import annotations

import hashlib
import json
import mimetypes
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from millpond.lake.files.bucket import Buckets
from millpond.lake.files.given import Given
from millpond.lake.files.multipart import LARGE, Upload
from millpond.model.errors import MillpondError

_MARK, _FOR = "millpond-loaded", "millpond-loaded-for"
_WORKERS = 12


class Loader:
    """Loads files into one store."""

    def __init__(self, buckets: Buckets) -> None:
        self._buckets = buckets
        self._client = buckets.client
        self._parts = ThreadPoolExecutor(4)

    def load(self, every: list[Given]) -> dict[str, Any]:
        """Load all, in parallel; says what came of it."""
        files = [found for given in every for found in given.files()]
        for bucket in sorted({key.partition("/")[0] for key, _ in files}):
            self._buckets.make(bucket)
        outcome: dict[str, Any] = {"loaded": 0, "same": 0, "kept": [], "failed": {}}
        with ThreadPoolExecutor(_WORKERS) as pool:
            for key, found in zip((key for key, _ in files), pool.map(self._try, files), strict=True):
                if found in ("loaded", "same"):
                    outcome[found] += 1
                elif found == "kept":
                    outcome["kept"].append(key)
                else:
                    outcome["failed"][key] = found
        return outcome

    def _try(self, file: tuple[str, Path]) -> str:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return self._one(*file)
        except ClientError as error:
            if error.response["ResponseMetadata"].get("HTTPStatusCode") in (409, 412):
                return "kept"
            return str(error)
        except (BotoCoreError, MillpondError, OSError) as error:
            return str(error)

    def _one(self, key: str, path: Path) -> str:
        bucket, _, inner = key.partition("/")
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        mark = {_MARK: digest, _FOR: hashlib.sha256(key.encode()).hexdigest()[:16], "sha256": digest}
        condition = {"IfNoneMatch": "*"}
        head = self._head(bucket, inner)
        if head is not None:
            found = head.get("Metadata", {})
            if digest in (found.get(_MARK), found.get("sha256")) or self._is_same(head, path):
                return "same"
            if found.get(_FOR) != mark[_FOR]:
                return "kept"
            condition = {"IfMatch": head["ETag"]}
        extra: dict[str, Any] = {"Metadata": mark}
        extra["ContentType"] = mimetypes.guess_type(inner)[0] or "application/octet-stream"
        if path.stat().st_size >= LARGE:
            Upload(self._client, bucket, inner, path, extra).run(self._parts, lambda count: None)
        else:
            with path.open("rb") as body:
                self._client.put_object(Bucket=bucket, Key=inner, Body=body, **extra, **condition)
        return "loaded"

    def _head(self, bucket: str, inner: str) -> dict[str, Any] | None:
        from botocore.exceptions import ClientError

        try:
            found: dict[str, Any] = self._client.head_object(Bucket=bucket, Key=inner)
        except ClientError as error:
            if error.response["ResponseMetadata"].get("HTTPStatusCode") == 404:
                return None
            raise
        return found

    def _is_same(self, head: dict[str, Any], path: Path) -> bool:
        """Whether an object without a mark has the file's bytes, where its tag is their MD5."""
        if int(head["ContentLength"]) != path.stat().st_size:
            return False
        with path.open("rb") as file:
            found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        return str(head["ETag"]).strip('"') == found


def main() -> None:
    """Read what is to be loaded, load it, tell what came of it."""
    every = [Given(Path(source), target) for source, target in json.load(sys.stdin)]
    json.dump(Loader(Buckets(os.environ)).load(every), sys.stdout)


if __name__ == "__main__":
    main()
