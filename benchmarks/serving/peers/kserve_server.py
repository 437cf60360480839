"""KServe's Python server around the model: python kserve_server.py PORT."""

from __future__ import annotations

import sys

import uvicorn
from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer
from predictor import Predictor


class Served(Model):
    """The model under KServe's V2 protocol."""

    def __init__(self) -> None:
        super().__init__("model")
        self._predictor = Predictor()
        self.ready = True

    def predict(
        self, payload: InferRequest, headers: object = None, response_headers: object = None
    ) -> object:
        found = self._predictor({item.name: item.data for item in payload.inputs})
        output = InferOutput("output-1", [len(found)], "FP64")
        output.data = found
        return InferResponse(payload.id or "1", "model", [output])


def on_loopback(plain: type) -> None:
    """KServe has no option for the address and would listen on all."""
    before = plain.__init__

    def init(self: object, *arguments: object, **options: object) -> None:
        before(self, *arguments, **{**options, "host": "127.0.0.1"})

    plain.__init__ = init


if __name__ == "__main__":
    on_loopback(uvicorn.Config)
    sys.argv, port = sys.argv[:1], int(sys.argv[1])
    ModelServer(http_port=port, enable_grpc=False, workers=1, enable_docs_url=False).start([Served()])
