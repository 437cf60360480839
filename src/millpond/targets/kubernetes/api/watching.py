"""Watches that never end by themselves: closed connections, expired versions and servers that come back.

A watch begins with a list; after 410 Gone it lists again and tells what has changed meanwhile, deletions too.
See https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from millpond.targets.kubernetes.api.errors import ApiError, refused
from millpond.targets.kubernetes.api.transport import Transport, temporary
from millpond.targets.kubernetes.bundle import Object

_WINDOW = 290
"""Seconds after which the server is asked to end a watch, which is then resumed."""


@dataclass(frozen=True)
class Event:
    """What a watch tells.

    Args:
        type: ``SYNCED`` comes once after the first list, with no object.
        object: the object as it is now, or was when it was deleted.
    """

    type: Literal["ADDED", "MODIFIED", "DELETED", "SYNCED"]
    object: Object


class _GoneError(Exception):
    """The version from which the watch should resume has expired."""


async def watch(
    transport: Transport,
    path: str,
    params: Mapping[str, str],
    listing: Callable[[], Awaitable[tuple[list[Object], str]]],
    obj: str,
) -> AsyncIterator[Event]:
    """Everything at a path, and each change of it.

    Args:
        path: of the collection.
        params: selectors.
        listing: gets all objects and the version of the list; it has retries of its own.
        obj: what is watched, as an error tells it.

    Raises:
        ApiError: the server refuses it, or stayed away for longer than the transport's patience.
    """
    known: dict[str, Object] = {}
    version = ""
    synced = False
    away: float | None = None
    pause = 0.1
    while True:
        try:
            if not version:
                found, version = await listing()
                for event in _differences(known, found):
                    yield event
                if not synced:
                    synced = True
                    yield Event("SYNCED", {})
            query = {
                **params,
                "watch": "1",
                "resourceVersion": version,
                "allowWatchBookmarks": "true",
                "timeoutSeconds": str(_WINDOW),
            }
            async with transport.stream(path, query, verb="watch", obj=obj, silence=_WINDOW + 30) as response:
                away, pause = None, 0.1
                async for line in response.aiter_lines():
                    if not line:
                        continue
                    told, version = _event(line, version, obj, transport.context)
                    if told is not None:
                        _remember(known, told)
                        yield told
        except (_GoneError, ValueError):
            version = ""
            continue
        except ApiError as error:
            if error.code == 410:
                version = ""
                continue
            if not temporary(error):
                raise
            now = time.monotonic()
            away = now if away is None else away
            if now - away > transport.patience:
                raise
            await asyncio.sleep(pause)
            pause = min(pause * 2, 5.0)
        else:
            # Closed in good order, at once when a server is about to end.
            await asyncio.sleep(0.05)


def _event(line: str, version: str, obj: str, context: str) -> tuple[Event | None, str]:
    """The event of a line, and the version to resume from; a line that was cut off is a ValueError."""
    read: dict[str, Any] = json.loads(line)
    kind, found = read["type"], read["object"]
    if kind == "ERROR":
        if found.get("code") == 410:
            raise _GoneError
        raise refused(int(found.get("code") or 500), found, "watch", obj, context)
    version = found["metadata"].get("resourceVersion", version)
    if kind == "BOOKMARK":
        return None, version
    return Event(kind, found), version


def _key(obj: Object) -> str:
    meta = obj["metadata"]
    return f"{meta.get('namespace', '')}/{meta['name']}"


def _remember(known: dict[str, Object], event: Event) -> None:
    if event.type == "DELETED":
        known.pop(_key(event.object), None)
    else:
        known[_key(event.object)] = event.object


def _differences(known: dict[str, Object], found: list[Object]) -> list[Event]:
    events = []
    now = {_key(obj): obj for obj in found}
    for key in [key for key in known if key not in now]:
        events.append(Event("DELETED", known.pop(key)))
    for key, obj in now.items():
        before = known.get(key)
        if before is None:
            events.append(Event("ADDED", obj))
        elif before["metadata"].get("resourceVersion") != obj["metadata"].get("resourceVersion"):
            events.append(Event("MODIFIED", obj))
        known[key] = obj
    return events
