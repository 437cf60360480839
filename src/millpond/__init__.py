"""Millpond: one file turns into a working data-science platform."""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"

# What notebooks and scripts import from here, with where it is; loaded when it is asked for.
_OFFERED = {"sql": "millpond.query"}


def __getattr__(name: str) -> Any:
    """What is offered here, such as ``from millpond import sql``."""
    if name not in _OFFERED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_OFFERED[name]), name)
