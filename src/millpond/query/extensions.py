"""DuckDB's extensions, from the packages of this environment and from nowhere else.

An extension is loaded from its package's own file; nothing is copied to a home folder, and nothing is
fetched: DuckDB checks the file's signature itself.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from millpond.model.errors import MillpondError

# Without these DuckDB would ask its own server for what a query seems to need.
CLOSED = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
}
# Iceberg's manifests are Avro files, and its extension does not load the other one from a file.
_FIRST = {"iceberg": ("avro",)}


@cache
def extension_file(name: str) -> Path | None:
    """Where the file of an extension is, or None where its package is not in this environment."""
    spec = find_spec(f"duckdb_extension_{name}")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        found = sorted(Path(place).rglob(f"{name}.duckdb_extension"))
        if found:
            return found[0]
    return None


def load(connection: Any, name: str) -> None:
    """Load an extension, and those that it needs; again it does nothing.

    Raises:
        MillpondError: its package is not in this environment.
    """
    for needed in (*_FIRST.get(name, ()), name):
        file = extension_file(needed)
        if file is None:
            package = f"duckdb-extension-{needed.replace('_', '-')}"
            raise MillpondError(
                f"DuckDB's extension {needed} is not in this environment",
                hint=f"`millpond sql` has it; elsewhere install {package}, for DuckDB's version",
            )
        path = str(file).replace("'", "''")
        connection.execute(f"LOAD '{path}'")
