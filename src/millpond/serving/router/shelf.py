"""The graphs that the controller wrote: one file each, read again when it changed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import orjson

from millpond.model.errors import MillpondError
from millpond.serving.inferencegraph import PROPAGATE_ANNOTATION, InferenceGraph, from_document
from millpond.serving.router.connections import patterns

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z")
_READ = 60.0
_WRITE = 60.0


@dataclass(frozen=True)
class ServedGraph:
    """A graph, the addresses of its services, and its times in seconds."""

    graph: InferenceGraph
    services: dict[str, str]
    propagate: tuple[re.Pattern[str], ...] = ()

    @property
    def reading(self) -> float:
        """How long a client may take to send its request."""
        return self.graph.spec.routerTimeouts.serverRead or _READ

    @property
    def answering(self) -> float:
        """How long the whole answer may take: the lesser of ``timeout`` and ``serverWrite``."""
        spec = self.graph.spec
        return min(spec.routerTimeouts.serverWrite or _WRITE, spec.timeout or float("inf"))

    @property
    def calling(self) -> float | None:
        """How long one step may take; None: as long as the whole."""
        return self.graph.spec.routerTimeouts.serviceClient


class Shelf:
    """The folder with the graphs' files, each ``{"document": InferenceGraph, "services": {name: url}}``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[str, tuple[tuple[int, int, int], ServedGraph | MillpondError]] = {}

    def get(self, name: str) -> ServedGraph | None:
        """The graph of that name, or None; looking costs one call of the system.

        Raises:
            MillpondError: there is a file, and it holds no graph.
        """
        if not _NAME.match(name):
            return None
        path = self._folder / f"{name}.json"
        try:
            found = path.stat()
        except OSError:
            self._read.pop(name, None)
            return None
        mark = (found.st_mtime_ns, found.st_size, found.st_ino)
        known = self._read.get(name)
        if known is None or known[0] != mark:
            known = self._read[name] = (mark, _load(path))
        if isinstance(known[1], MillpondError):
            raise known[1]
        return known[1]


def _load(path: Path) -> ServedGraph | MillpondError:
    try:
        data = orjson.loads(path.read_bytes())
        graph = from_document(data["document"])
        services = {str(name): str(url) for name, url in (data.get("services") or {}).items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return MillpondError(f"the graph {path.stem} cannot be read: {type(error).__name__}")
    except MillpondError as error:
        return MillpondError(f"the graph {path.stem} cannot be read: {error.message}")
    wanted = graph.metadata.annotations.get(PROPAGATE_ANNOTATION, "")
    found, _ = patterns(text.strip() for text in wanted.split(",") if text.strip())
    return ServedGraph(graph, services, tuple(found))
