"""Azure Blob and Data Lake, Google Cloud Storage: whatever fsspec reads, as one end of a transfer.

Accounts and keys come from where the cloud's own programs look for them: ``AZURE_STORAGE_CONNECTION_STRING``,
or ``AZURE_STORAGE_ACCOUNT_NAME`` with a key or a login; ``GOOGLE_APPLICATION_CREDENTIALS`` or a login.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from millpond.lake.files.folder import landing
from millpond.lake.files.side import Item, Level, Tell
from millpond.model.errors import MillpondError

SCHEMES = ("az", "abfs", "abfss", "gs", "gcs")
"""What may stand before ``://``."""

_PIECE = 4 << 20


class Cloud:
    """All containers of an account.

    Args:
        scheme: one of `SCHEMES`.
    """

    def __init__(self, scheme: str, environment: Mapping[str, str]) -> None:
        import fsspec

        self._scheme = scheme
        settings: dict[str, Any] = {}
        azure = scheme in ("az", "abfs", "abfss")
        if azure and not any(environment.get(name) for name in _AZURE):
            raise MillpondError(
                f"no account is known for {scheme}://",
                hint="set AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_ACCOUNT_NAME and log in",
            )
        # One API for every kind of bucket: gRPC is for zonal ones, and no emulator has it.
        os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
        if not azure and environment.get("STORAGE_EMULATOR_HOST"):
            settings = {"token": "anon", "endpoint_url": environment["STORAGE_EMULATOR_HOST"]}
        # Listings are asked for anew: others write, too.
        self._files: Any = fsspec.filesystem(
            scheme, use_listings_cache=False, skip_instance_cache=True, **settings
        )

    def show(self, key: str) -> str:
        return f"{self._scheme}://{key}"

    def stat(self, key: str) -> Item | None:
        if "/" not in key or key.endswith("/"):
            return None
        with self._asking(key):
            try:
                found = self._files.info(key)
            except FileNotFoundError:
                return None
        return self._item(found) if found["type"] == "file" else None

    def walk(self, folder: str) -> Iterator[Item]:
        with self._asking(folder):
            found = self._files.find(folder.rstrip("/"), detail=True)
        items = (self._item(entry) for entry in found.values() if entry["type"] == "file")
        # A search below a/b also answers a file a/b.
        yield from sorted((item for item in items if item.key.startswith(folder)), key=lambda item: item.key)

    def level(self, folder: str) -> Level:
        with self._asking(folder):
            try:
                found = self._files.ls(folder.rstrip("/"), detail=True)
            except FileNotFoundError:
                found = []
        inside = [entry for entry in found if entry["name"].strip("/") != folder.strip("/")]
        folders = [entry["name"].strip("/") + "/" for entry in inside if entry["type"] == "directory"]
        items = [self._item(entry) for entry in inside if entry["type"] == "file"]
        return Level(tuple(sorted(folders)), tuple(sorted(items, key=lambda item: item.key)))

    def read(self, key: str) -> Iterator[bytes]:
        with self._asking(key), self._files.open(key, "rb", block_size=_PIECE) as file:
            while piece := file.read(_PIECE):
                yield piece

    def fetch(self, item: Item, target: Path, tell: Tell) -> None:
        with self._asking(item.key), landing(target) as made:
            self._files.get_file(item.key, str(made))
            tell(item.size)

    def store(self, source: Path, key: str, tell: Tell) -> None:
        with self._asking(key):
            self._files.put_file(str(source), key)
        tell(source.stat().st_size)

    def copy(self, item: Item, other: Any, key: str) -> bool:
        if not isinstance(other, Cloud) or other._scheme != self._scheme:
            return False
        with self._asking(item.key):
            self._files.cp_file(item.key, key)
        return True

    def make(self, bucket: str) -> None:
        with self._asking(bucket), suppress(FileExistsError):
            self._files.mkdir(bucket)

    def delete(self, keys: Iterable[str]) -> dict[str, str]:
        refused: dict[str, str] = {}
        for key in keys:
            try:
                with self._asking(key):
                    self._files.rm_file(key) if hasattr(self._files, "rm_file") else self._files.rm(key)
            except MillpondError as error:
                refused[key] = error.message
        return refused

    def _item(self, entry: Mapping[str, Any]) -> Item:
        changed = entry.get("last_modified") or entry.get("mtime") or entry.get("updated") or 0.0
        if isinstance(changed, str):
            changed = datetime.fromisoformat(changed)
        if isinstance(changed, datetime):
            changed = changed.timestamp()
        tag = str(entry.get("etag") or "").strip('"')
        return Item(entry["name"].strip("/"), int(entry["size"] or 0), float(changed), tag)

    @contextmanager
    def _asking(self, key: str) -> Iterator[None]:
        """Say in words what the cloud refused; its libraries have no error in common."""
        try:
            yield
        except (MillpondError, GeneratorExit):
            raise
        except FileNotFoundError:
            raise MillpondError(f"there is no {self.show(key)}") from None
        except Exception as error:
            if type(error).__module__.partition(".")[0] not in _LIBRARIES and not isinstance(error, OSError):
                raise
            first = str(error).strip().partition("\n")[0] or type(error).__name__
            raise MillpondError(f"{self.show(key)}: {first}") from error


_AZURE = ("AZURE_STORAGE_CONNECTION_STRING", "AZURE_STORAGE_ACCOUNT_NAME")
_LIBRARIES = ("azure", "adlfs", "gcsfs", "google", "aiohttp", "fsspec")


def cloud(scheme: str) -> Cloud:
    """The cloud of a scheme, with what this process's environment says of it."""
    return Cloud(scheme, os.environ)
