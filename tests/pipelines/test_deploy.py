"""The deploy step asks for what KServe calls an InferenceService, and hands on where it answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from .conftest import Project

FLOW = """
    name: serve
    steps:
      train: {call: "steps:train", outputs: {model: {type: model}}}
      deploy:
        use: deploy
        inputs: {model: "${train.model}"}
        name: iris
        protocol: v1
        outputs: {deployment: {type: json}}
      predict:
        {call: "steps:predict", inputs: {deployment: "${deploy.deployment}"}, outputs: {url: {type: text}}}
"""
STEPS = """
    def train(): return {"uri": "models:/iris/3", "name": "iris", "version": "3"}
    def predict(deployment): return deployment["url"]
"""


class Controller(ThreadingHTTPServer):
    """Stands in for the serving controller: keeps what is applied, and says what it is told about it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.applied: list[dict[str, Any]] = []
        self.model: dict[str, Any] = {"transitionStatus": "UpToDate"}
        self.ready = "True"


class Handler(BaseHTTPRequestHandler):
    server: Controller

    def do_PUT(self) -> None:
        assert self.headers["authorization"] == "Bearer secret"
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.applied.append(body)
        body["metadata"]["generation"] = 1
        body["status"] = {
            "observedGeneration": 1,
            "url": "http://iris.localhost:1234",
            "conditions": [{"type": "Ready", "status": self.server.ready}],
            "components": {"predictor": {"latestReadyRevision": "iris-00001"}},
            "modelStatus": self.server.model,
        }
        answer = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def controller(project: Project) -> Iterator[Controller]:
    server = Controller()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    project.environment = {
        "MILLPOND_SERVING_URL": f"http://127.0.0.1:{server.server_port}",
        "MILLPOND_SERVING_TOKEN": "secret",
    }
    yield server
    server.shutdown()
    server.server_close()


def test_a_model_is_deployed_each_time_and_told_where(project: Project, controller: Controller) -> None:
    project.write(FLOW, STEPS)
    record = project.run()
    assert record.status == "succeeded", [step.error for step in record.steps.values()]
    assert record.steps["deploy"].outputs["deployment"].value == {
        "name": "iris",
        "namespace": "default",
        "url": "http://iris.localhost:1234",
        "protocol": "v1",
        "revision": "iris-00001",
        "model": {"uri": "models:/iris/3", "name": "iris", "version": "3"},
    }
    assert record.steps["predict"].outputs["url"].value == "http://iris.localhost:1234"
    predictor = controller.applied[0]["spec"]["predictor"]["model"]
    assert predictor == {
        "modelFormat": {"name": "mlflow"},
        "protocolVersion": "v1",
        "storageUri": "models:/iris/3",
    }
    again = project.run()
    assert project.states(again) == {"train": "cached", "deploy": "done", "predict": "cached"}
    assert len(controller.applied) == 2


def test_a_step_can_ask_for_a_canary(project: Project, controller: Controller) -> None:
    keys = "        canary: 10\n        annotations: {serving.millpond.dev/sticky: cookie}\n"
    project.write(FLOW.replace("        protocol: v1\n", keys), STEPS)
    project.run()
    (applied,) = controller.applied
    assert applied["spec"]["predictor"]["canaryTrafficPercent"] == 10
    assert applied["metadata"]["annotations"]["serving.millpond.dev/sticky"] == "cookie"


def test_a_model_that_does_not_load_fails_the_step(project: Project, controller: Controller) -> None:
    controller.model = {
        "transitionStatus": "BlockedByFailedLoad",
        "lastFailureInfo": {"message": "no such model"},
    }
    project.write(FLOW, STEPS)
    record = project.run()
    assert project.states(record) == {"train": "done", "deploy": "failed", "predict": "skipped"}
    assert (record.steps["deploy"].error or {})["message"] == "deployment iris: no such model"


def test_no_serving_is_one_sentence(project: Project) -> None:
    project.write(FLOW, STEPS)
    record = project.run()
    assert "no model serving is known here" in (record.steps["deploy"].error or {})["message"]
    assert "traceback" not in (record.steps["deploy"].error or {})
