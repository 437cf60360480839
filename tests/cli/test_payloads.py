"""Files become requests as the model's signature asks, and answers become lines."""

from __future__ import annotations

import json
from typing import Any

import pytest

from millpond.cli import payloads
from millpond.model.errors import MillpondError

WINES = "kind;acid;sweet;count\nred;7.4;true;3\nwhite;;false;4\n"


def column(name: str, datatype: str, *data: Any) -> dict[str, Any]:
    return {"name": name, "shape": [len(data), 1], "datatype": datatype, "data": list(data)}


def test_a_table_without_a_signature_has_the_types_that_its_cells_show() -> None:
    found = payloads.v2(payloads.table(WINES, "wines.csv"), [])
    assert found == {
        "parameters": {"content_type": "pd"},
        "inputs": [
            column("kind", "BYTES", "red", "white"),
            column("acid", "FP64", 7.4, None),
            column("sweet", "BOOL", True, False),
            column("count", "INT64", 3, 4),
        ],
    }


def test_the_signature_decides_where_there_is_one() -> None:
    signature = [
        {"name": "code", "datatype": "BYTES", "shape": [-1, 1]},
        {"name": "size", "datatype": "FP64", "shape": [-1, 1]},
    ]
    found = payloads.v2(payloads.table("code,size\n007,3\n012,x\n", "codes.csv"), signature)
    assert found["inputs"] == [column("code", "BYTES", "007", "012"), column("size", "FP64", 3.0, "x")]


def test_a_tensor_takes_the_whole_table() -> None:
    signature = [{"name": "input-1", "datatype": "FP32", "shape": [-1, 2]}]
    found = payloads.v2(payloads.table("a,b\n1,2\n3,4\n", "t.csv"), signature)
    (only,) = found["inputs"]
    assert only == {"name": "input-1", "shape": [2, 2], "datatype": "FP32", "data": [1.0, 2.0, 3.0, 4.0]}


def test_v1_has_an_object_for_each_row() -> None:
    found = payloads.v1(payloads.table("a,b\n1,x\n2,\n", "t.csv"), [])
    assert found == {"instances": [{"a": 1, "b": "x"}, {"a": 2, "b": None}]}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\n1,2\n3\n", "t.csv:3: 1 cells under 2 names"),
        ("a,a\n1,2\n", "t.csv:1: the column a stands twice"),
        ("a,b\n", "t.csv has no rows"),
        ("", "t.csv has no rows"),
    ],
)
def test_a_table_that_is_none_is_refused_with_its_line(text: str, said: str) -> None:
    with pytest.raises(MillpondError, match=said):
        payloads.table(text, "t.csv")


@pytest.mark.parametrize(
    ("body", "request_", "protocol"),
    [
        ([[1, 2]], {"instances": [[1, 2]]}, "v1"),
        ({"a": 1}, {"instances": [{"a": 1}]}, "v1"),
        ({"instances": [1]}, {"instances": [1]}, "v1"),
        ({"inputs": {"a": [1]}}, {"inputs": {"a": [1]}}, "v1"),
        ({"inputs": [[1]]}, {"inputs": [[1]]}, "v1"),
        ({"inputs": [column("a", "FP64", 1)]}, {"inputs": [column("a", "FP64", 1)]}, "v2"),
    ],
)
def test_json_is_a_body_rows_or_one_row(body: Any, request_: Any, protocol: str) -> None:
    assert payloads.of_json(json.dumps(body), "b.json", None) == (request_, protocol)


@pytest.mark.parametrize(
    ("answer", "lines"),
    [
        ({"predictions": [0, 1.5, "red", None]}, ["0", "1.5", "red", ""]),
        ({"predictions": [[0.1, 0.9]]}, ["[0.1, 0.9]"]),
        ({"predictions": [{"a": 1, "b": "x"}]}, ["a  b", "1  x"]),
        ({"outputs": [column("output-1", "INT64", 0, 2)]}, ["0", "2"]),
        ({"outputs": [column("a", "INT64", 0, 2), column("b", "BYTES", "x", "y")]}, ["a  b", "0  x", "2  y"]),
        (
            {"outputs": [{"name": "p", "shape": [2, 2], "datatype": "FP64", "data": [1, 2, 3, 4]}]},
            ["[1, 2]", "[3, 4]"],
        ),
        ({"cat": {"predictions": [1]}}, ['{"cat": {"predictions": [1]}}']),
        ([1, 2], ["[1, 2]"]),
    ],
)
def test_an_answer_is_a_line_for_each_row(
    answer: Any, lines: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    payloads.show(answer)
    assert capsys.readouterr().out.splitlines() == lines
