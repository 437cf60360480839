"""Millpond: one file turns into a working data-science platform.

In a notebook, a shell or a script of a platform, with nothing configured::

    from millpond import run, lake, sql, env
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"

# What notebooks and scripts import from here, with where it is; loaded when it is asked for.
_OFFERED = {
    "env": "millpond.pipelines.interactive",
    "lake": "millpond.lake",
    "run": "millpond.pipelines.interactive",
    "sql": "millpond.query",
}


def __getattr__(name: str) -> Any:
    """What is offered here, such as ``from millpond import sql``.

    Where this process does not know the platform, as that of a plain shell beside it does not, the nearest
    platform's variables are set for it.
    """
    if name not in _OFFERED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    import_module(_OFFERED["env"]).settle()
    module = import_module(_OFFERED[name])
    return module if name == "lake" else getattr(module, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_OFFERED})
