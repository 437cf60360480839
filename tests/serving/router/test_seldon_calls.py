"""What clients of a SeldonDeployment send, answered by deployments and graphs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from routers import Handler, Router, Server

Serve = Callable[[Handler], Server]
PATH = "/seldon/seldon/wines/api/v0.1/predictions"
WINE = {"data": {"ndarray": [[7.3, 0.35], [1, 2]]}}


@pytest.fixture(scope="module")
def model() -> Iterator[Server]:
    """A V1 model that answers each row with its number of values, or with columns where rows have names."""

    def predict(seen: Any) -> Any:
        rows = seen.json["instances"]
        if rows == ["fail"]:
            return 400, {"error": "no"}
        return {"predictions": [row if isinstance(row, dict) else len(row) for row in rows]}

    found = Server(predict)
    yield found
    found.stop()


@pytest.fixture(scope="module")
def router(science_python: Path, model: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    """A router with one deployment, awake at once."""
    controller = Server(lambda seen: {"addresses": [model.address]})
    found = Router(science_python, tmp_path_factory.mktemp("seldon"), controller=controller.url)
    yield found.wait_ready()
    found.stop()
    controller.stop()


@pytest.mark.parametrize(
    ("data", "answered"),
    [
        ({"ndarray": [[7.3, 0.35], [1, 2]]}, {"names": [], "ndarray": [2, 2]}),
        ({"names": [], "ndarray": [[1]]}, {"names": [], "ndarray": [1]}),
        (
            {"names": ["b", "a"], "ndarray": [[1, 2], [3, 4]]},
            {"names": ["b", "a"], "ndarray": [[1, 2], [3, 4]]},
        ),
        (
            {"tensor": {"shape": [2, 3], "values": [1, 2, 3, 4, 5, 6]}},
            {"names": [], "tensor": {"shape": [2], "values": [3, 3]}},
        ),
    ],
)
def test_arrays_become_instances_and_predictions_arrays(
    router: Router, model: Server, data: Any, answered: Any
) -> None:
    answer = router.ask(None, {"data": data}, PATH, {"x-request-id": "mine"})
    assert answer.json == {"data": answered, "meta": {"puid": "mine"}}
    assert answer.headers["content-type"] == "application/json"
    assert model.seen[-1].path == "/v1/models/wines:predict"
    assert model.seen[-1].headers["host"] == "wines.localhost"


def test_the_deployments_host_and_any_version_do(router: Router, model: Server) -> None:
    assert router.ask("wines", WINE, "/api/v1.0/predictions").json["data"]["ndarray"] == [2, 2]
    assert router.ask("platform", WINE, PATH).status == 200
    assert model.seen[-1].path == "/v1/models/wines:predict"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "the body is not"),
        ({"strData": "a"}, "the body is not"),
        ({"data": {"ndarray": 1}}, "are lists"),
        ({"data": {"tensor": {"shape": [2, 2], "values": [1]}}}, "the body is not"),
        ({"data": {"names": ["a"], "ndarray": [[1, 2]]}}, "each row of data has 1 values"),
    ],
)
def test_what_is_no_array_is_400(router: Router, body: Any, said: str) -> None:
    answer = router.ask(None, body, PATH)
    assert answer.status == 400
    assert said in answer.error


def test_a_models_refusal_is_handed_on(router: Router) -> None:
    answer = router.ask(None, {"data": {"ndarray": ["fail"]}}, PATH)
    assert (answer.status, answer.error) == (400, "no")


def test_a_translated_chain_answers_the_same_call(router: Router, serve: Serve) -> None:
    first = serve(lambda seen: {"predictions": [[2, 2, 2]]})
    last = serve(lambda seen: {"predictions": seen.json["instances"][0]})
    steps = [
        {"serviceUrl": first.url},
        {"serviceUrl": last.url, "data": "$response", "mapPredictionsToInstances": True},
    ]
    router.graph("chain", {"root": {"routerType": "Sequence", "steps": steps}})
    answer = router.ask(None, WINE, "/seldon/default/chain/api/v1.0/predictions")
    assert answer.json["data"] == {"names": [], "ndarray": [2, 2, 2]}
    assert first.seen[0].json == {"instances": WINE["data"]["ndarray"]}
    router.ask("chain", WINE, "/api/v1.0/predictions")
    assert first.seen[1].json == WINE, "a graph's own host takes any path and leaves the body alone"


def test_a_gateway_shares_the_calls_out(science_python: Path, tmp_path: Path, serve: Serve) -> None:
    gateway = serve(lambda seen: {"predictions": [seen.headers["host"], seen.path]})
    router = Router(
        science_python, tmp_path, MILLPOND_GATEWAY_URL=f"http://localhost:{gateway.port}"
    ).wait_ready()
    try:
        answer = router.ask(None, WINE, PATH)
        assert answer.json["data"]["ndarray"] == ["wines.localhost", "/v1/models/wines:predict"]
    finally:
        router.stop()
