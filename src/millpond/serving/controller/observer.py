"""What is noted of predictions, and what the monitor knows of them.

Model servers note predictions as a file in their folder says; the monitor, a process of its own, carries
them into the lake and measures. Both are told by files, so that none of the three has to be there for
another.
"""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from millpond.serving.controller.rollouts import Window
from millpond.serving.controller.store import Record, write_news
from millpond.serving.inferenceservice import InferenceService

log = logging.getLogger(__name__)


def settings_of(record: Record) -> dict[str, Any]:
    """What a monitor has to know of a deployment. Pure."""
    clean = {key: value for key, value in record.document.items() if key != "status"}
    logger = InferenceService.model_validate(clean).spec.predictor.logger
    asked = record.intentions
    mirrored = bool(asked.mirror and record.candidate)
    experiment = None
    if asked.experiment and record.candidate:
        arms = [record.active, record.candidate]
        experiment = {"name": asked.experiment, "arms": arms, "since": record.since}
    return {
        "namespace": record.namespace,
        "mode": logger.mode if logger is not None else ("all" if record.candidate else "off"),
        "url": logger.url if logger is not None else None,
        "primary": record.active,
        "canary": None if mirrored else record.candidate,
        "shadow": record.candidate if mirrored else None,
        "shadow_since": record.since if mirrored else None,
        "mirror_percent": asked.mirror if mirrored else None,
        "experiment": experiment,
    }


class Observer:
    """Files for the model servers and the monitor, and questions to the latter.

    Args:
        root: the folder of the predictions, one folder for each deployment.
        monitor: base URL of the monitor; None when there is none.
        token: its bearer token.
    """

    def __init__(self, root: Path, monitor: str | None = None, token: str = "") -> None:
        self._root = root
        self._monitor = monitor
        self._token = token
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def folder(self, name: str) -> Path:
        """Where a deployment's predictions are noted."""
        return self._root / name

    def prepare(self, record: Record) -> None:
        """Before the first revision starts, say what it is to note: it is asked as soon as it is led to.

        A server looks again every 0.2 s, which would be too late for who asks right after a deployment.
        """
        if record.active is None:
            self._control(record, settings_of(record)["mode"])

    def tell(self, record: Record) -> None:
        """Write down what is to be noted of a deployment.

        Without ``logger`` predictions are noted only while two revisions are compared.
        """
        if record.active is None:
            return
        settings = settings_of(record)
        # A comparison needs both halves, whatever is kept.
        self._control(record, "all" if record.candidate else settings["mode"])
        write_news(self.folder(record.name) / "monitor.json", settings)

    def _control(self, record: Record, mode: str) -> None:
        control = {"mode": mode, "sample": record.intentions.sample}
        write_news(self.folder(record.name) / "control.json", control)

    def forget(self, name: str) -> None:
        """Remove what tells how to note; what was noted and not yet carried away stays for the monitor."""
        for file in ("control.json", "monitor.json"):
            (self.folder(name) / file).unlink(missing_ok=True)
        folder = self.folder(name)
        if folder.is_dir() and not any(folder.iterdir()):
            shutil.rmtree(folder, ignore_errors=True)

    async def window(self, name: str, revision: str, since: float) -> Window | None:
        """What a revision answered since a time; None when the monitor does not say."""
        found = await self._ask(f"/deployments/{name}/window", revision=revision, since=since)
        if found is None:
            return None
        return Window(int(found["requests"]), int(found["errors"]), found.get("p99_ms"))

    async def distance(self, name: str, a: str, b: str, since: float) -> float | None:
        """How far the outputs of two revisions are apart; None when that is not known.

        A distance that samples of one distribution have as well counts for nothing.
        """
        found = await self._ask(f"/deployments/{name}/distance", a=a, b=b, since=since)
        if found is None or found.get("value") is None:
            return None
        value = float(found["value"])
        return value if value > float(found.get("chance") or 0.0) else 0.0

    async def _ask(self, path: str, **query: object) -> dict[str, Any] | None:
        if self._monitor is None:
            return None
        asked = {key: str(value) for key, value in query.items()}
        url = f"{self._monitor}{path}?{urllib.parse.urlencode(asked)}"
        request = urllib.request.Request(url, headers={"authorization": f"Bearer {self._token}"})

        def ask() -> dict[str, Any]:
            with self._opener.open(request, timeout=10) as answer:
                found: dict[str, Any] = json.load(answer)
                return found

        try:
            return await asyncio.to_thread(ask)
        except (OSError, ValueError) as error:
            log.warning("the monitor does not answer: %s", error)
            return None
