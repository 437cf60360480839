"""Topics of a real Kafka in a query."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from brokers import Broker
from query.conftest import Ask

WRITE = """
import json, sys
from confluent_kafka import Producer
given = json.load(sys.stdin)
producer = Producer({"bootstrap.servers": given["address"], "transactional.id": "writes"})
producer.init_transactions(20)
for keep, rows in ((True, given["rows"]), (False, [["gone", "{}"]])):
    producer.begin_transaction()
    for key, value in rows:
        producer.produce(given["topic"], value, key)
    producer.commit_transaction(20) if keep else (producer.flush(10), producer.abort_transaction(20))
"""


@pytest.fixture(scope="module")
def topics(broker: Broker, sql_python: Path) -> dict[str, str]:
    """The environment of a broker with the topics `Orders` and `plain-words`."""

    def write(topic: str, rows: list[tuple[str, str]]) -> None:
        given = json.dumps({"address": broker.address, "topic": topic, "rows": rows})
        subprocess.run([str(sql_python), "-c", WRITE], input=given, text=True, check=True)

    orders: list[dict[str, Any]] = [
        {"id": 1, "who": "ann", "place": {"city": "Utrecht"}},
        {"id": 9007199254740993, "who": "bob", "price": 2.5},
    ]
    write("Orders", [(order["who"], json.dumps(order)) for order in orders])
    write("plain-words", [("a", "not json"), ("b", "{broken")])
    return broker.environment


def test_a_topic_joins_files(ask: Ask, topics: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "ages.csv").write_text("who,age\nann,30\nbob,40\n")
    found = ask(
        "select id, who, age, place.city, price, _key, _offset, _timestamp > '2026-01-01' as recent"
        " from kafka.Orders o join 'ages.csv' using (who) order by id",
        environment=topics,
    )
    names = ("id", "who", "age", "city", "price", "_key", "_offset", "recent")
    assert [tuple(row[name] for name in names) for row in found] == [
        (1, "ann", 30, "Utrecht", None, "ann", 0, True),
        (9007199254740993, "bob", 40, None, 2.5, "bob", 1, True),
    ], "what was given up is not seen"


def test_messages_that_are_no_json_are_read_as_they_are(ask: Ask, topics: dict[str, str]) -> None:
    found = ask('select _key, _message from kafka."plain-words" order by 1', environment=topics)
    assert found == [{"_key": "a", "_message": "not json"}, {"_key": "b", "_message": "{broken"}]


def test_what_there_is_is_listed_and_a_wrong_name_told(ask: Ask, topics: dict[str, str]) -> None:
    listed = ask("select name from (show all tables) where database = 'kafka'", environment=topics)
    assert {"name": "Orders"} in listed and {"name": "plain-words"} in listed
    found = ask("select * from kafka.Order", environment=topics)
    assert found["message"].startswith("there is no kafka.Order at 127.0.0.1:")
    assert found["hint"] == "did you mean kafka.Orders?"


def test_a_topic_is_not_changed(ask: Ask, topics: dict[str, str]) -> None:
    assert "message" in ask("delete from kafka.Orders", environment=topics)
    assert ask("select count(*) as n from kafka.Orders", environment=topics) == [{"n": 2}]


def test_a_column_of_a_table_named_so_is_no_topic(ask: Ask, topics: dict[str, str]) -> None:
    query = "select 1 as a, kafka.x from (select 2 as x) kafka"
    assert ask(query, environment=topics) == [{"a": 1, "x": 2}]
