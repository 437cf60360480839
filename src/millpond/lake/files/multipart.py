"""A large file goes up in parts, and an upload that was cut off goes on where it stopped.

What is remembered is the upload's id alone, in the cache. Which parts are there the store says, and a part is
taken for done only if its MD5 is that of the file's bytes now: a file that has changed meanwhile, or a note
that is old, costs time and never a wrong object.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from concurrent.futures import Executor, Future, wait
from pathlib import Path
from typing import Any

from millpond.lake.files.side import Tell

LARGE = 32 << 20
"""Bytes from which a file goes in parts."""

_PART = 16 << 20
_MOST_PARTS = 9000


class Upload:
    """One file on its way to one key.

    Args:
        client: boto3's.
        extra: what the object gets beside its bytes, such as ``ContentType``.
    """

    def __init__(self, client: Any, bucket: str, key: str, source: Path, extra: dict[str, str]) -> None:
        self._client = client
        self._named = {"Bucket": bucket, "Key": key}
        self._source = source
        self._extra = extra
        self._size = source.stat().st_size
        self._part = max(_PART, -(-self._size // _MOST_PARTS))
        where = f"{client.meta.endpoint_url}\n{bucket}\n{key}\n{source.resolve()}"
        self._note = _notes() / f"{hashlib.sha256(where.encode()).hexdigest()[:32]}.json"
        self._gone = threading.Event()

    def run(self, executor: Executor, tell: Tell) -> None:
        """Bring the object to its key; told are the bytes that are there, those of before too."""
        upload, done = self._begun()
        # When the connection breaks, the client sends a part again by itself: not after an interruption.
        events, hook = self._client.meta.events, "before-send.s3.UploadPart"
        events.register(hook, lambda **_: tell(0), unique_id=upload)
        try:
            self._finish(upload, done, executor, tell)
        finally:
            events.unregister(hook, unique_id=upload)

    def _finish(self, upload: str, done: dict[int, str], executor: Executor, tell: Tell) -> None:
        for number in done:
            tell(self._length(number))
        count = max(1, -(-self._size // self._part))
        tasks: list[Future[tuple[int, str]]] = [
            executor.submit(self._send, upload, number, tell)
            for number in range(1, count + 1)
            if number not in done
        ]
        try:
            wait(tasks, return_when="FIRST_EXCEPTION")
            tags = done | dict(task.result() for task in tasks)
        except BaseException:
            # The parts stay in the store: the next call goes on from them.
            self._gone.set()
            for task in tasks:
                task.cancel()
            wait(tasks)
            raise
        parts = [{"PartNumber": number, "ETag": tag} for number, tag in sorted(tags.items())]
        self._client.complete_multipart_upload(
            **self._named, UploadId=upload, MultipartUpload={"Parts": parts}
        )
        self._note.unlink(missing_ok=True)

    def _begun(self) -> tuple[str, dict[int, str]]:
        """The upload's id, and the tags of the parts that are there and are still the file's."""
        from botocore.exceptions import ClientError

        try:
            noted = json.loads(self._note.read_text())
            upload = str(noted["upload"])
            pages = self._client.get_paginator("list_parts").paginate(**self._named, UploadId=upload)
            there = [part for page in pages for part in page.get("Parts", [])]
        except (OSError, ValueError, KeyError, TypeError, ClientError):
            return self._begin(), {}
        done = {
            int(part["PartNumber"]): str(part["ETag"])
            for part in there
            if self._is_same(int(part["PartNumber"]), int(part["Size"]), str(part["ETag"]).strip('"'))
        }
        return upload, done

    def _begin(self) -> str:
        upload = str(self._client.create_multipart_upload(**self._named, **self._extra)["UploadId"])
        self._note.parent.mkdir(parents=True, exist_ok=True)
        made = self._note.with_suffix(f".{os.getpid()}")
        made.write_text(json.dumps({**self._named, "source": str(self._source), "upload": upload}))
        made.replace(self._note)
        return upload

    def _is_same(self, number: int, size: int, tag: str) -> bool:
        return size == self._length(number) and _md5(self._bytes(number)) == tag

    def _length(self, number: int) -> int:
        return max(0, min(self._part, self._size - (number - 1) * self._part))

    def _bytes(self, number: int) -> bytes:
        with self._source.open("rb") as file:
            file.seek((number - 1) * self._part)
            return file.read(self._part)

    def _send(self, upload: str, number: int, tell: Tell) -> tuple[int, str]:
        if self._gone.is_set():
            raise InterruptedError("the upload was given up")
        body = self._bytes(number)
        found = self._client.upload_part(**self._named, UploadId=upload, PartNumber=number, Body=body)
        tell(len(body))
        return number, str(found["ETag"])


def _md5(body: bytes) -> str:
    return hashlib.md5(body, usedforsecurity=False).hexdigest()


def _notes() -> Path:
    from millpond.targets.cache import default_root

    return default_root() / "uploads"
