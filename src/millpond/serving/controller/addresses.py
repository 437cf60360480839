"""Where a deployment predicts, for the router that calls it as a step of a graph.

KServe's own rule for the path: the protocol of the document says it, and where that says none the
runtime that KServe would take for the model's format (MLServer for MLflow, which speaks V2; V1 otherwise).
"""

from __future__ import annotations

from urllib.parse import urlsplit

from millpond.serving.controller.deployments import Deployments


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
        model = document["spec"]["predictor"]["model"]
        protocol = model.get("protocolVersion") or (
            "v2" if model["modelFormat"]["name"] == "mlflow" else "v1"
        )
        path = f"/v1/models/{name}:predict" if protocol == "v1" else f"/v2/models/{name}/infer"
        if self._gateway:
            return f"http://{name}.localhost:{urlsplit(self._gateway).port or 80}{path}"
        address = self._deployments.address(name)
        return None if address is None else f"http://{address}{path}"
