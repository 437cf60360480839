"""Values as messages of a topic, and how a topic takes all of them: shared by sinks of Kafka's protocol."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import Field

from millpond.lake.reference import Reference
from millpond.model.errors import MillpondError, did_you_mean
from millpond.pipelines.codec import plain
from millpond.pipelines.extension import Keys, Problem, Sink
from millpond.query.brokers import REACH, Brokers

_TYPES = ("table", "json", "text", "number")
_LONGEST = 60.0
"""Seconds in which brokers have to have taken everything."""


class MessageKeys(Keys):
    """What a message's key is."""

    key: str | None = Field(
        default=None, description="The column (of JSON the field) that is a message's key, which orders them"
    )


class MessageSink(Sink):
    """Sends a table as one JSON object for each row, a JSON list as one for each item, all else as one.

    What was taken once is not sent again: a cached step sends nothing.
    """

    def check(self, port_type: str, keys: Any) -> Iterable[Problem]:
        """Something that messages can be made of."""
        if port_type not in _TYPES:
            yield Problem(("type",), f"a {port_type} is not sent as messages", "table, json, text or number")

    def exists(self, reference: Reference, port: Any) -> bool:
        """What was taken once is not sent again."""
        return True


def sent(
    value: Any, kind: str, key: str | None, topic: str, brokers: Brokers, transaction: str | None
) -> Reference:
    """Send a value to a topic, and wait until the brokers keep all of it.

    Args:
        transaction: names a transaction, so that readers of what is committed see all messages or none;
            None where the service has none.

    Raises:
        MillpondError: the brokers cannot be reached, or refuse.
    """
    from confluent_kafka import KafkaException, Producer

    more: dict[str, Any] = {"enable_idempotence": True, "linger_ms": 20, "compression_type": "lz4"}
    if transaction is not None:
        more["transactional_id"] = transaction
    else:
        # What is compressed otherwise, Event Hubs refuses.
        more["compression_type"] = "none"
    refused: list[Any] = []

    def told(error: Any, message: Any) -> None:
        if error is not None:
            refused.append(error)

    count, size, digest = 0, 0, hashlib.sha256()
    producer = Producer(brokers.settings(**more))
    brokers.topics(producer)
    try:
        if transaction is not None:
            producer.init_transactions(REACH)
            producer.begin_transaction()
        for name, data in _messages(value, kind, key):
            digest.update(b"%d %d\n" % (len(name or b""), len(data)) + (name or b"") + data)
            count, size = count + 1, size + len(data)
            while True:
                try:
                    producer.produce(topic, data, name, on_delivery=told)
                    break
                except BufferError:
                    producer.poll(0.1)
            producer.poll(0)
            if refused:
                break
        left = producer.flush(_LONGEST)
        if refused or left:
            error = refused[0] if refused else None
            if transaction is not None:
                producer.abort_transaction(REACH)
            reason = KafkaException(error) if error else TimeoutError(f"{left} of {count} messages not taken")
            raise brokers.failed(f"did not take what goes to {topic}", reason)
        if transaction is not None:
            producer.commit_transaction(_LONGEST)
    except KafkaException as error:
        raise brokers.failed(f"did not take what goes to {topic}", error) from None
    found = digest.hexdigest()
    return Reference(f"kafka:{topic}", found[:32], found, size, "reference", count)


def _messages(value: Any, kind: str, key: str | None) -> Iterator[tuple[bytes | None, bytes]]:
    if kind == "table":
        frame = value.to_pandas() if hasattr(value, "to_pandas") else value
        if key is not None and key not in frame.columns:
            raise _no_key(key, [str(name) for name in frame.columns])
        lines = frame.to_json(
            orient="records", lines=True, date_format="iso", date_unit="us", double_precision=15
        )
        names = [None] * len(frame) if key is None else [_text(item) for item in frame[key]]
        # Within JSON a line never ends, but in its text as an escape.
        yield from zip(names, (line.encode() for line in lines.split("\n")), strict=False)
        return
    found = value if kind == "text" else plain(value, kind)
    for item in found if isinstance(found, list) else [found]:
        name = None
        if key is not None:
            if not isinstance(item, Mapping) or key not in item:
                raise _no_key(key, list(item) if isinstance(item, Mapping) else [])
            name = _text(item[key])
        text = item if kind == "text" else json.dumps(item, sort_keys=True, separators=(",", ":"))
        yield name, text.encode()


def _text(value: Any) -> bytes:
    return (value if isinstance(value, str) else str(value)).encode()


def _no_key(key: str, there: list[str]) -> MillpondError:
    return MillpondError(f"there is no {key} that could be a message's key", hint=did_you_mean(key, there))
