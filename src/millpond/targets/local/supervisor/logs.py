"""The log files of services: opened for appending, rotated by size, read from the end.

A service writes its file itself. No pipe is between them, so that neither a busy nor a killed supervisor
can block a service or lose its last words. The price: rotation copies the file and empties it. What is
written in the microseconds between the two is lost, and a service that opens ``/dev/stdout`` again without
appending empties its log. Lines are as the service writes them; nothing is stamped.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

_SECRET_NAME = re.compile(r"PASS|SECRET|TOKEN|KEY|CREDENTIAL|AUTH", re.IGNORECASE)
_CHUNK = 1 << 20


def open_log(path: Path, owner: tuple[int, int] | None = None) -> int:
    """A file descriptor that appends to a log only its owner can read.

    Args:
        path: the file; its folder is made if it is missing.
        owner: user and group ids to give the file to, so that a service that runs as another user can
            open its ``/dev/stdout``.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if owner:
        os.fchown(descriptor, *owner)
    return descriptor


def size(path: Path) -> int:
    """Bytes in a log; 0 if there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def rotate(path: Path, keep: int) -> None:
    """Move the content of a log that is being written to to ``path.1``, that to ``path.2``, and so on.

    Raises:
        OSError: nothing was changed but the oldest log, which is given up for room on a full disk.
    """
    old = [path.with_name(f"{path.name}.{number}") for number in range(1, keep + 1)]
    if not old:
        os.truncate(path, 0)
        return
    draft = path.with_name(f"{path.name}.new")
    try:
        with open(path, "rb") as source, open(draft, "wb") as target:  # noqa: PTH123
            os.fchmod(target.fileno(), 0o600)
            shutil.copyfileobj(source, target, _CHUNK)
            target.flush()
            for newer, older in zip(reversed(old[:-1]), reversed(old[1:]), strict=True):
                if newer.exists():
                    newer.replace(older)
            draft.replace(old[0])
            while chunk := source.read(_CHUNK):  # what came while the names were changed
                target.write(chunk)
                target.flush()
            os.truncate(path, 0)
    except OSError:
        draft.unlink(missing_ok=True)
        old[-1].unlink(missing_ok=True)
        raise


def tail(path: Path, lines: int = 10, since: int = 0) -> list[str]:
    """The last lines of a log, no further back than byte ``since``."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            end = file.seek(0, os.SEEK_END)
            start = max(min(since, end), end - 400 * lines - 4000)
            file.seek(start)
            text = file.read().decode(errors="replace")
    except OSError:
        return []
    return [line.rstrip() for line in text.splitlines() if line.strip()][-lines:]


def redact(lines: Iterable[str], env: Mapping[str, str]) -> list[str]:
    """Lines without the values of those variables that are secrets by their name.

    The last lines of a log go into error messages, which end up in places that a log does not.
    """
    secrets = [value for name, value in env.items() if _SECRET_NAME.search(name) and len(value) >= 6]
    found = []
    for line in lines:
        for secret in secrets:
            line = line.replace(secret, "***")
        found.append(line)
    return found
