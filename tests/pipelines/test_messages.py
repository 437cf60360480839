"""The sinks that speak Kafka's protocol, on a real broker: Apache Kafka, and the same as Event Hubs has it.

No Event Hubs was asked: a broker of Kafka with TLS, SASL PLAIN and the same user stands for it.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from brokers import Broker

from .conftest import Project

READ = """
import json, sys
from confluent_kafka import Consumer, TopicPartition
given = json.loads(sys.argv[1])
consumer = Consumer({"bootstrap.servers": given["address"], "group.id": "test", "enable.auto.commit": False,
                     "isolation.level": given["isolation"]})
consumer.assign([TopicPartition(given["topic"], 0, 0)])
_, end = consumer.get_watermark_offsets(TopicPartition(given["topic"], 0), timeout=10)
found = []
while True:
    message = consumer.poll(1 if found else 5)
    if message is None:
        break
    found.append([message.key() and message.key().decode(), message.value().decode()])
    if message.offset() >= end - 1:
        break
print(json.dumps(found))
"""
STEPS = """
import pandas as pd

def flights():
    frame = pd.DataFrame({"carrier": ["UA", "AA"], "delay": [2.5, None], "number": [9007199254740993, 2]})
    frame["day"] = pd.to_datetime(["2013-01-01", "2013-01-02"])
    return frame

def numbers(): return [{"n": 1}, {"n": 2}]
def word(): return "mill\\npond"
def late(): return [{"n": number} for number in range(3)] + [{"m": 1}]
"""


def messages(broker: Broker, python: Path, topic: str, isolation: str = "read_committed") -> list[list[Any]]:
    """What is in a topic of one partition: key and value of each."""
    given = json.dumps({"address": broker.address, "topic": topic, "isolation": isolation})
    done = subprocess.run([str(python), "-c", READ, given], capture_output=True, text=True, check=True)
    found: list[list[Any]] = json.loads(done.stdout)
    return found


def test_outputs_become_messages_and_all_or_none(project: Project, broker: Broker) -> None:
    project.environment = broker.environment
    project.write(
        """
        name: send
        steps:
          flights:
            call: steps:flights
            outputs: {flights: {type: table, sink: kafka, topic: flights, key: carrier}}
          numbers:
            call: steps:numbers
            outputs: {numbers: {type: json, sink: kafka, topic: numbers, key: n}}
          word:
            call: steps:word
            outputs: {word: {type: text, sink: kafka, topic: words}}
          late:
            call: steps:late
            outputs: {late: {type: json, sink: kafka, topic: numbers, key: n}}
        """,
        STEPS,
    )
    record = project.run()
    assert project.states(record) == {"flights": "done", "numbers": "done", "word": "done", "late": "failed"}
    python = project.cluster.python
    found = messages(broker, python, "flights")
    assert [key for key, _ in found] == ["UA", "AA"]
    assert [json.loads(value) for _, value in found] == [
        {"carrier": "UA", "delay": 2.5, "number": 9007199254740993, "day": "2013-01-01T00:00:00.000000"},
        {"carrier": "AA", "delay": None, "number": 2, "day": "2013-01-02T00:00:00.000000"},
    ]
    assert messages(broker, python, "words") == [[None, "mill\npond"]]
    assert "no n that could be a message's key" in (record.steps["late"].error or {})["message"]
    assert messages(broker, python, "numbers") == [["1", '{"n":1}'], ["2", '{"n":2}']]
    assert record.steps["flights"].outputs["flights"].rows == 2
    assert project.run().steps["numbers"].status == "cached", "what was taken is not sent again"
    assert len(messages(broker, python, "numbers")) == 2


def test_event_hubs_by_its_connection_string(project: Project, broker: Broker) -> None:
    project.environment = {
        "EVENTHUBS_CONNECTION_STRING": broker.connection,
        "EVENTHUBS_OTHER": broker.connection.replace("aGlkZ", "d3Jvb"),
        "KAFKA_SSL_CA_LOCATION": str(broker.authority),
    }
    project.write(
        """
        name: hubs
        steps:
          numbers:
            call: steps:numbers
            outputs: {numbers: {type: json, sink: eventhubs, hub: events}}
          wrong:
            call: steps:numbers
            outputs: {numbers: {type: json, sink: eventhubs, hub: events, connection_from: EVENTHUBS_OTHER}}
          unset:
            call: steps:numbers
            outputs: {numbers: {type: json, sink: eventhubs, hub: events, connection_from: EVENTHUBS_NO}}
        """,
        STEPS,
    )
    record = project.run()
    assert project.states(record) == {"numbers": "done", "wrong": "failed", "unset": "failed"}
    assert messages(broker, project.cluster.python, "events") == [[None, '{"n":1}'], [None, '{"n":2}']]
    wrong = record.steps["wrong"].error or {}
    assert "Event Hubs at localhost:" in wrong["message"] and "Authentication failed" in wrong["message"]
    assert "EVENTHUBS_NO" in (record.steps["unset"].error or {})["message"]
    written = b"".join(path.read_bytes() for path in record.folder.rglob("*") if path.is_file())
    assert b"SharedAccessKey=" not in written


@pytest.mark.slow
def test_brokers_that_are_not_there_are_told(project: Project) -> None:
    project.environment = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9"}
    project.write(
        """
        name: nobody
        steps:
          numbers: {call: "steps:numbers", outputs: {n: {type: json, sink: kafka, topic: t}}}
        """,
        STEPS,
    )
    error = project.run().steps["numbers"].error or {}
    assert error["message"].startswith("Kafka at 127.0.0.1:9 cannot be reached: ")
    assert "Connection refused" in error["message"]
