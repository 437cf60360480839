"""The lake: references to what is in the object store, the store itself, repositories, and tables.

It is what users import, too: ``from millpond import lake``, then ``lake.repo("flights")``. What they call is
looked up when it is first asked for, so that the import costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from millpond.lake.files.use import cp, exists, ls, open, read, rm, write  # noqa: A004
    from millpond.lake.repository.places import create as create_repo
    from millpond.lake.repository.places import find as repo
    from millpond.lake.repository.places import repositories as repos
    from millpond.lake.tables import table

__all__ = ["cp", "create_repo", "exists", "ls", "open", "read", "repo", "repos", "rm", "table", "write"]

# name -> (module, name in it)
_OFFERED = {
    "repo": ("millpond.lake.repository.places", "find"),
    "repos": ("millpond.lake.repository.places", "repositories"),
    "create_repo": ("millpond.lake.repository.places", "create"),
    "table": ("millpond.lake.tables", "table"),
    **{
        name: ("millpond.lake.files.use", name)
        for name in ("ls", "exists", "read", "write", "open", "cp", "rm")
    },
}


def __getattr__(name: str) -> Any:
    if name in _OFFERED:
        module, found = _OFFERED[name]
        return getattr(import_module(module), found)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
