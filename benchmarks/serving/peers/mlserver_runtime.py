"""MLServer's runtime for what its scikit-learn runtime does not read: ONNX, and trees that want a table."""

from __future__ import annotations

from mlserver import MLModel
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput
from predictor import Predictor


class Runtime(MLModel):
    """The model under MLServer's V2 protocol."""

    async def load(self) -> bool:
        self._predictor = Predictor()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        found = self._predictor({item.name: list(item.data) for item in payload.inputs})
        output = ResponseOutput(name="output-1", shape=[len(found)], datatype="FP64", data=found)
        return InferenceResponse(model_name=self.name, outputs=[output])
