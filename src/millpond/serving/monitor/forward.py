"""Events to a deployment's logger address, as KServe's logger sends them: CloudEvents in binary mode.

A queue of bounded length and one thread: an address that is slow or away costs events, which are
counted, and nothing else. Source: https://github.com/cloudevents/spec, HTTP protocol binding 1.0.2
(attributes are ``ce-`` headers, whose values are percent-encoded; the body is the data as it is).
"""

from __future__ import annotations

import logging
import queue
import threading
from contextlib import suppress
from time import monotonic, time
from typing import Any
from urllib.parse import quote

import requests

from millpond.serving.monitor.events import Events, Row
from millpond.serving.monitor.record import Entry, Gap

log = logging.getLogger(__name__)

_QUEUE = 10_000
_TRIES = 3
_TIMEOUT = 5.0
_ATTRIBUTES = (
    *("specversion", "id", "type", "source", "time", "recordedtime"),
    *("inferenceservicename", "namespace", "component", "endpoint"),
)
# What may stand in a header as it is; the binding encodes space, quotation mark, per cent and all but ASCII.
_PLAIN = "!#$&'()*+,-./:;<=>?@[\\]^_`{|}~"


class Forwarder:
    """Sends one deployment's events to `url`; `lost` counts those that it did not take."""

    def __init__(self, url: str, namespace: str, deployment: str, queued: int = _QUEUE) -> None:
        self.url = url
        self.lost = 0
        self._events = Events(namespace, deployment)
        self._queue: queue.Queue[Row | None] = queue.Queue(queued)
        self._told = -60.0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"logger-{deployment}", daemon=True)
        self._thread.start()

    def add(self, entries: list[Entry]) -> None:
        """Queue the events of entries; what does not fit is lost and counted."""
        now = time()
        for entry in entries:
            if isinstance(entry, Gap):
                continue
            for row in self._events.rows(entry, now):
                try:
                    self._queue.put_nowait(row)
                except queue.Full:
                    self._lose(1, "its queue is full")

    def stop(self) -> None:
        """Give up what is queued."""
        self._stopping.set()
        with suppress(queue.Full):
            self._queue.put_nowait(None)
        self._thread.join(1)

    def _run(self) -> None:
        with requests.Session() as session:
            while not self._stopping.is_set():
                row = self._queue.get()
                if row is not None:
                    self._send(session, row)

    def _send(self, session: requests.Session, row: Row) -> None:
        headers, body = message(row)
        reason = ""
        for attempt in range(_TRIES):
            if attempt and self._stopping.wait(2.0**attempt / 4):
                break
            try:
                answer = session.post(
                    self.url, data=body, headers=headers, timeout=_TIMEOUT, allow_redirects=False
                )
            except requests.RequestException as error:
                reason = type(error).__name__
                continue
            if answer.ok:
                return
            reason = f"status {answer.status_code}"
            if answer.status_code < 500 and answer.status_code != 429:
                break
        self._lose(1, reason)

    def _lose(self, count: int, reason: str) -> None:
        self.lost += count
        if monotonic() - self._told >= 60:
            self._told = monotonic()
            log.warning(
                "%s does not take events (%s), %d are lost", self.url.split("?")[0], reason, self.lost
            )


def message(row: Row) -> tuple[dict[str, str], bytes]:
    """The headers and the body that an event is sent as."""
    headers = {f"ce-{name}": quote(_text(row[name]), safe=_PLAIN) for name in _ATTRIBUTES}
    if row.get("datacontenttype"):
        headers["content-type"] = str(row["datacontenttype"])
    data = row.get("data")
    return headers, data.encode() if data is not None else row.get("data_binary") or b""


def _text(value: Any) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
