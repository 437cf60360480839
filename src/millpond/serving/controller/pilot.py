"""Moves automatic rollouts on: asks the monitor how both revisions do, and follows the judgement."""

from __future__ import annotations

import logging
import time

from millpond.serving import edits
from millpond.serving.controller import rollouts
from millpond.serving.controller.rollouts import Progress
from millpond.serving.controller.site import Site
from millpond.serving.controller.store import Record

log = logging.getLogger(__name__)


class Pilot:
    """Looks after the rollouts of all deployments."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def look_at(self, record: Record) -> bool:
        """Begin or move a rollout where there is one; whether the traffic has changed."""
        rollout = record.intentions.rollout
        if rollout is None or record.candidate is None or record.observed < record.generation:
            return False
        now = time.time()
        progress = Progress(**record.rollout) if record.rollout else None
        if progress is None or progress.revision != record.candidate:
            progress = rollouts.begin(rollout, record.candidate, now)
            self._note(record, progress)
            return True
        if progress.over or now - progress.since < rollout.interval:
            return False
        observer, name, since = self._site.observer, record.name, progress.since
        active, candidate = str(record.active), str(record.candidate)
        newest = await observer.window(name, candidate, since)
        other = await observer.window(name, active, since)
        distance = await observer.distance(name, candidate, active, since)
        if record.candidate != candidate or record.observed < record.generation:
            return False  # somebody else has changed it meanwhile
        judged = rollouts.judge(rollout, progress, now, newest, other, distance)
        if judged.as_dict() == record.rollout:
            return False
        log.info("deployment %s: rollout of %s: %s, %s", name, candidate, judged.phase, judged.reason)
        self._note(record, judged)
        return True

    def _note(self, record: Record, progress: Progress) -> None:
        record.rollout = progress.as_dict()
        record.percent = progress.percent
        if progress.phase == "promoted":
            promote(record)
        elif progress.phase != "returned":
            record.document["spec"]["predictor"]["canaryTrafficPercent"] = progress.percent
        else:
            record.document["spec"]["predictor"]["canaryTrafficPercent"] = 0
        self._site.store.save(record)
        if progress.phase == "promoted":
            self._site.observer.tell(record)


def promote(record: Record) -> None:
    """Make the candidate the one that is rolled out, and the document say so."""
    record.previous, record.active = record.active, record.candidate
    record.candidate, record.percent = None, 0
    record.document = edits.alone(record.document)
    record.annotations = dict(record.document["metadata"].get("annotations", {}))
