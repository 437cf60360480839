"""Topics of Kafka in a query: ``kafka.orders``, from its first message to the last one there is now."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from millpond.query.adapters import Rows
from millpond.query.brokers import REACH, Brokers

_BATCH = 50_000
_SILENCE = 30.0
"""Seconds without a message, before the end is reached, after which the brokers are given up."""


class Topics:
    """Reads topics; their messages' JSON fields are columns, beside ``_key``, ``_message`` and the place.

    No group is joined and nothing is committed: whoever reads the topic otherwise does not notice.
    """

    name = "kafka"
    function: str | None = None
    arguments = 0
    depth = 1

    def __init__(self, brokers: Brokers) -> None:
        self._brokers = brokers
        self.where = brokers.where

    @classmethod
    def found_in(cls, environment: Mapping[str, str]) -> Topics | None:
        """Those of the brokers that the environment names; None where it names none."""
        brokers = Brokers.found_in(environment)
        return None if brokers is None else cls(brokers)

    def names(self) -> list[str]:
        """The topics, without Kafka's own.

        Raises:
            MillpondError: no broker answers.
        """
        consumer = self._consumer()
        try:
            return sorted(name for name in self._brokers.topics(consumer) if not name.startswith("__"))
        finally:
            consumer.close()

    def read(self, name: Sequence[str], chosen: Sequence[str]) -> Rows | None:
        """The messages of a topic; see `Adapter.read`.

        Raises:
            MillpondError: no broker answers, or the topic cannot be read.
        """
        import pyarrow

        consumer = self._consumer()
        partitions = self._brokers.topics(consumer).get(name[0])
        if partitions is None:
            consumer.close()
            return None
        schema = pyarrow.schema(
            {
                "_key": pyarrow.string(),
                "_partition": pyarrow.int32(),
                "_offset": pyarrow.int64(),
                "_timestamp": pyarrow.timestamp("ms"),
                "_message": pyarrow.string(),
            }
        )
        return Rows(schema, self._batches(consumer, name[0], partitions, schema), "_message")

    def _consumer(self) -> Any:
        from confluent_kafka import Consumer

        return Consumer(
            self._brokers.settings(
                group_id="millpond-sql",
                enable_auto_commit=False,
                isolation_level="read_committed",
                enable_partition_eof=True,
                allow_auto_create_topics=False,
            )
        )

    def _batches(self, consumer: Any, topic: str, partitions: list[int], schema: Any) -> Iterator[Any]:
        import pyarrow
        from confluent_kafka import KafkaException

        rows: list[tuple[Any, ...]] = []
        try:
            for message in self._messages(consumer, topic, partitions):
                rows.append(
                    (
                        _text(message.key()),
                        message.partition(),
                        message.offset(),
                        message.timestamp()[1],
                        _text(message.value()),
                    )
                )
                if len(rows) == _BATCH:
                    yield _table(pyarrow, rows, schema)
                    rows = []
            if rows:
                yield _table(pyarrow, rows, schema)
        except KafkaException as error:
            raise self._brokers.failed(f"does not give {topic}", error) from None
        finally:
            consumer.close()

    def _messages(self, consumer: Any, topic: str, partitions: list[int]) -> Iterator[Any]:
        from confluent_kafka import KafkaError, KafkaException, TopicPartition

        ends = {}
        for number in partitions:
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=REACH)
            if high > low:
                ends[number] = (low, high)
        consumer.assign([TopicPartition(topic, number, low) for number, (low, _) in ends.items()])
        heard = time.monotonic()
        while ends:
            taken = consumer.consume(10_000, 0.1)
            if not taken and time.monotonic() - heard > _SILENCE:
                raise self._brokers.failed(
                    f"does not give {topic}", TimeoutError(f"nothing for {_SILENCE:g} s")
                )
            for message in taken:
                heard = time.monotonic()
                number = message.partition()
                if (error := message.error()) is not None:
                    # What is at the end may be a transaction's mark, which is no message.
                    if error.code() != KafkaError._PARTITION_EOF:
                        raise KafkaException(error)
                    ends.pop(number, None)
                    continue
                if number not in ends or message.offset() >= ends[number][1]:
                    ends.pop(number, None)
                    continue
                yield message
                if message.offset() == ends[number][1] - 1:
                    ends.pop(number)


def _text(data: bytes | None) -> str | None:
    return None if data is None else data.decode("utf-8", "replace")


def _table(pyarrow: Any, rows: list[tuple[Any, ...]], schema: Any) -> Any:
    columns = zip(*rows, strict=True)
    return pyarrow.table(
        [pyarrow.array(column, field.type) for column, field in zip(columns, schema, strict=True)],
        schema=schema,
    )
