"""Adds and takes away processes of a deployment's active revision, as its requests ask for."""

from __future__ import annotations

import asyncio
import json
import logging
import time
import urllib.request

from millpond.serving.controller.processes import HOST
from millpond.serving.controller.scaling import TARGET, Bounds, Demand, Gauge
from millpond.serving.controller.site import Site
from millpond.serving.controller.store import Record
from millpond.serving.inferenceservice import InferenceService

log = logging.getLogger(__name__)


class Autoscaler:
    """Asks the processes what they have to do, and decides how many there should be."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._demands: dict[str, tuple[str, Demand]] = {}
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    async def look_at(self, record: Record, ready: set[str]) -> bool:
        """Set how many processes the active revision should have; whether that has changed.

        Without a place where requests wait, the last process stays.
        """
        revision = record.revision(record.active)
        if revision is None or record.observed < record.generation:
            return False
        bounds = bounds_of(record, sleeps=self._site.router is not None)
        if not bounds.moves:
            wanted = max(bounds.least, 1) if record.candidate else bounds.least
        elif revision.wanted == 0:
            return False  # asleep: the next request wakes it
        elif not ready.intersection(revision.services):
            self.forget(record.name)  # on its way up: its window has not begun
            return False
        else:
            now = time.monotonic()
            name, demand = self._demands.get(record.name, ("", Demand(now)))
            if name != revision.name:
                demand = Demand(now)
            self._demands[record.name] = (revision.name, demand)
            gauges = await self._gauges(
                {revision.service(r): r.port for r in revision.replicas if revision.service(r) in ready}
            )
            demand.note(now, gauges)
            wanted = demand.wanted(now, bounds, revision.wanted)
            if record.candidate:
                wanted = max(wanted, 1)
        if wanted == revision.wanted:
            return False
        log.info("deployment %s: %d processes, were %d", record.name, wanted, revision.wanted)
        revision.wanted = wanted
        if wanted == 0:
            self.forget(record.name)
        self._site.store.save(record)
        return True

    def forget(self, name: str) -> None:
        """Begin to measure anew."""
        self._demands.pop(name, None)

    async def _gauges(self, ports: dict[str, int]) -> dict[str, Gauge]:
        found = await asyncio.gather(*(asyncio.to_thread(self._gauge, port) for port in ports.values()))
        return {name: gauge for name, gauge in zip(ports, found, strict=True) if gauge is not None}

    def _gauge(self, port: int) -> Gauge | None:
        try:
            with self._opener.open(f"http://{HOST}:{port}/stats", timeout=2) as answer:
                said = json.load(answer)
                return Gauge(time.monotonic(), said["in_flight"], said["busy_seconds"], said["requests"])
        except (OSError, ValueError, KeyError):
            return None


def bounds_of(record: Record, *, sleeps: bool) -> Bounds:
    """What the document allows; `sleeps` says whether it may have no process at all."""
    predictor = InferenceService.model_validate(record.document).spec.predictor
    least, most = predictor.replicas
    target = predictor.scaleTarget or predictor.containerConcurrency or TARGET
    return Bounds(least if sleeps else max(least, 1), most, target, record.intentions.window)
