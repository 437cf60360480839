"""The router beside a real controller and real models: what one writes the other reads."""

from __future__ import annotations

from pathlib import Path

import pytest
from routers import Router
from serving_platform import TOKEN, ServingPlatform, document

from loopback import free_port

BODY = {"inputs": [{"name": "number", "shape": [1], "datatype": "FP64", "data": [1.5]}]}


@pytest.mark.slow
def test_a_graph_of_deployments_answers(science_python: Path, models: Path, tmp_path: Path) -> None:
    port = free_port()
    platform = ServingPlatform(science_python, tmp_path, {"MILLPOND_ROUTER_PORT": str(port)})
    controller = f"http://127.0.0.1:{platform.port}"
    router = Router(science_python, tmp_path / "data", controller=controller, port=port)
    try:
        platform.up()
        router.wait_ready()
        platform.client.apply(document("first", models / "echo"), wait=60)
        platform.client.apply(document("second", models / "echo"), wait=60)
        steps = [{"name": name, "serviceName": name} for name in ("first", "second")]
        graph = {
            "apiVersion": "serving.kserve.io/v1alpha1",
            "kind": "InferenceGraph",
            "metadata": {"name": "both"},
            "spec": {"nodes": {"root": {"routerType": "Ensemble", "steps": steps}}},
        }
        shown = platform.client.apply_graph(graph)
        assert shown["status"]["conditions"][0]["status"] == "True", shown
        answer = router.ask("both", BODY, headers={"x-request-id": "one-id"})
        assert answer.status == 200, answer.body
        assert {name: part["model_name"] for name, part in answer.json.items()} == {
            "first": "first",
            "second": "second",
        }
        assert {part["id"] for part in answer.json.values()} == {"one-id"}
        # Awake already: the wake answers at once, and Seldon's words reach the same model.
        assert router.ask("first", BODY, "/v2/models/first/infer").status == 200
        called = {"data": {"names": ["number"], "ndarray": [[1.5]]}}
        seldon = router.ask(None, called, "/seldon/x/first/api/v1.0/predictions")
        assert seldon.json["data"]["ndarray"], seldon.body
        platform.client.delete_graph("both")
        assert router.ask(None, {}, "/graphs/both").status == 404
        assert router.ask("nobody", BODY, "/v2/models/nobody/infer").status == 404
    finally:
        router.stop()
        platform.down()
    assert TOKEN not in router.log
