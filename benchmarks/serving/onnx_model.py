"""Writes the ONNX model: sixteen numbers through two hidden layers of 64 to three probabilities.

Usage: python onnx_model.py FOLDER, where ``onnx`` and ``onnxruntime`` are installed.
"""

from __future__ import annotations

import json
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

SIZES = (16, 64, 64, 3)


def main() -> None:
    """Write the model, the request and the answer."""
    folder = Path(sys.argv[1])
    random = np.random.default_rng(0)
    nodes, weights, name = [], [], "features"
    for number, (width, height) in enumerate(pairwise(SIZES)):
        matrix = (random.normal(size=(width, height)) / np.sqrt(width)).astype(np.float32)
        weights += [
            numpy_helper.from_array(matrix, f"w{number}"),
            numpy_helper.from_array(np.zeros(height, dtype=np.float32), f"b{number}"),
        ]
        nodes.append(helper.make_node("Gemm", [name, f"w{number}", f"b{number}"], [f"sum{number}"]))
        last = number == len(SIZES) - 2
        name = "probabilities" if last else f"layer{number}"
        nodes.append(helper.make_node("Softmax" if last else "Relu", [f"sum{number}"], [name]))
    graph = helper.make_graph(
        nodes,
        "perceptron",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["rows", SIZES[0]])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["rows", SIZES[-1]])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    onnx.checker.check_model(model)
    onnx.save(model, str(folder / "model.onnx"))
    row = random.normal(size=(1, SIZES[0])).astype(np.float32)
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"))
    [answer] = session.run(None, {"features": row})
    (folder / "request.json").write_text(json.dumps({"features": row.ravel().tolist()}))
    (folder / "expected.json").write_text(json.dumps(answer.ravel().tolist()))


if __name__ == "__main__":
    main()
