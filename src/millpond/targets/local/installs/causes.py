"""Turns what an installer printed into one sentence about what happened and one about what to do."""

from __future__ import annotations

import errno
import re
from pathlib import Path

from millpond.targets.local.installs.process import Finished
from millpond.targets.local.installs.request import InstallError

_DISK_FULL = re.compile(r"No space left on device|os error 28|ENOSPC|Disk quota exceeded|EDQUOT")
_TOO_LARGE = re.compile(r"File too large|os error 27|EFBIG")
_DENIED = re.compile(r"Permission denied|os error 13|EACCES|Read-only file system|os error 30|EROFS")
_NETWORK = re.compile(
    r"dns error|failed to lookup address|error sending request|Connection refused|Connection reset|timed out"
    r"|Network is unreachable|EAI_AGAIN|ENOTFOUND|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH"
    r"|Temporary failure resolving|Could not resolve|Could not connect|Failed to fetch|tunnel error"
)
_SIGXFSZ = 25

FREE_SPACE = "free some disk space or set MILLPOND_CACHE_DIR to a folder on a larger disk, then run it again"
NETWORK = "check the network and the proxy settings, then run it again: what was downloaded is kept"


def failed(component: str, what: str, root: Path, finished: Finished) -> InstallError:
    """The error for an installer that ended badly, for causes that all installers share.

    Args:
        what: it was to install, as in "its Python packages".
    """
    text = finished.text
    details = finished.last()
    # First what is about this machine: a full disk also breaks downloads.
    if _DISK_FULL.search(text):
        return InstallError(f"{component}: the disk under {root} is full", hint=FREE_SPACE, details=details)
    if finished.status == -_SIGXFSZ or _TOO_LARGE.search(text):
        return InstallError(
            f"{component}: a file became larger than this system lets a process write",
            hint="raise the limit (ulimit -f) and run it again",
            details=details,
        )
    if _NETWORK.search(text):
        return InstallError(
            f"{component}: no network, or no way to where {what} come from", hint=NETWORK, details=details
        )
    if _DENIED.search(text):
        return InstallError(
            f"{component}: cannot write to the cache of installs {root}",
            hint="set MILLPOND_CACHE_DIR to a folder that you may write to",
            details=details,
        )
    if finished.status < 0:
        return InstallError(
            f"{component}: the installer of {what} was killed by signal {-finished.status}",
            hint="if memory was short, stop something else; then run it again",
            details=details,
        )
    return InstallError(
        f"{component}: {what} could not be installed",
        hint="the installer's last lines say why",
        details=details,
    )


def system_error(component: str, root: Path, error: OSError) -> InstallError:
    """The error for a failed call of the system on the store."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return InstallError(
            f"{component}: the disk under {root} is full", hint=FREE_SPACE, details=[str(error)]
        )
    if error.errno == errno.EFBIG:
        return InstallError(
            f"{component}: a file became larger than this system lets a process write",
            hint="raise the limit (ulimit -f) and run it again",
            details=[str(error)],
        )
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST}:
        return InstallError(
            f"{component}: cannot write to the cache of installs {root}",
            hint="set MILLPOND_CACHE_DIR to a folder that you may write to",
            details=[str(error)],
        )
    return InstallError(
        f"{component}: the cache of installs {root} failed: {error.strerror or error}", details=[str(error)]
    )
