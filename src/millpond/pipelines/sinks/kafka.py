"""The sink ``kafka``: an output becomes messages of a topic, all of them or none."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import Any

from pydantic import Field

from millpond.lake.reference import Reference
from millpond.model.errors import MillpondError
from millpond.pipelines.extension import Problem, StepCall
from millpond.pipelines.sinks.messages import MessageKeys, MessageSink, sent
from millpond.pipelines.task import OutputTask
from millpond.query.brokers import Brokers

_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")


class KafkaKeys(MessageKeys):
    """Which topic, and what a message's key is."""

    topic: str = Field(description="The topic; whether it is made where there is none is the brokers' rule")


class KafkaSink(MessageSink):
    """Sends in one transaction: who reads what is committed sees all messages or none.

    ``KAFKA_BOOTSTRAP_SERVERS`` and the others of the interface ``kafka`` say where, and who one is.
    """

    keys = KafkaKeys

    def check(self, port_type: str, keys: KafkaKeys) -> Iterable[Any]:
        """Something to send, and a name that a topic can have."""
        yield from super().check(port_type, keys)
        if "${" not in keys.topic and not _TOPIC.fullmatch(keys.topic):
            yield Problem(("topic",), f"{keys.topic} cannot be a topic", "letters, digits, dots, _ and -")

    def write(self, value: Any, port: OutputTask, call: StepCall) -> Reference:
        """Send it; see `Sink.write`.

        Raises:
            MillpondError: there are no brokers, or they refuse.
        """
        keys = KafkaKeys.model_validate(port.keys)
        brokers = Brokers.found_in(os.environ)
        if brokers is None:
            raise MillpondError(
                f"no Kafka is known here for the topic {keys.topic}",
                hint="add kafka to the flavour, or yours under external; KAFKA_BOOTSTRAP_SERVERS says where",
            )
        # A repeated step takes over from its earlier attempt, whose transaction then never shows.
        name = f"millpond.{call.context.run_id}.{call.context.step}.{port.name}"
        return sent(value, port.type, keys.key, keys.topic, brokers, name)
