"""Where the platform of a folder runs, noted by `up --target` so that later commands mean the same place."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

_KEYS = ("target", "context", "namespace")


class Choice:
    """The note of one folder.

    Args:
        file: where it stands.
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    def read(self) -> dict[str, str]:
        """What was chosen; empty where nothing was."""
        try:
            found = json.loads(self._file.read_text())
        except (OSError, ValueError):
            return {}
        if not isinstance(found, dict):
            return {}
        return {key: str(found[key]) for key in _KEYS if found.get(key)}

    def write(self, chosen: Mapping[str, str | None]) -> None:
        """Note what was chosen; a cluster's context or namespace alone means a cluster."""
        found = {key: value for key, value in chosen.items() if value}
        found.setdefault("target", "kubernetes")
        if found["target"] == "local":
            self.forget()
            return
        self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file.write_text(json.dumps(found) + "\n")

    def forget(self) -> None:
        """Forget it."""
        self._file.unlink(missing_ok=True)
