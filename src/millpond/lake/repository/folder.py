"""Files of a folder on this machine, as a repository takes them."""

from __future__ import annotations

import os
from pathlib import Path

from millpond.model.errors import MillpondError

MARK = ".millpond-checkout.json"
PASSED_OVER = frozenset({".git", ".millpond", ".DS_Store", "__pycache__", MARK})


def scan(root: Path) -> dict[str, os.stat_result]:
    """Every file below a folder, by its path with slashes.

    Links to files count as the files; links to folders, sockets and the like are passed over, and so are
    what version control, Millpond and Python keep for themselves and files that are still being written.

    Raises:
        MillpondError: a folder cannot be read, or a link leads nowhere.
    """
    found: dict[str, os.stat_result] = {}
    todo = [("", str(root))]
    while todo:
        prefix, folder = todo.pop()
        try:
            entries = list(os.scandir(folder))
        except OSError as error:
            raise MillpondError(f"{folder} cannot be read: {error.strerror}") from None
        for entry in entries:
            name = entry.name
            if name in PASSED_OVER or (name.startswith(".") and name.endswith(".part")):
                continue
            if entry.is_dir(follow_symlinks=False):
                todo.append((f"{prefix}{name}/", entry.path))
                continue
            try:
                if entry.is_file():
                    found[prefix + name] = entry.stat()
                elif entry.is_symlink() and not entry.is_dir():
                    raise FileNotFoundError
            except FileNotFoundError:
                raise MillpondError(f"{entry.path} leads nowhere", hint="remove the link") from None
    return found
