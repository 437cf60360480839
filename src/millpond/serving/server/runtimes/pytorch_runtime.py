"""PyTorch's models: TorchScript (``torch.jit.save``), an exported program (``torch.export.save``), or ONNX.

A pickled ``nn.Module`` is not read: it is only the weights' names without the code of its class. Such a
model goes as the format ``python``, with a class that builds it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas

from millpond.serving.server.runtimes.files import find
from millpond.serving.server.runtimes.loaded import Loaded
from millpond.serving.server.runtimes.threads import threads

ENDINGS = (".pt", ".pt2", ".onnx", ".pth")


def load(folder: Path, name: str) -> Loaded:
    """Load the folder's module or graph.

    Raises:
        LoadError: there is none.
    """
    path = find(folder, name, "PyTorch", ENDINGS)
    if path.suffix == ".onnx":
        from millpond.serving.server.runtimes.onnx_runtime import session_of

        return session_of(path)
    import torch

    torch.set_num_threads(threads())
    if path.suffix == ".pt2":
        module = torch.export.load(path).module()  # exported for evaluation, and nothing else
    else:
        module = torch.jit.load(str(path), map_location="cpu").eval()
    floating = next((each.dtype for each in module.parameters() if each.is_floating_point()), torch.float32)

    def tensor(value: Any) -> Any:
        found = torch.from_numpy(np.ascontiguousarray(value))
        return found.to(floating) if found.is_floating_point() else found

    def predict(data: Any) -> Any:
        if isinstance(data, pandas.DataFrame):
            data = data.to_numpy()
        with torch.inference_mode():
            if isinstance(data, dict):
                found = module(**{key: tensor(value) for key, value in data.items()})
            else:
                found = module(tensor(data))
        return _plain(found)

    return Loaded(framework="pytorch", framework_version=torch.__version__, predict=predict, estimator=module)


def _plain(found: Any) -> Any:
    if isinstance(found, dict):
        return {key: _plain(value) for key, value in found.items()}
    if isinstance(found, tuple | list):
        return tuple(_plain(value) for value in found)
    return found.numpy() if hasattr(found, "numpy") else found
