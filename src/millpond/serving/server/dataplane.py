"""The protocols' common part: which models there are, whether they are ready, what they answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from millpond import __version__
from millpond.serving.predictionlog import SegmentWriter
from millpond.serving.server.errors import Hung, InvalidRequest, NotReady, UnknownModel, UnknownVersion
from millpond.serving.server.model import Model
from millpond.serving.server.stats import Stats
from millpond.serving.server.tensors import Prediction, Request

if TYPE_CHECKING:
    from millpond.serving.server.engine import Engine
    from millpond.serving.server.extensions import Extensions

EXTENSIONS = ("binary_tensor_data", "model_repository")


class DataPlane:
    """One model under its name, from before it is loaded until the process ends."""

    def __init__(self, name: str, version: str, revision: str | None = None) -> None:
        self.name = name
        self.version = version
        self.revision = revision or f"{name}-{version}"
        self.model: Model | None = None
        self.stats = Stats()
        self.log: SegmentWriter | None = None
        self.engine: Engine | None = None
        self.extensions: Extensions | None = None

    def stats_page(self) -> dict[str, Any]:
        """What ``/stats`` says of the process."""
        log, model = self.log, self.model
        return {
            **self.stats.page(),
            "batch": self.engine.page() if self.engine is not None else {},
            "compiled": {
                "used": model is not None and model.form is not None,
                "reason": model.form_reason if model is not None else "the model is loading",
                "handed_over": model.form.handed if model is not None and model.form is not None else 0,
            },
            "log": {
                "written": log.written if log is not None else 0,
                "dropped": log.dropped if log is not None else 0,
            },
        }

    def check_life(self) -> None:
        """Refuse when the process can only be mended by a restart.

        Raises:
            Hung: the model does not come back from a prediction.
        """
        if self.engine is not None and self.engine.stuck:
            raise Hung(self.name, self.engine.timeout)

    @property
    def ready(self) -> bool:
        """Whether the model is loaded and warmed up."""
        return self.model is not None

    def check(self, name: str, version: str | None = None) -> None:
        """Refuse another model's name or another version.

        Raises:
            UnknownModel, UnknownVersion: this process serves one revision of one model.
        """
        if name != self.name:
            raise UnknownModel(name, self.name)
        if version is not None and version != self.version:
            raise UnknownVersion(name, version, self.version)

    def loaded(self) -> Model:
        """The model.

        Raises:
            NotReady: it is still loading.
        """
        if self.model is None:
            raise NotReady(self.name)
        return self.model

    def infer(self, request: Request) -> Prediction:
        """Predict, and keep the outputs that were asked for.

        Raises:
            RequestError: see `Model.answer`; an output that the model does not have.
        """
        return self.selected(request, self.loaded().answer(request))

    @staticmethod
    def selected(request: Request, prediction: Prediction) -> Prediction:
        """The prediction with only the outputs that were asked for.

        Raises:
            InvalidRequest: one that the model does not have.
        """
        if request.outputs is not None:
            by_name = {output.name: output for output in prediction.outputs}
            for name in request.outputs:
                if name not in by_name:
                    raise InvalidRequest(
                        f"unknown output {name}", hint=f"the model gives {', '.join(by_name)}"
                    )
            prediction.outputs = [by_name[name] for name in request.outputs]
        return prediction

    def server_metadata(self) -> dict[str, Any]:
        """The server, as the protocol describes one."""
        return {"name": "millpond", "version": __version__, "extensions": list(EXTENSIONS)}

    def model_metadata(self) -> dict[str, Any]:
        """The model's inputs and outputs, from its signature."""
        model = self.loaded()
        signature = model.signature
        return {
            "name": self.name,
            "versions": [self.version],
            "platform": self.loaded().loaded.format,
            "inputs": [field.metadata() for field in signature.inputs],
            "outputs": [field.metadata() for field in signature.outputs],
            "parameters": {
                "content_type": self.content_type(),
                "compiled": model.form is not None,
                "compiled_reason": model.form_reason,
            },
        }

    def content_type(self) -> str | None:
        """The request-level content type that fits the model's signature."""
        signature = self.loaded().signature
        if not signature.known:
            return None
        return "np" if signature.tensors else "pd"
