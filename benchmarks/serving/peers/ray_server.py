"""Ray Serve around the model: python ray_server.py PORT."""

from __future__ import annotations

import signal
import sys

import ray
from ray import serve
from starlette.requests import Request


@serve.deployment(num_replicas=1, max_ongoing_requests=100)
class Served:
    """The model behind Ray Serve's proxy."""

    def __init__(self) -> None:
        from predictor import Predictor

        self._predictor = Predictor()

    async def __call__(self, request: Request) -> dict[str, list[float]]:
        from predictor import columns_of

        return {"predictions": self._predictor(columns_of(await request.json()))}


if __name__ == "__main__":
    ray.init(include_dashboard=False, _node_ip_address="127.0.0.1", log_to_driver=False)
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])})
    serve.run(Served.bind(), route_prefix="/infer")
    signal.sigwait([signal.SIGTERM, signal.SIGINT])
    serve.shutdown()
    ray.shutdown()
