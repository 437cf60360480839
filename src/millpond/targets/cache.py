"""Where Millpond keeps what it downloaded: one folder, whatever the target."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def default_root() -> Path:
    """The folder of shared installs: ``MILLPOND_CACHE_DIR``, else the platform's folder for caches."""
    chosen = os.environ.get("MILLPOND_CACHE_DIR")
    if chosen:
        return Path(chosen).expanduser().absolute()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "millpond"
    # The XDG specification has relative paths ignored.
    cache = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(cache) if cache.startswith("/") else Path.home() / ".cache"
    return base / "millpond"
