"""Where a platform keeps its things: ``.millpond/`` beside the flavour file."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from millpond.model.errors import MillpondError

SHARED_STATE = Path("/var/lib/millpond")
"""Data of a component that refuses to run as root, when its user cannot enter the project's folder."""


class BusyError(MillpondError):
    """Another command is changing this platform right now."""

    exit_code = 5


class DiskError(MillpondError):
    """A file of the platform cannot be written; what it held before is still there."""


@dataclass(frozen=True)
class Workspace:
    """The folders of one platform.

    Args:
        project: the folder of the flavour file.
    """

    project: Path

    def __post_init__(self) -> None:
        # Places are kept by path, so every way of writing the folder's name has to come to the same.
        object.__setattr__(self, "project", self.project.resolve())

    @property
    def root(self) -> Path:
        """``.millpond``, which holds all of it."""
        return self.project / ".millpond"

    @property
    def run(self) -> Path:
        """The supervisor's folder."""
        return self.root / "run"

    @property
    def runs(self) -> Path:
        """The records of pipeline runs."""
        return self.root / "runs"

    @property
    def state(self) -> Path:
        """What was last applied."""
        return self.root / "state.json"

    @property
    def secrets(self) -> Path:
        """The secrets, readable by their owner alone."""
        return self.root / "secrets.json"

    def data(self, node: str) -> Path:
        """The folder whose content outlives the component."""
        return self.root / "data" / node

    def files(self, node: str) -> Path:
        """The files made for the component's processes."""
        return self.root / "files" / node

    def log(self, service: str) -> Path:
        """The log of one process; ``dask/worker`` is one file beside the others."""
        return self.root / "logs" / f"{service.replace('/', '.')}.log"

    def shared(self, node: str) -> Path:
        """The stand-in for a component's folders that another user must be able to enter."""
        return self.shared_root / node

    @property
    def shared_root(self) -> Path:
        """The folder of all such stand-ins of this platform."""
        return SHARED_STATE / hashlib.sha256(os.fsencode(self.root)).hexdigest()[:16]

    def create(self) -> None:
        """Make the folder, closed to everybody else.

        Raises:
            DiskError: it cannot be made.
        """
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            for folder in ("run", "data", "files", "logs"):
                (self.root / folder).mkdir(mode=0o700, exist_ok=True)
            ignore = self.root / ".gitignore"
            if not ignore.exists():
                ignore.write_text("*\n")
        except OSError as error:
            raise _disk_error(self.root, error) from None

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Hold the platform for a change; only one command at a time may.

        Raises:
            BusyError: another one does.
        """
        self.create()
        with (self.root / "lock").open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                holder = lock.read().strip() or "unknown"
                raise BusyError(
                    f"another command (pid {holder}) is changing this platform",
                    hint="wait until it has ended",
                ) from None
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            yield


def write_private(path: Path, text: str, mode: int = 0o600) -> None:
    """Replace a file in one step, never readable by others and never half-written.

    Raises:
        DiskError: that cannot be done; the file is as it was.
    """
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise _disk_error(path, error) from None
    try:
        with os.fdopen(descriptor, "wb", buffering=0) as stream:
            content = memoryview(text.encode())
            while content:
                content = content[stream.write(content) :]
            os.fsync(stream.fileno())
        Path(name).chmod(mode)
        Path(name).replace(path)
    except OSError as error:
        Path(name).unlink(missing_ok=True)
        raise _disk_error(path, error) from None
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _disk_error(path: Path, error: OSError) -> DiskError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return DiskError(
        f"{path} cannot be written: {(error.strerror or str(error)).lower()}",
        hint="make room on its disk and run millpond up again; nothing is lost" if full else None,
    )
