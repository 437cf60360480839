"""Log entries as CloudEvents, one row each, and back again.

Types and attributes are those that KServe's logger gives its events, see ``pkg/logger/worker.go``
there: request and response share an id, `endpoint` is the revision that answered. KServe has no
name for outcomes and gaps: these are ``dev.millpond.serving.feedback`` and ``….gap``. A row
also has what analyses need and no attribute says: status, latency in milliseconds, shadow, protocol,
path, and the length of the JSON part where tensors are binary.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pyarrow

from millpond.serving.monitor.record import Entry, Feedback, Gap, Prediction

REQUEST = "org.kubeflow.serving.inference.request"
RESPONSE = "org.kubeflow.serving.inference.response"
FEEDBACK = "dev.millpond.serving.feedback"
GAP = "dev.millpond.serving.gap"

_TIME = pyarrow.timestamp("us", tz="UTC")
SCHEMA = pyarrow.schema(
    [
        ("specversion", pyarrow.string()),
        ("id", pyarrow.string()),
        ("type", pyarrow.string()),
        ("source", pyarrow.string()),
        ("time", _TIME),
        ("recordedtime", _TIME),
        ("datacontenttype", pyarrow.string()),
        ("data", pyarrow.string()),
        ("data_binary", pyarrow.binary()),
        ("inferenceservicename", pyarrow.string()),
        ("namespace", pyarrow.string()),
        ("component", pyarrow.string()),
        ("endpoint", pyarrow.string()),
        ("revision", pyarrow.string()),
        ("latency_ms", pyarrow.float64()),
        ("status", pyarrow.int32()),
        ("shadow", pyarrow.bool_()),
        ("protocol", pyarrow.string()),
        ("path", pyarrow.string()),
        ("header_length", pyarrow.int64()),
    ]
)
Row = dict[str, Any]


class Events:
    """Makes the rows of one deployment."""

    def __init__(self, namespace: str, deployment: str) -> None:
        self._fixed = {
            "specversion": "1.0",
            "inferenceservicename": deployment,
            "namespace": namespace,
            "component": "predictor",
        }
        self._source = f"/namespaces/{namespace}/inferenceservices/{deployment}/revisions/"

    def rows(self, entry: Entry, recorded: float) -> Iterator[Row]:
        """The events of an entry: up to two for a prediction, one for anything else.

        `recorded` is now, in Unix seconds.
        """
        if isinstance(entry, Prediction):
            yield from self._prediction(entry, recorded)
        elif isinstance(entry, Feedback):
            data = {"datacontenttype": "application/json", **_data(entry.body, None)}
            yield self._row(entry, FEEDBACK, entry.id, entry.time, recorded, data)
        else:
            found = {"reason": entry.reason, "count": entry.count, "segment": entry.segment}
            data = {"datacontenttype": "application/json", "data": json.dumps(found)}
            name = f"{entry.reason}-{entry.revision}-{int(entry.time * 1000)}"
            yield self._row(entry, GAP, name, entry.time, recorded, data)

    def _prediction(self, entry: Prediction, recorded: float) -> Iterator[Row]:
        more = {
            "latency_ms": entry.ms,
            "status": entry.status,
            "shadow": entry.shadow,
            "protocol": entry.protocol,
            "path": entry.path,
        }
        if entry.request or not entry.response:
            data = {
                "datacontenttype": entry.request_type,
                "header_length": entry.request_header,
                **_data(entry.request, entry.request_header),
            }
            yield self._row(entry, REQUEST, entry.id, entry.time, recorded, {**data, **more})
        if entry.response:
            data = {
                "datacontenttype": entry.response_type,
                "header_length": entry.response_header,
                **_data(entry.response, entry.response_header),
            }
            answered = entry.time + entry.ms / 1000
            yield self._row(entry, RESPONSE, entry.id, answered, recorded, {**data, **more})

    def _row(self, entry: Entry, kind: str, identity: str, when: float, recorded: float, more: Row) -> Row:
        return {
            **self._fixed,
            "id": identity,
            "type": kind,
            "source": self._source + entry.revision,
            "time": _instant(when),
            "recordedtime": _instant(recorded),
            "endpoint": entry.revision,
            "revision": entry.revision,
            **more,
        }


def table(rows: list[Row]) -> pyarrow.Table:
    """Rows as a table of the lake."""
    return pyarrow.Table.from_pylist(rows, SCHEMA)


def entries(found: pyarrow.Table) -> list[Entry]:
    """The entries of a table, in its order; a request and the response after it are one again."""
    made: list[Entry] = []
    for row in found.to_pylist():
        kind, when = row["type"], row["time"].timestamp()
        body = row["data"].encode() if row["data"] is not None else row["data_binary"] or b""
        if kind == FEEDBACK:
            made.append(Feedback(row["id"], row["revision"], when, body))
        elif kind == GAP:
            gap = json.loads(body)
            made.append(Gap(row["revision"], when, gap["reason"], gap.get("count"), gap.get("segment")))
        elif kind == REQUEST:
            entry = _empty(row, when)
            entry.request, entry.request_type, entry.request_header = _body(row, body)
            made.append(entry)
        elif kind == RESPONSE:
            before = made[-1] if made else None
            if not _is_request_of(before, row):
                before = _empty(row, when - row["latency_ms"] / 1000)
                made.append(before)
            assert isinstance(before, Prediction)
            before.response, before.response_type, before.response_header = _body(row, body)
    return made


def _is_request_of(entry: Entry | None, row: Row) -> bool:
    return (
        isinstance(entry, Prediction)
        and (entry.id, entry.revision) == (row["id"], row["revision"])
        and not entry.response
    )


def _body(row: Row, body: bytes) -> tuple[bytes, str | None, int | None]:
    return body, row["datacontenttype"], row["header_length"]


def _empty(row: Row, arrival: float) -> Prediction:
    return Prediction(
        id=row["id"],
        revision=row["revision"],
        time=arrival,
        ms=row["latency_ms"],
        status=row["status"],
        protocol=row["protocol"],
        path=row["path"],
        shadow=row["shadow"],
        request_type=None,
        request_header=None,
        request=b"",
        response_type=None,
        response_header=None,
        response=b"",
    )


def _data(body: bytes, header: int | None) -> Row:
    """The body where it belongs: text in ``data``, whatever else in ``data_binary``."""
    if header is None:
        try:
            return {"data": body.decode()}
        except UnicodeDecodeError:
            pass
    return {"data_binary": body}


def _instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
