"""BentoML around the model: bentoml serve bentoml_service:Served."""

from __future__ import annotations

from typing import Any

import bentoml
from predictor import Predictor, columns_of


@bentoml.service(workers=1, traffic={"timeout": 60})
class Served:
    """The model under BentoML's own protocol."""

    def __init__(self) -> None:
        self._predictor = Predictor()

    @bentoml.api
    def infer(self, inputs: list[dict[str, Any]]) -> dict[str, list[float]]:
        return {"predictions": self._predictor(columns_of({"inputs": inputs}))}
