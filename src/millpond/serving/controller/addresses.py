"""Where a deployment predicts, for the router that calls it as a step of a graph."""

from __future__ import annotations

from urllib.parse import urlsplit

from millpond.serving.controller.deployments import Deployments
from millpond.serving.inferenceservice import prediction_path


class Addresses:
    """Looks deployments up.

    Args:
        deployments: all of them.
        gateway: the gateway's public base URL, whose weights a call through it keeps to; None when there is
        none.
    """

    def __init__(self, deployments: Deployments, gateway: str | None) -> None:
        self._deployments = deployments
        self._gateway = gateway

    def __call__(self, name: str) -> str | None:
        """The full URL of its predictions; None when there is no such deployment, or nothing of it runs."""
        document = self._deployments.document(name)
        if document is None:
            return None
        path = prediction_path(document)
        if self._gateway:
            return f"http://{name}.localhost:{urlsplit(self._gateway).port or 80}{path}"
        address = self._deployments.address(name)
        return None if address is None else f"http://{address}{path}"
