"""The threads behind the answers: one takes logs in, one brings events to the lake.

They share nothing but files, so that a store that is slow or away delays the lake and nothing else.
"""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep

from millpond.lake.reference import LakePath
from millpond.lake.store import Store
from millpond.model.errors import MillpondError
from millpond.serving.monitor.forward import Forwarder
from millpond.serving.monitor.intake import Intake
from millpond.serving.monitor.outbox import DISK, Outbox, key_of
from millpond.serving.monitor.record import Entry
from millpond.serving.monitor.window import MEMORY, Window

log = logging.getLogger(__name__)

_LOOK = 0.5
_LONGEST_PAUSE = 30.0


class UnknownDeployment(MillpondError):  # noqa: N818 - named for what it says, as elsewhere
    """No log of a deployment with this name is there."""


class Collector:
    """All deployments' intakes.

    Args:
        logs: the folder that has one folder per deployment.
        data: where files wait for the lake.
        store, bucket: the lake.
        seconds: how long a batch of events waits for more.
        disk, memory: bytes, for each deployment.
        place: see `Intake`.
    """

    def __init__(
        self,
        logs: Path,
        data: Path,
        store: Store,
        bucket: str,
        *,
        seconds: float = 10.0,
        disk: int = DISK,
        memory: int = MEMORY,
        place: str = "",
    ) -> None:
        self.store = store
        self.bucket = bucket
        self._logs = logs
        self._data = data
        self._seconds = seconds
        self._disk = disk
        self._memory = memory
        self._place = place
        self._intakes: dict[str, Intake] = {}
        self._forwarders: dict[str, Forwarder] = {}
        self._stopping = threading.Event()
        self._written = threading.Event()
        self._threads = [
            threading.Thread(target=self._collect, name="collect", daemon=True),
            threading.Thread(target=self._upload, name="upload", daemon=True),
        ]

    def start(self) -> None:
        """Find what is there, then begin; the window is filled when this returns."""
        self._logs.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._discover()
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Make files of what was taken in; what the lake has not got waits for the next start."""
        self._stopping.set()
        self._written.set()
        self._threads[0].join(10)
        for intake in self.intakes():
            with suppress(OSError):
                intake.flush()
        for forwarder in self._forwarders.values():
            forwarder.stop()
        self._threads[1].join(2)

    def finish(self, seconds: float) -> int:
        """Stop, and take to the lake what is still here, where this disk is gone afterwards.

        Args:
            seconds: how long it may take.

        Returns:
            How many files the lake did not get.
        """
        self.stop()
        for intake in self.intakes():
            intake.poll()
            intake.flush()
        end = monotonic() + seconds
        while True:
            sent = 0
            try:
                sent = self._send()
            except Exception as error:  # whatever a store's client raises
                log.warning("the lake does not take events: %s", error)
            left = sum(len(intake.outbox.waiting()) for intake in self.intakes())
            if not left or monotonic() > end:
                return left
            if not sent:
                sleep(_LOOK)

    def intakes(self) -> list[Intake]:
        """All deployments, by name."""
        return [self._intakes[name] for name in sorted(self._intakes)]

    def intake(self, name: str) -> Intake:
        """One deployment.

        Raises:
            UnknownDeployment: there is no log of it.
        """
        found = self._intakes.get(name)
        if found is None:
            raise UnknownDeployment(
                f"no predictions of {name} are logged",
                hint="ask for a log in the deployment's document: spec.predictor.logger",
            )
        return found

    def undelivered(self, name: str) -> int:
        """How many events a deployment's logger address did not take."""
        forwarder = self._forwarders.get(name)
        return forwarder.lost if forwarder is not None else 0

    def _discover(self) -> None:
        for folder in sorted(self._logs.iterdir()):
            if folder.name not in self._intakes and folder.is_dir() and not folder.name.startswith("."):
                outbox = Outbox(self._data / folder.name, self._disk)
                intake = Intake(folder, Window(self._memory), outbox, self._seconds, self._place)
                intake.recall()
                self._intakes[folder.name] = intake
        for name in list(self._intakes):
            if not (self._logs / name).is_dir():
                self._intakes.pop(name).flush()

    def _collect(self) -> None:
        while not self._stopping.wait(_LOOK):
            try:
                self._discover()
            except OSError as error:
                log.error("the logs cannot be listed: %s", error)
            for intake in self.intakes():
                try:
                    new = intake.poll()
                    intake.tidy()
                    self._forward(intake, new)
                except Exception:
                    log.exception("the log of %s was not taken in; it is tried again", intake.name)
            self._written.set()

    def _forward(self, intake: Intake, new: list[Entry]) -> None:
        url, forwarder = intake.settings.url, self._forwarders.get(intake.name)
        if forwarder is not None and forwarder.url != url:
            self._forwarders.pop(intake.name).stop()
            forwarder = None
        if url is None:
            return
        if forwarder is None:
            forwarder = self._forwarders[intake.name] = Forwarder(url, intake.settings.namespace, intake.name)
        forwarder.add(new)

    def _upload(self) -> None:
        pause, away = 0.0, False
        while not self._stopping.is_set():
            self._written.wait(_LOOK)
            self._written.clear()
            if pause and self._stopping.wait(pause):
                return
            try:
                sent = self._send()
            except Exception as error:  # whatever a store's client raises
                pause = min(max(1.0, pause * 2), _LONGEST_PAUSE)
                if not away:
                    log.warning("the lake does not take events, they wait on this disk: %s", error)
                away = True
            else:
                if away and sent:
                    log.info("the lake takes events again")
                    away = False
                pause = 0.0

    def _send(self) -> int:
        sent, began = 0, monotonic()
        for intake in self.intakes():
            for path in intake.outbox.waiting():
                try:
                    key = key_of(path)
                    self.store.put(LakePath(self.bucket, key), path)
                except FileNotFoundError:
                    continue  # given up in the meantime
                intake.outbox.uploaded(path)
                sent += 1
                if self._stopping.is_set() or monotonic() - began > 60:
                    return sent
        return sent
