"""Where installs are kept, and who can get at them."""

from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path

from millpond.targets.cache import default_root

__all__ = ["SHARED_ROOT", "default_root", "open_file", "open_folder", "prepare_root", "readable_by"]

SHARED_ROOT = Path("/var/cache/millpond")
"""Used when Millpond runs as root for a component that runs as another user, who cannot enter root's home."""

_CACHE_TAG = """Signature: 8a477f597d28d172789f06886806bc55
# Made by Millpond: everything in here can be made again. See bford.info/cachedir
"""


def readable_by(path: Path, uid: int) -> bool:
    """Whether the user can get to ``path`` and read it, by owner, group and mode of all folders on the way.

    What does not exist yet is taken as readable, as Millpond makes its folders world-readable. Access
    control lists are not looked at, so a path that only they open counts as closed.
    """
    if uid == 0:
        return True
    groups = _groups(uid)
    path = path.absolute()
    for folder in reversed(path.parents):
        if not _allows(folder, uid, groups, stat.S_IXOTH):
            return False
    wanted = stat.S_IROTH | (stat.S_IXOTH if path.is_dir() else 0)
    return _allows(path, uid, groups, wanted)


def open_folder(path: Path) -> Path:
    """Makes a folder that everyone can read whatever the umask; parents too."""
    if not path.is_dir():
        if path.parent != path:
            open_folder(path.parent)
        path.mkdir(exist_ok=True)
        path.chmod(0o755)
    return path


def open_file(path: Path, content: bytes) -> None:
    """Writes a file that everyone can read whatever the umask."""
    path.write_bytes(content)
    path.chmod(0o644)


def prepare_root(root: Path) -> None:
    """Makes the root of a store, marked so that backups leave it out."""
    tag = root / "CACHEDIR.TAG"
    if not tag.exists():
        open_folder(root)
        open_file(tag, _CACHE_TAG.encode())


def _groups(uid: int) -> set[int]:
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        return set()
    return set(os.getgrouplist(entry.pw_name, entry.pw_gid))


def _allows(path: Path, uid: int, groups: set[int], wanted: int) -> bool:
    try:
        found = path.stat()
    except FileNotFoundError:
        return True
    except PermissionError:
        return False
    shift = 6 if found.st_uid == uid else 3 if found.st_gid in groups else 0
    needed = wanted << shift
    return found.st_mode & needed == needed
