"""What predictions are asked with and answered with: files turned into requests, answers into lines."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from typing import Any

from millpond.cli.exit_codes import ExitCode
from millpond.cli.style import columns, out
from millpond.model.errors import MillpondError

Data = dict[str, Any]
Table = dict[str, list[str | None]]
_SEPARATORS = ",;\t|"
_WHOLE = ("INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64")


def of_json(text: str, source: str, protocol: str | None) -> tuple[Any, str]:
    """A request and its protocol from JSON: a whole body, a list of rows, or one row.

    Args:
        text: the JSON.
        source: its name, for messages.
        protocol: ``v1`` or ``v2``; None takes it from the body.

    Raises:
        MillpondError: it is no JSON.
    """
    try:
        data = json.loads(text)
    except ValueError as error:
        raise MillpondError(f"{source} is not JSON: {error}", exit_code=ExitCode.DOCUMENT) from None
    if isinstance(data, list):
        return {"instances": data}, protocol or "v1"
    if isinstance(data, dict) and not {"instances", "inputs"} & set(data):
        return {"instances": [data]}, protocol or "v1"
    tensors = data.get("inputs") if isinstance(data, dict) else None
    v2 = isinstance(tensors, list) and bool(tensors) and all(_tensor(item) for item in tensors)
    return data, protocol or ("v2" if v2 else "v1")


def _tensor(item: Any) -> bool:
    return isinstance(item, dict) and {"name", "shape", "datatype"} <= set(item)


def table(text: str, source: str) -> Table:
    """The columns of a CSV text with a line of names; an empty cell is a missing value.

    Raises:
        MillpondError: a line has another number of cells, a name stands twice, or there are no rows.
    """
    first = text.split("\n", 1)[0]
    separator = max(_SEPARATORS, key=first.count)
    reader = csv.reader(io.StringIO(text), delimiter=separator)
    names = [name.strip() for name in next(reader, [])]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise MillpondError(f"{source}:1: the column {twice} stands twice", exit_code=ExitCode.DOCUMENT)
    rows = []
    for row in reader:
        if not row:
            continue
        if len(row) != len(names):
            raise MillpondError(
                f"{source}:{reader.line_num}: {len(row)} cells under {len(names)} names",
                exit_code=ExitCode.DOCUMENT,
            )
        rows.append(row)
    if not rows:
        raise MillpondError(
            f"{source} has no rows", hint="its first line names the columns", exit_code=ExitCode.DOCUMENT
        )
    return {name: [row[index] or None for row in rows] for index, name in enumerate(names)}


def v2(found: Table, inputs: Sequence[Data]) -> Data:
    """A table as a V2 request: a column for each input, or one matrix where the model takes a tensor.

    Args:
        found: the table.
        inputs: the inputs that the model's metadata names; none when it has no signature.
    """
    known = {item["name"]: item for item in inputs}
    rows = len(next(iter(found.values())))
    if len(inputs) == 1 and len(inputs[0]["shape"]) > 1 and not set(known) & set(found):
        only = inputs[0]
        kind = only["datatype"]
        cells = [_value(column[row], kind) for row in range(rows) for column in found.values()]
        matrix = {"name": only["name"], "shape": [rows, len(found)], "datatype": kind, "data": cells}
        return {"inputs": [matrix]}
    tensors = []
    for name, column in found.items():
        kind = known[name]["datatype"] if name in known else _kind(column)
        data = [_value(cell, kind) for cell in column]
        tensors.append({"name": name, "shape": [rows, 1], "datatype": kind, "data": data})
    # Without a signature a table has to be called one.
    return {"inputs": tensors} if known else {"parameters": {"content_type": "pd"}, "inputs": tensors}


def v1(found: Table, inputs: Sequence[Data]) -> Data:
    """A table as a V1 request: an object for each row."""
    known = {item["name"]: item["datatype"] for item in inputs}
    kinds = {name: known.get(name) or _kind(column) for name, column in found.items()}
    rows = len(next(iter(found.values())))
    return {
        "instances": [
            {name: _value(column[row], kinds[name]) for name, column in found.items()} for row in range(rows)
        ]
    }


def _kind(column: list[str | None]) -> str:
    """The datatype that all cells of a column can be read as."""
    cells = [cell for cell in column if cell is not None]
    for kind in ("INT64", "FP64", "BOOL"):
        if cells and all(not isinstance(_value(cell, kind), str) for cell in cells):
            # A missing whole number has no place in a column of them.
            return "FP64" if kind == "INT64" and len(cells) < len(column) else kind
    return "BYTES"


def _value(cell: str | None, kind: str) -> Any:
    """A cell as the datatype asks; as it stands where it cannot be, so that the model says what is wrong."""
    if cell is None or kind == "BYTES":
        return cell
    text = cell.strip()
    if kind == "BOOL":
        return {"true": True, "false": False}.get(text.lower(), cell)
    try:
        return int(text) if kind in _WHOLE else _finite(float(text))
    except ValueError:
        return cell


def _finite(number: float) -> float | str:
    return number if math.isfinite(number) else str(number)


def show(answer: Any) -> None:
    """An answer's predictions: a line for each, a table where each has several values, else JSON."""
    predictions = _predictions(answer)
    if predictions is None:
        out(json.dumps(answer))
        return
    if predictions and all(isinstance(item, dict) for item in predictions):
        heads = list(dict.fromkeys(name for item in predictions for name in item))
        rows = [[_text(item.get(name)) for name in heads] for item in predictions]
        for line in columns([heads, *rows]):
            out(line)
        return
    for item in predictions:
        out(_text(item))


def _predictions(answer: Any) -> list[Any] | None:
    """One item for each row; None where the answer has no rows."""
    if not isinstance(answer, dict):
        return None
    if isinstance(answer.get("predictions"), list):
        found: list[Any] = answer["predictions"]
        return found
    outputs = answer.get("outputs")
    if not isinstance(outputs, list) or not outputs:
        return None
    named = {item["name"]: _rows(item) for item in outputs}
    counts = {len(rows) for rows in named.values()}
    if len(counts) != 1:
        return None
    if len(named) == 1:
        return next(iter(named.values()))
    return [{name: rows[index] for name, rows in named.items()} for index in range(counts.pop())]


def _rows(tensor: Data) -> list[Any]:
    data, shape = tensor["data"], tensor["shape"]
    count = shape[0] if shape else 1
    width = len(data) // count if count else 0
    return data if width <= 1 else [data[row * width : (row + 1) * width] for row in range(count)]


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value)
