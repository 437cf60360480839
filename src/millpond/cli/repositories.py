"""What the commands of `millpond repo` share: which repository and ref are meant, and a transfer's bar."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from millpond.cli.session import Session

if TYPE_CHECKING:
    from millpond.lake.repository.progress import Progress
    from millpond.lake.repository.repository import Repository

SPEC = "REPO[@REF]"
_WIDTH = 20


def split(spec: str) -> tuple[str, str]:
    """The repository and the ref that a word names; the ref is empty where there is none.

    >>> split("flights@main~1")
    ('flights', 'main~1')
    """
    name, _, ref = spec.removeprefix("lake://").partition("@")
    return name, ref


def opened(session: Session, spec: str) -> tuple[Repository, str]:
    """The repository and the ref that are meant, ``main`` where none is named; goes on inside the lake's
    environment."""
    from millpond.cli.inside import go_inside

    go_inside(session, "lake")
    from millpond.lake.repository import places
    from millpond.lake.repository.repository import MAIN

    name, ref = split(spec)
    return places.find(name), ref or MAIN


@contextmanager
def transferring(what: str) -> Iterator[Progress]:
    """Show how far a transfer is, once it takes longer than a moment."""
    from millpond.cli.busy import busy
    from millpond.lake.repository.progress import Progress

    progress = Progress()
    begun = time.monotonic()
    with busy(what, lambda: _shown(progress, time.monotonic() - begun)):
        yield progress


def _shown(progress: Progress, seconds: float) -> str:
    from millpond.cli.style import bytes_text

    if not progress.all_bytes:
        return ""
    share = min(progress.bytes / progress.all_bytes, 1.0)
    bar = "█" * round(share * _WIDTH) + "░" * (_WIDTH - round(share * _WIDTH))
    speed = bytes_text(progress.bytes / max(seconds, 0.1))
    files = f"{progress.files:,} of {progress.all_files:,} files"
    return f"{bar} {share:4.0%}  {files}, {bytes_text(progress.bytes)}, {speed}/s"
