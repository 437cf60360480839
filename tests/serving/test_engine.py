"""Predicting together and in time: what joined requests get, and what becomes of a model that hangs."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from model_servers import Answer, ModelServer

NUMBER = {"name": "number", "shape": [1], "datatype": "FP64", "data": [1.5]}


def column(name: str, *data: object, datatype: str = "FP64") -> dict[str, object]:
    return {"name": name, "shape": [len(data)], "datatype": datatype, "data": list(data)}


def together(calls: list[tuple[str, object]], server: ModelServer) -> list[Answer]:
    """All answers, asked at the same moment by a thread each."""
    found: list[Answer | None] = [None] * len(calls)
    gate = threading.Barrier(len(calls))

    def ask(index: int, path: str, body: object) -> None:
        gate.wait()
        found[index] = server.ask(path, body)

    threads = [threading.Thread(target=ask, args=(index, *call)) for index, call in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [answer for answer in found if answer is not None]


@pytest.fixture(scope="module")
def waiting_batches(
    science_python: Path, models: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ModelServer]:
    """The iris model, told to wait for eight rows or half a second."""
    log = tmp_path_factory.mktemp("batches") / "log"
    options = ("--batch", "8", "--batch-wait", "500")
    server = ModelServer(science_python, models / "iris", "iris", log, *options)
    server.start()
    try:
        server.wait_ready()
        yield server
    finally:
        server.stop()


def test_each_of_a_batch_gets_its_own_answer_and_its_own_error(waiting_batches: ModelServer) -> None:
    server = waiting_batches
    rows = [[5.1, 3.5, 1.4, 0.2], [6.8, 2.8, 4.8, 1.4], [7.7, 3.0, 6.1, 2.3]]
    path = "/v1/models/iris:predict"
    bodies: list[object] = [
        *({"instances": [row]} for row in rows),
        {"instances": rows},
        {"instances": [["five", 1, 2, 3]]},
        {"instances": [[1, 2]]},
        {"instances": [[None, 1, 2, 3]]},
        b"{",
    ]
    before = server.ask("/stats").json["batch"]
    answers = together([(path, body) for body in bodies], server)
    after = server.ask("/stats").json["batch"]
    assert [answer.json.get("predictions") for answer in answers[:4]] == [[0], [1], [2], [0, 1, 2]]
    assert [answer.status for answer in answers[4:]] == [400, 400, 400, 400]
    assert "expected a number, got 'five'" in answers[4].error
    assert "NaN" in answers[6].error
    assert (after["jobs"] - before["jobs"], after["calls"] - before["calls"]) == (8, 1)


def test_a_batch_that_does_not_fill_goes_after_its_wait(waiting_batches: ModelServer) -> None:
    began = time.monotonic()
    assert waiting_batches.predict({"instances": [[5.1, 3.5, 1.4, 0.2]]}).json == {"predictions": [0]}
    assert 0.4 < time.monotonic() - began < 5


def test_models_are_joined_only_where_rows_are_proven_independent(
    model_servers: dict[str, ModelServer],
) -> None:
    found = {name: server.ask("/stats").json["batch"] for name, server in model_servers.items()}
    assert found["iris"]["joins"] and found["waiting"]["joins"]
    assert not found["echo"]["joins"], "code of anyone's own"
    assert "the whole was its parts" in found["iris"]["reason"]


def test_many_at_once_get_what_each_gets_alone(model_servers: dict[str, ModelServer]) -> None:
    server = model_servers["waiting"]
    names = ["TYPE_WACHTTIJD", "SPECIALISME", "ROAZ_REGIO", "TYPE_ZORGINSTELLING"]
    kinds = [
        ["Behandeling", "Diagnostiek", "Mars", None],
        ["KNO (302)"],
        ["Noordwest", "Oost"],
        ["Kliniek", "Ziekenhuis"],
    ]
    rows = [[a, kinds[1][0], b, c] for a in kinds[0] for b in kinds[2] for c in kinds[3]]
    bodies = [{"instances": [dict(zip(names, row, strict=True))]} for row in rows]
    path = "/v1/models/waiting:predict"
    alone = [server.ask(path, body) for body in bodies]
    for _ in range(3):
        assert [(a.status, a.json) for a in together([(path, body) for body in bodies], server)] == [
            (a.status, a.json) for a in alone
        ]


@pytest.mark.slow
def test_a_model_that_hangs_is_answered_for_and_then_called_dead(
    science_python: Path, models: Path, tmp_path: Path
) -> None:
    server = ModelServer(
        science_python, models / "echo", "echo", tmp_path / "log", "--timeout", "0.5", "--grace", "1"
    )
    server.start()
    try:
        server.wait_ready()
        assert server.infer(NUMBER).status == 200
        assert server.ask("/v2/health/live").status == 200
        answers: list[Answer] = []
        hung = threading.Thread(target=lambda: answers.append(server.infer(NUMBER, column("sleep", 8.0))))
        hung.start()
        hung.join()
        assert answers[0].status == 504
        assert answers[0].error == "the model did not answer within 0.5 seconds"
        behind = server.infer(NUMBER)
        assert behind.status == 504, "the thread is not given back"
        live = server.ask("/v2/health/live")
        assert live.status == 503
        assert live.error == "model echo is at one prediction for more than 0.5 seconds"
        began = time.monotonic()
        server.stop()
        assert time.monotonic() - began < 4
    finally:
        server.stop()


def test_plain_requests_and_all_others_get_the_same(model_servers: dict[str, ModelServer]) -> None:
    server = model_servers["iris"]
    names = ["sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"]
    rows = [[6.8, 2.8, 4.8, 1.4], [5.1, 3.5, 1.4, 0.2], [7.7, 3, 6.1, 2.3]]
    columns = [column(name, *(row[at] for row in rows)) for at, name in enumerate(names)]
    ways = [
        columns,
        columns[::-1],
        [{**item, "shape": [3, 1]} for item in columns],
        [{**item, "parameters": {"content_type": "np"}} for item in columns],
        [{**item, "data": [str(value) for value in item["data"]]} for item in columns],
        [{"name": "all", "shape": [3, 4], "datatype": "FP64", "data": rows}],
    ]
    for inputs in ways:
        [output] = server.infer(*inputs, id="mine").json["outputs"]
        assert output == {
            "name": "output-1",
            "shape": [3, 1],
            "datatype": "INT64",
            "parameters": {"content_type": "np"},
            "data": [1, 0, 2],
        }
    for body in (
        {"instances": rows},
        {"instances": [dict(zip(names, row, strict=True)) for row in rows]},
        {"instances": [dict(zip(names[::-1], row[::-1], strict=True)) for row in rows]},
        {"instances": [[str(value) for value in row] for row in rows]},
        {"inputs": {name: [row[at] for row in rows] for at, name in enumerate(names)}},
    ):
        assert server.predict(body).json == {"predictions": [1, 0, 2]}
    for broken, said in (
        ({**columns[0], "shape": [2]}, "shape [2] holds 2 values, data has 3"),
        ({**columns[0], "shape": [True]}, "shape must be a list of lengths"),
        ({**columns[0], "shape": [3.0]}, "shape must be a list of lengths"),
        ({**columns[0], "datatype": "FP99"}, "unknown datatype"),
        ({**columns[0], "data": [True, 1, 2]}, "expected a number, got True"),
        ({**columns[0], "name": "sepal"}, "sepal"),
    ):
        answer = server.infer(broken, *columns[1:])
        assert answer.status == 400, (broken, answer.body)
        assert said in answer.error


def test_another_number_of_rows_than_asked_for_is_an_error(model_servers: dict[str, ModelServer]) -> None:
    server = model_servers["echo"]
    answer = server.infer(column("number", 1, 2, 3), column("rows", 1, 1, 1))
    assert answer.status == 500
    assert answer.error.startswith("model echo was asked for 3 rows and gave 1 in ")
    assert server.infer(NUMBER).status == 200


@pytest.mark.slow
def test_a_model_that_leaks_ends_its_process_with_its_requests_answered(
    science_python: Path, models: Path, tmp_path: Path
) -> None:
    limit = 800 * 1024 * 1024
    log = tmp_path / "log"
    server = ModelServer(science_python, models / "echo", "echo", log, "--memory", str(limit))
    server.start()
    try:
        server.wait_ready()
        slow: list[int] = []
        call = threading.Thread(
            target=lambda: slow.append(
                server.infer(NUMBER, column("leak", 10**9), column("sleep", 2.0)).status
            )
        )
        call.start()
        call.join()
        assert slow == [200]
        assert server.process is not None and server.process.wait(15) == 1
        assert "are allowed: it ends" in log.read_text()
    finally:
        server.stop()
