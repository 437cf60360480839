"""Finds the one file of a folder that is the model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from millpond.serving.server.runtimes.loaded import LoadError


def find(folder: Path, name: str, what: str, endings: Sequence[str]) -> Path:
    """The model's file: the one called ``model`` with one of the endings, else the only one with an ending.

    KServe's servers take whatever single file has the ending; that several are a mistake is theirs too,
    but a folder with ``model.json`` beside an ``input.json`` is clear enough.

    Args:
        folder: it, or a file that is the model itself.
        name: the model's, for messages.
        what: the format's name for people.
        endings: with their dots, the most usual first.

    Raises:
        LoadError: there is none, or one cannot tell which.
    """
    if folder.is_file():
        return folder
    for ending in endings:
        if (path := folder / f"model{ending}").is_file():
            return path
    found = sorted(path for path in folder.iterdir() if path.is_file() and path.suffix in endings)
    looked = f"model{endings[0]}" + "".join(f", model{ending}" for ending in endings[1:])
    if not found:
        there = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "nothing"
        raise LoadError(
            f"model {name}: there is no {what} model in its folder, which has {there}",
            hint=f"looked for {looked}, and for any single file with such an ending",
        )
    if len(found) > 1:
        raise LoadError(
            f"model {name}: its folder has several files that could be the {what} model: "
            f"{', '.join(path.name for path in found[:8])}",
            hint=f"call one of them {looked.replace(', ', ' or ')}",
        )
    return found[0]
