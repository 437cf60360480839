"""Copies of pipelines' folders that were sent here, each by the digest of its archive."""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import tempfile
import time
import zipfile
from collections.abc import Collection
from pathlib import Path

from millpond.model.errors import MillpondError
from millpond.pipelines.bundle import LARGEST
from millpond.pipelines.launch import SENT

_DIGEST = re.compile(r"[0-9a-f]{64}")
_FILES = 10_000
_FRESH = 86400.0
"""Seconds for which a copy is kept that nothing uses yet."""


class SentCode:
    """The copies.

    Args:
        data: the component's folder.
    """

    def __init__(self, data: Path) -> None:
        self._folder = data / SENT

    def folder(self, digest: str) -> Path:
        """Where the copy of an archive is, or would be.

        Raises:
            MillpondError: this is no digest.
        """
        if not _DIGEST.fullmatch(digest):
            raise MillpondError("the code is named by the SHA-256 of its archive, 64 hexadecimal digits")
        return self._folder / digest[:32]

    def has(self, digest: str) -> bool:
        """Whether an archive was sent before; whoever asks is going to use it, so it is as good as new."""
        folder = self.folder(digest)
        if not folder.is_dir():
            return False
        os.utime(folder)
        return True

    def put(self, digest: str, archive: bytes) -> Path:
        """Unpack an archive, whole or not at all.

        Raises:
            MillpondError: it is another one, damaged, or too large when unpacked.
        """
        folder = self.folder(digest)
        if hashlib.sha256(archive).hexdigest() != digest:
            raise MillpondError("the archive is not the one that its digest names", hint="send it once more")
        if folder.is_dir():
            return folder
        self._folder.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=self._folder))
        try:
            _unpack(archive, fresh)
            fresh.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
        return folder

    def prune(self, used: Collection[str]) -> None:
        """Delete copies that are of no use any more.

        Args:
            used: digests that are kept whatever their age.
        """
        keep = {digest[:32] for digest in used}
        for folder in self._folder.iterdir() if self._folder.is_dir() else ():
            if folder.name not in keep and time.time() - folder.stat().st_mtime > _FRESH:
                shutil.rmtree(folder, ignore_errors=True)


def _unpack(archive: bytes, folder: Path) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as found:
            entries = found.infolist()
            # What an archive says of its sizes is held to while it is read.
            if len(entries) > _FILES or sum(entry.file_size for entry in entries) > LARGEST:
                raise MillpondError(
                    f"the archive has more than {LARGEST >> 20} MiB or {_FILES:,} files",
                    hint="put data into the lake, or name it in .millpondignore",
                )
            for entry in entries:
                path = Path(found.extract(entry, folder))
                if not entry.is_dir():
                    path.chmod(0o755 if entry.external_attr >> 16 & 0o100 else 0o644)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError) as error:
        raise MillpondError(f"the archive cannot be unpacked: {error}") from None
