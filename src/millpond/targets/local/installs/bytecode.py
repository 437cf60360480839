"""Compiles a venv's packages, taking over what another venv of the store compiled from the very same files.

uv hard-links a package's files from its cache into every venv, but bytecode is made in each. Compiling is
most of the time of an install, and large packages come in several environments: where a source is the same
inode as in another venv, that one's bytecode is hard-linked too. Python mends the file names in it when it
loads it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from pathlib import Path

from millpond.targets.local.installs.claim import claim
from millpond.targets.local.installs.maker import Work
from millpond.targets.local.installs.places import open_folder

_DONORS = 8
_LARGE = 1000


async def compile_packages(venv: Path, site: Path, work: Work) -> None:
    """Gives every module below ``site`` its bytecode; large venvs in turn, so that the next can borrow."""
    sources = list(_sources(site))
    # A small one is not to wait for a large one: what it is for may be what the others need first.
    turn = claim(work.root / "locks" / "compile.lock") if len(sources) >= _LARGE else nullcontext()
    async with turn:
        borrowed = _borrow(sources, site, _siblings(venv, site.relative_to(venv)))
        work.report("compile", borrowed, len(sources), "files")
        if borrowed < len(sources):
            # Files that no Python can compile, such as templates, are no reason to fail.
            await work.run([venv / "bin" / "python", "-m", "compileall", "-qq", "-j", "0", site])
            work.report("compile", len(sources), len(sources), "files")


def _sources(site: Path) -> Iterator[str]:
    for folder, folders, names in os.walk(site):
        if "__pycache__" in folders:
            folders.remove("__pycache__")
        for name in names:
            if name.endswith(".py"):
                yield os.path.relpath(os.path.join(folder, name), site)  # noqa: PTH118


def _siblings(venv: Path, within: Path) -> list[str]:
    found = [path / within for path in venv.parent.iterdir() if path != venv and (path / within).is_dir()]
    found.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    return [str(path) for path in found[:_DONORS]]


def _borrow(sources: list[str], site: Path, donors: list[str]) -> int:
    tag = f".{sys.implementation.cache_tag}.pyc"
    borrowed = 0
    made: set[str] = set()
    for source in sources:
        head, _, tail = source.rpartition("/")
        folder = f"{site}/{head}/__pycache__"
        compiled = f"{head}/__pycache__/{tail[:-3]}{tag}".lstrip("/")
        for donor in donors:
            # Strings and os calls: for ten thousand files, making a Path of each costs more than the rest.
            with suppress(OSError):
                if os.path.samefile(f"{site}/{source}", f"{donor}/{source}"):  # noqa: PTH121
                    if folder not in made:
                        open_folder(Path(folder))
                        made.add(folder)
                    os.link(f"{donor}/{compiled}", f"{site}/{compiled}")
                    borrowed += 1
                    break
    return borrowed
