"""The limit: a bare granian server around the same predict, with no checks, no batches and no metrics.

Usage: python bare.py PORT predict|compiled|nothing
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import orjson
from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server

HEADERS = [("content-type", "application/json")]


def predict() -> Callable[[bytes], Any]:
    """The model as its framework has it."""
    from predictor import Predictor, columns_of

    model = Predictor()
    return lambda body: model(columns_of(orjson.loads(body)))


def compiled() -> Callable[[bytes], Any]:
    """The faster form that Millpond makes of it."""
    import joblib
    import numpy as np
    from predictor import FOLDER, columns_of

    from millpond.serving.server.compiled.frame import Frame
    from millpond.serving.server.compiled.steps import Learnt, build

    step = build(joblib.load(FOLDER / "model.joblib"), "predict", Learnt())

    def run(body: bytes) -> Any:
        columns = columns_of(orjson.loads(body))
        frame = {
            name: np.array(values, dtype=object if type(values[0]) is str else float)
            for name, values in columns.items()
        }
        return step(Frame(frame, len(next(iter(frame.values()))))).tolist()

    return run


def nothing() -> Callable[[bytes], Any]:
    """No model: what HTTP and JSON cost."""
    return lambda body: orjson.loads(body)["inputs"][0]["data"]


class Application:
    """Answers every request with the function's result."""

    def __init__(self, function: Callable[[bytes], Any]) -> None:
        self._function = function

    async def __rsgi__(self, scope: Any, proto: Any) -> None:
        if scope.method == "GET":
            proto.response_bytes(200, HEADERS, b"{}")
            return
        found = self._function(await proto())
        proto.response_bytes(200, HEADERS, orjson.dumps({"predictions": found}))


async def main() -> None:
    """Serve until stopped."""
    kinds = {"predict": predict, "compiled": compiled, "nothing": nothing}
    application = Application(kinds[sys.argv[2]]())
    server = Server(
        application,
        address="127.0.0.1",
        port=int(sys.argv[1]),
        interface=Interfaces.RSGI,
        http=HTTPModes.http1,
        websockets=False,
        backlog=1024,
        log_enabled=False,
    )
    await server.serve()


if __name__ == "__main__":
    import uvloop

    uvloop.run(main())
