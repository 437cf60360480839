"""The interface ``kafka``: what every provider of brokers has to do."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from starter import Starter

pytestmark = pytest.mark.slow

FLAVOUR = "name: messages\ntarget: local\ncomponents:\n  kafka: {partitions: 2}\n"
# What clients do: write within a transaction, join a group, go on where it was left, ask for the ends.
CLIENT = """
import json, os, sys
from confluent_kafka import Consumer, Producer, TopicPartition
given = {"bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
         "security.protocol": os.environ["KAFKA_SECURITY_PROTOCOL"]}
if sys.argv[1] == "write":
    producer = Producer({**given, "transactional.id": "conformance"})
    producer.init_transactions(20)
    for keep in (False, True):
        producer.begin_transaction()
        for number in range(10):
            producer.produce("t", b"%d" % number, b"%d" % (number if keep else -1), headers={"a": b"b"})
        producer.commit_transaction(20) if keep else producer.abort_transaction(20)
consumer = Consumer({**given, "group.id": sys.argv[2], "auto.offset.reset": "earliest",
                     "isolation.level": "read_committed", "enable.auto.commit": False})
consumer.subscribe(["t"])
found = []
while len(found) < int(sys.argv[3]):
    message = consumer.poll(20)
    assert message is not None and message.error() is None, message and message.error()
    assert message.headers() == [("a", b"b")]
    found.append(int(message.value()))
partitions = sorted(consumer.list_topics("t", timeout=10).topics["t"].partitions)
if found:
    consumer.commit(asynchronous=False)
kept = consumer.committed([TopicPartition("t", number) for number in partitions], timeout=10)
consumer.close()
kept = [place.offset for place in kept]
print(json.dumps({"found": sorted(found), "partitions": partitions, "kept": kept}))
"""


@pytest.fixture(scope="module")
def messages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Starter]:
    """A platform that has the component alone."""
    platform = Starter(tmp_path_factory.mktemp("messages"))
    (platform.project / "millpond.yaml").write_text(FLAVOUR)
    try:
        platform.millpond("up")
        yield platform
    finally:
        platform.millpond("destroy", "--yes")


def test_messages_and_a_groups_place_are_kept(messages: Starter, science_python: Path) -> None:
    def client(*arguments: str) -> dict[str, list[int]]:
        done = subprocess.run(
            [str(science_python), "-c", CLIENT, *arguments],
            env={**os.environ, **messages.env},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        found: dict[str, list[int]] = json.loads(done.stdout)
        return found

    first = client("write", "one", "10")
    assert first["found"] == list(range(10)), "what was given up is not seen"
    assert first["partitions"] == [0, 1]
    messages.millpond("restart", "kafka")
    assert client("read", "two", "10")["found"] == list(range(10))
    assert client("read", "one", "0")["kept"] == first["kept"]
