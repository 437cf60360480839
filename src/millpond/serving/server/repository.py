"""The model repository extension for a process that has one model.

The model is loaded when the process starts and leaves with it. So ``load`` is right when the model is there,
and ``unload`` is refused: whoever may predict could otherwise stop a deployment for all others, at one of
its replicas only, and behind the back of the controller, which would start it again.

Source: https://docs.nvidia.com/deeplearning/triton-inference-server/user-guide/docs/protocol/extension_model_repository.html
"""

from __future__ import annotations

from typing import Any

from millpond.serving.server.dataplane import DataPlane
from millpond.serving.server.errors import Conflict, InvalidRequest


class Repository:
    """The one model as a repository of models."""

    def __init__(self, plane: DataPlane) -> None:
        self.plane = plane

    def index(self, only_ready: bool = False) -> list[dict[str, str]]:
        """The models, each with its state: READY or LOADING."""
        plane = self.plane
        if only_ready and not plane.ready:
            return []
        state, reason = ("READY", "") if plane.ready else ("LOADING", "the model is being loaded")
        return [{"name": plane.name, "version": plane.version, "state": state, "reason": reason}]

    def load(self, name: str, parameters: bool = False) -> None:
        """Nothing, if the model is loaded.

        Raises:
            UnknownModel, NotReady: it is another one, or is still being loaded.
            InvalidRequest: `parameters` of the model are given, which only its deployment can change.
        """
        self.plane.check(name)
        if parameters:
            raise InvalidRequest("a model is not loaded with parameters here", hint="change its deployment")
        self.plane.loaded()

    def unload(self, name: str) -> None:
        """Refuse it.

        Raises:
            UnknownModel, Conflict: it is another one, or the one that is served.
        """
        self.plane.check(name)
        raise Conflict(
            f"model {name} is not unloaded while its deployment asks for it",
            hint="delete the deployment, or let it scale to zero",
        )


def only_ready(body: Any) -> bool:
    """What the body of a request for the index asks for.

    Raises:
        InvalidRequest: it is no such body.
    """
    if not isinstance(body, dict):
        raise InvalidRequest("the body must be an object")
    found = body.get("ready", False)
    if not isinstance(found, bool):
        raise InvalidRequest("ready must be true or false")
    return found
