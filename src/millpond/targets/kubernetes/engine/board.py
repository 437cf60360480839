"""A board of what the platform's objects are now: one watch per kind, however many wait for what it shows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

from millpond.targets.kubernetes.api import ApiError, Cluster
from millpond.targets.kubernetes.bundle import MANAGED_BY, MANAGER, PART_OF, Object

_EVENTS = 1.0
"""Seconds for which the namespace's events are not asked for anew."""


class Board:
    """The live objects of one platform, kept up by watches; an async context."""

    def __init__(self, cluster: Cluster, platform: str, namespace: str) -> None:
        self._cluster = cluster
        self._labels: Mapping[str, str] = {PART_OF: platform, MANAGED_BY: MANAGER}
        self._pod_labels: Mapping[str, str] = {PART_OF: platform}
        self.namespace = namespace
        self._tasks: dict[tuple[str, str, str], asyncio.Task[None]] = {}
        self._objects: dict[tuple[str, str, str], dict[str, Object]] = {}
        self._change = asyncio.Event()
        self._events: list[Object] = []
        self._asked = 0.0
        self._lock = asyncio.Lock()

    async def __aenter__(self) -> Board:
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def look(self, obj: Object) -> Object | None:
        """An object as it is now; None when it is not there, or not seen yet."""
        return self._of(obj["apiVersion"], obj["kind"], obj["metadata"].get("namespace")).get(
            obj["metadata"]["name"]
        )

    def all(self, api_version: str, kind: str) -> list[Object]:
        """All objects of a kind in the platform's namespace."""
        return list(self._of(api_version, kind, None).values())

    async def changed(self, timeout: float) -> None:
        """Wait until something changes, at most `timeout` seconds.

        Raises:
            ApiError: a watch has ended for good.
        """
        for task in self._tasks.values():
            if task.done() and not task.cancelled() and task.exception():
                raise task.exception()  # type: ignore[misc]
        waiting = self._change
        try:
            async with asyncio.timeout(timeout):
                await waiting.wait()
        except TimeoutError:
            pass

    async def of_job(self, name: str) -> list[Object]:
        """The pods of a Job."""
        labels = {"batch.kubernetes.io/job-name": name}
        return await self._cluster.list("v1", "Pod", namespace=self.namespace, labels=labels)

    async def events(self) -> list[Object]:
        """The events of the namespace, oldest first, not older than a second."""
        async with self._lock:
            if time.monotonic() - self._asked > _EVENTS:
                try:
                    found = await self._cluster.list("v1", "Event", namespace=self.namespace)
                except ApiError as error:
                    if error.code != 403:
                        raise
                    found = []
                self._events = sorted(found, key=lambda event: str(_when(event)))
                self._asked = time.monotonic()
        return self._events

    def _of(self, api_version: str, kind: str, namespace: str | None) -> dict[str, Object]:
        where = namespace or self.namespace
        name = (api_version, kind, where)
        if name not in self._tasks:
            self._objects[name] = {}
            self._tasks[name] = asyncio.create_task(self._follow(name))
        return self._objects[name]

    async def _follow(self, name: tuple[str, str, str]) -> None:
        api_version, kind, namespace = name
        labels = self._pod_labels if kind == "Pod" else self._labels
        try:
            async for event in self._cluster.watch(api_version, kind, namespace=namespace, labels=labels):
                if event.object:
                    found = event.object["metadata"]["name"]
                    if event.type == "DELETED":
                        self._objects[name].pop(found, None)
                    else:
                        self._objects[name][found] = event.object
                self._tell()
        finally:
            self._tell()

    def _tell(self) -> None:
        told, self._change = self._change, asyncio.Event()
        told.set()


def _when(event: Object) -> object:
    return event.get("lastTimestamp") or event.get("eventTime") or event["metadata"].get("creationTimestamp")
