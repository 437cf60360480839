"""Downloads files by checksum: several at once, with retries, resuming what was broken off.

A program of its own, with only the standard library, so that it can be killed at any moment like every other
installer. It reads one JSON object on stdin, ``{"parallel": 4, "files": [{"url", "sha256", "target",
"partial", "headers"}]}``, and prints JSON lines: ``{"done": bytes, "total": bytes}`` as it goes, and at most
one ``{"failed": "network" | "hash" | "missing" | "disk", "file": name, "reason": text}``, with status 1.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import http.client
import json
import os
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

_ATTEMPTS = 4
_TIMEOUT = 30.0
_CHUNK = 1 << 18
_HTTP_AGAIN = {408, 425, 429, 500, 502, 503, 504}


class DownloadError(Exception):
    """Why a file could not be had; ``kind`` is one of network, hash, missing, disk."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


class Tally:
    """Counts the bytes of all files together and prints them, not more often than a person can see."""

    def __init__(self, say: Callable[[dict[str, Any]], None]) -> None:
        self._say = say
        self._lock = threading.Lock()
        self._done = self._total = 0
        self._told = 0.0

    def add(self, done: int = 0, total: int = 0) -> None:
        """Counts bytes that arrived, and bytes that are now known to come."""
        with self._lock:
            self._done += done
            self._total += total
            if time.monotonic() - self._told > 0.1 or self._done == self._total:
                self._told = time.monotonic()
                self._say({"done": self._done, "total": self._total})


def fetch(
    url: str,
    sha256: str,
    target: Path,
    partial: Path,
    headers: dict[str, str],
    tally: Tally,
    *,
    pause: float = 0.5,
) -> None:
    """Brings one file to ``target``; what is broken off stays in ``partial`` for the next time.

    Raises:
        DownloadError: after the last attempt.
    """
    with partial.open("ab") as file:
        # Two processes may want the same file for different installs.
        fcntl.flock(file, fcntl.LOCK_EX)
        if target.exists():
            return
        resumed = file.tell() > 0
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                _transfer(url, headers, file.fileno(), tally)
            except urllib.error.HTTPError as error:
                if error.code == 416:
                    os.ftruncate(file.fileno(), 0)
                elif error.code not in _HTTP_AGAIN:
                    kind = "missing" if error.code in {404, 410} else "network"
                    raise DownloadError(kind, f"HTTP status {error.code} {error.reason}") from error
                if attempt == _ATTEMPTS:
                    raise DownloadError("network", f"HTTP status {error.code} {error.reason}") from error
            except OSError as error:
                if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
                    raise DownloadError("disk", str(error)) from error
                if attempt == _ATTEMPTS:
                    raise DownloadError("network", str(getattr(error, "reason", error))) from error
            except http.client.HTTPException as error:
                if attempt == _ATTEMPTS:
                    raise DownloadError("network", f"{type(error).__name__}: {error}") from error
            else:
                found = _checksum(partial)
                if found == sha256:
                    os.fsync(file.fileno())
                    partial.chmod(0o644)
                    partial.rename(target)
                    return
                os.ftruncate(file.fileno(), 0)
                if not resumed:
                    partial.unlink()
                    raise DownloadError("hash", f"expected sha256 {sha256}, got {found}")
                # The first part may have been of another file at that address: once more from the start.
                resumed = False
                continue
            time.sleep(pause * 2 ** (attempt - 1))
    raise DownloadError("network", "gave up")


def _transfer(url: str, headers: dict[str, str], file: int, tally: Tally) -> None:
    start = os.fstat(file).st_size
    request = urllib.request.Request(url)
    for name, value in headers.items():
        # Unredirected: credentials for one host are not shown to the next.
        request.add_unredirected_header(name, value)
    if start:
        request.add_header("Range", f"bytes={start}-")
    with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:
        if response.status != 206:
            os.ftruncate(file, 0)
        length = response.headers.get("Content-Length")
        expected = int(length) if length else None
        tally.add(total=expected or 0)
        received = 0
        while chunk := response.read1(_CHUNK):
            written = memoryview(chunk)
            while written:
                written = written[os.write(file, written) :]
            received += len(chunk)
            tally.add(done=len(chunk), total=0 if expected is not None else len(chunk))
        if expected is not None and received < expected:
            tally.add(done=0, total=received - expected)
            raise ConnectionError(f"the connection ended after {received} of {expected} bytes")


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main() -> int:
    """Does what stdin asks for."""
    order = json.load(sys.stdin)
    printing = threading.Lock()

    def say(event: dict[str, Any]) -> None:
        with printing:
            print(json.dumps(event), flush=True)  # noqa: T201

    tally = Tally(say)

    def one(item: dict[str, Any]) -> None:
        try:
            fetch(
                item["url"],
                item["sha256"],
                Path(item["target"]),
                Path(item["partial"]),
                item.get("headers", {}),
                tally,
            )
        except (DownloadError, OSError) as error:
            kind = error.kind if isinstance(error, DownloadError) else "disk"
            say({"failed": kind, "file": Path(item["url"]).name, "reason": str(error)})
            # Nothing else has to end well: every file that is whole is kept.
            os._exit(1)

    with ThreadPoolExecutor(max_workers=int(order.get("parallel", 4))) as pool:
        list(pool.map(one, order["files"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
