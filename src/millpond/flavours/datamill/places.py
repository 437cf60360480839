"""Documents cut out of and laid over one another, every key still knowing its place."""

from __future__ import annotations

from typing import Any

from millpond.model.document import Document, Path


def part(document: Document, at: Path) -> Document:
    """The part of a document at a path, as a document of its own; an empty value counts as a mapping."""
    data = document.data
    for step in at:
        data = data[step]
    return Document(document.source, {} if data is None else data, *(_below(m, at) for m in _maps(document)))


def overlay(base: Document, over: Document) -> Document:
    """Both documents merged: mappings key by key, everything else from the upper one."""
    keys, values = dict(base.keys), dict(base.values)
    data = _merge(base.data, over.data, (), base, over, keys, values)
    return Document(over.source, data, keys, values)


def moved(document: Document, source: Path, target: Path, keys: Any, values: Any) -> None:
    """Copy the places at and below `source` to `target` in the mappings `keys` and `values`."""
    for found, into in zip(_maps(document), (keys, values), strict=True):
        for path, place in found.items():
            if path[: len(source)] == source:
                into[(*target, *path[len(source) :])] = place


def _maps(document: Document) -> tuple[dict[Path, Any], dict[Path, Any]]:
    return document.keys, document.values


def _below(places: dict[Path, Any], at: Path) -> dict[Path, Any]:
    return {path[len(at) :]: place for path, place in places.items() if path[: len(at)] == at}


def _merge(base: Any, over: Any, at: Path, low: Document, top: Document, keys: Any, values: Any) -> Any:
    if isinstance(base, dict) and isinstance(over, dict):
        if at in top.values:
            values[at] = top.values[at]
        merged = dict(base)
        for key, value in over.items():
            path = (*at, key)
            if isinstance(value, dict) and isinstance(base.get(key), dict):
                merged[key] = _merge(base[key], value, path, low, top, keys, values)
                keys[path] = top.keys[path]
                continue
            for places in (keys, values):
                for old in [other for other in places if other[: len(path)] == path]:
                    del places[old]
            moved(top, path, path, keys, values)
            merged[key] = value
        return merged
    moved(top, at, at, keys, values)
    return over
