"""Adds and takes away processes of a deployment's revisions, as their requests ask for."""

from __future__ import annotations

import asyncio
import json
import logging
import time
import urllib.request

from millpond.serving.controller.processes import HOST
from millpond.serving.controller.scaling import TARGET, Bounds, Demand, Gauge
from millpond.serving.controller.site import Site
from millpond.serving.controller.store import Record, Revision
from millpond.serving.inferenceservice import InferenceService

log = logging.getLogger(__name__)


class Autoscaler:
    """Asks the processes what they have to do, and decides how many there should be."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._demands: dict[str, dict[str, Demand]] = {}
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    async def look_at(self, record: Record, ready: set[str]) -> bool:
        """Set how many processes each live revision should have; whether that has changed.

        Without a place where requests wait, and while two revisions are compared, the last process stays.
        """
        if record.active is None or record.observed < record.generation:
            return False
        bounds = bounds_of(record, sleeps=self._site.router is not None and record.candidate is None)
        demands = self._demands.setdefault(record.name, {})
        live = record.live
        for name in set(demands) - {revision.name for revision in live}:
            del demands[name]
        changed = False
        for revision in live:
            wanted = await self._wanted(revision, bounds, demands, ready)
            if wanted != revision.wanted:
                log.info("revision %s: %d processes, were %d", revision.name, wanted, revision.wanted)
                revision.wanted = wanted
                changed = True
        if changed:
            self._site.store.save(record)
        return changed

    async def _wanted(
        self, revision: Revision, bounds: Bounds, demands: dict[str, Demand], ready: set[str]
    ) -> int:
        if not bounds.moves:
            return bounds.least
        if revision.wanted == 0:
            return bounds.least  # asleep, unless it may not be: the next request wakes it
        up = {revision.service(r): r.port for r in revision.replicas if revision.service(r) in ready}
        if not up:
            demands.pop(revision.name, None)  # on its way up: its window has not begun
            return revision.wanted
        now = time.monotonic()
        demand = demands.setdefault(revision.name, Demand(now))
        demand.note(now, await self._gauges(up))
        return demand.wanted(now, bounds, revision.wanted)

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
