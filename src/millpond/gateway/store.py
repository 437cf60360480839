"""Files that are whole or not there: the agent's state, and what Envoy watches.

Everything is written for the owner alone (0600) beside its place and renamed into it, which is also the
event that Envoy's watch waits for.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from millpond.model.errors import MillpondError


def write(path: Path, value: object) -> None:
    """Write a JSON document atomically with mode 0600; survives a crash as the old or the new document."""
    temporary = path.with_name(f".{path.name}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o600)
        # In one go and without layout: with hundreds of deployments the routes are megabytes.
        file.write(json.dumps(value, separators=(",", ":")))
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def read(path: Path) -> dict[str, Any] | None:
    """The document, or None when there is none.

    Raises:
        MillpondError: the file is there and is no JSON object.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise MillpondError(
            f"the gateway's file {path.name} cannot be read: {error}",
            hint=f"remove {path}; the owners put their routes again with millpond up",
        ) from error
    if not isinstance(found, dict):
        raise MillpondError(f"the gateway's file {path.name} is no JSON object", hint=f"remove {path}")
    return found
