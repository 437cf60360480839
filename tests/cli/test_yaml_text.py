"""A deployment's file is edited as a person would: only what changed changes."""

from __future__ import annotations

import difflib
from typing import Any

import pytest

from millpond.cli.yaml_text import dump, revised
from millpond.model.document import read
from millpond.serving import edits
from millpond.serving.annotations import Rollout

WRITTEN = """\
# flights, looked after by the delays team
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: flights   # its host name
  namespace: default
spec:
  predictor:
    # one is not enough on Fridays
    minReplicas: 2
    canaryTrafficPercent: 10   # careful
    model:
      modelFormat: {name: mlflow}
      storageUri: "models:/flights/7"  # by hand
    # nothing else
"""


def data(text: str) -> Any:
    return read(text, "the file").data


def changed_lines(before: str, after: str) -> list[str]:
    found = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0)
    return [line for line in found if line[:1] in "+-" and line[:3] not in ("+++", "---")]


def test_a_new_share_is_one_line() -> None:
    document = data(WRITTEN)
    document["spec"]["predictor"]["canaryTrafficPercent"] = 25
    assert changed_lines(WRITTEN, revised(WRITTEN, document)) == [
        "-    canaryTrafficPercent: 10   # careful",
        "+    canaryTrafficPercent: 25   # careful",
    ]


def test_a_promotion_takes_a_line_away() -> None:
    text = revised(WRITTEN, edits.alone(data(WRITTEN)))
    assert changed_lines(WRITTEN, text) == ["-    canaryTrafficPercent: 10   # careful"]


def test_a_shadow_of_another_format_keeps_all_comments() -> None:
    document = edits.shadow(edits.with_model(data(WRITTEN), "models:/flights/8", "onnx"))
    text = revised(WRITTEN, document)
    assert data(text) == document
    assert changed_lines(WRITTEN, text) == [
        "+  annotations:",
        '+    serving.millpond.dev/mirror: "100"',
        "-    canaryTrafficPercent: 10   # careful",
        "+    canaryTrafficPercent: 0   # careful",
        "-      modelFormat: {name: mlflow}",
        '-      storageUri: "models:/flights/7"  # by hand',
        "+      modelFormat: {name: onnx}",
        "+      storageUri: models:/flights/8  # by hand",
    ]


def test_unchanged_data_is_the_same_text() -> None:
    assert revised(WRITTEN, data(WRITTEN)) == WRITTEN


@pytest.mark.parametrize(
    "text",
    [
        WRITTEN,
        '{"metadata": {"name": "flights"}, "spec": {"predictor": {"model": {"storageUri": "/m"}}}}',
        "metadata: {name: flights}\nspec:\n  predictor: {model: {storageUri: /m}}\n",
        "a: &x {b: 1}\nc: *x\n",
        "text: |\n  one\n  two\nlist:\n- 1\n- {a: 2}\n",
        "spec:\nother:\n",
        "",
    ],
)
@pytest.mark.parametrize(
    "wanted",
    [
        edits.rollout(edits.new("flights", "models:/flights/8"), Rollout()),
        {
            "metadata": {"name": "on", "labels": {"a": "1e3", "b": "x: y", "c": "0o7", "d": "null"}},
            "spec": {},
        },
        {"text": "one", "list": [1, {"a": [2, 3]}], "spec": {"deep": {"deeper": True}}, "other": None},
        {},
    ],
)
def test_whatever_stands_there_the_result_says_what_is_wanted(text: str, wanted: Any) -> None:
    assert data(revised(text, wanted)) == wanted


def test_text_that_looks_like_something_else_is_quoted() -> None:
    for value in ("1e3", "0o14", "yes", "~", "2026-11-24", ".5", "true", "", "a: b", "# no"):
        assert data(dump({"value": value})) == {"value": value}
