"""Graphs against real step servers: every case of KServe's router, and what ours does beyond it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from routers import Handler, Router, Server, until, unused_address

from model_servers import ask

Serve = Callable[[Handler], Server]
ONE = {"predictions": ["1"]}
TWO = {"predictions": ["2"]}
DOG = {"predictions": [{"label": "dog", "score": [0.8, 0.2]}]}
CAT = {"predictions": [{"label": "cat", "score": [0.1, 0.9]}]}
IS_DOG = 'predictions.#(label=="dog")'
FAILED = (418, {"error": "no tea"})


def sequence(*steps: dict[str, Any]) -> dict[str, Any]:
    """A graph of one Sequence."""
    return {"root": {"routerType": "Sequence", "steps": list(steps)}}


def node(kind: str, *steps: dict[str, Any]) -> dict[str, Any]:
    """A node."""
    return {"routerType": kind, "steps": list(steps)}


def test_a_chain_hands_the_request_and_the_answers_on(router: Router, serve: Serve) -> None:
    first, second, third = (
        serve(lambda seen: ONE),
        serve(lambda seen: TWO),
        serve(lambda seen: {"last": True}),
    )
    router.graph(
        "chain",
        sequence(
            {"serviceUrl": first.url},
            {"serviceName": "second", "data": "$response"},
            {"serviceUrl": third.url, "data": "$request"},
        ),
        {"second": f"{second.url}/v1/models/second:predict"},
    )
    body = b'{ "instances":[1.0000000000000000001,\n9007199254740993] }'
    answer = router.ask("chain", body)
    assert (answer.status, answer.json) == (200, {"last": True})
    assert answer.headers["content-type"] == "application/json"
    assert first.seen[0].body == third.seen[0].body == body, "a body that nothing changes is not read"
    assert second.seen[0].json == ONE
    assert second.seen[0].path == "/v1/models/second:predict"
    assert {server.seen[0].method for server in (first, second, third)} == {"POST"}


@pytest.mark.parametrize(
    ("sent", "received"),
    [
        ({"predictions": ["a", "b"], "more": 1}, {"instances": ["a", "b"]}),
        ({"predictions": [1], "instances": [2]}, {"instances": [1]}),
        ({"predictions": []}, {"predictions": []}),
        ({"predictions": "a"}, {"predictions": "a"}),
        ({"predictions": [1], "instances": "a"}, {"predictions": [1], "instances": "a"}),
        ({"instances": [1]}, {"instances": [1]}),
        ([1], [1]),
        (b"text", b"text"),
    ],
)
def test_predictions_become_instances_where_asked(
    router: Router, serve: Serve, sent: Any, received: Any
) -> None:
    step = serve(lambda seen: ONE)
    router.graph("mapped", sequence({"serviceUrl": step.url, "mapPredictionsToInstances": True}))
    assert router.ask("mapped", sent).status == 200
    assert (step.seen[0].body if isinstance(sent, bytes) else step.seen[0].json) == received


def test_a_condition_that_is_met_leads_on_through_other_nodes(router: Router, serve: Serve) -> None:
    cat, dog = serve(lambda seen: CAT), serve(lambda seen: DOG)
    beagle, poodle = serve(lambda seen: {"is": "beagle"}), serve(lambda seen: {"is": "poodle"})
    router.graph(
        "animals",
        {
            "root": node("Sequence", {"nodeName": "kind"}, {"nodeName": "breed", "condition": IS_DOG}),
            "kind": node(
                "Switch",
                {"serviceUrl": cat.url, "condition": 'instances.#(modelId=="1")'},
                {"serviceUrl": dog.url, "condition": 'instances.#(modelId=="2")'},
            ),
            "breed": node("Ensemble", {"name": "a", "serviceUrl": beagle.url}, {"serviceUrl": poodle.url}),
        },
    )
    asked = {"instances": [{"modelId": "2"}]}
    assert router.ask("animals", asked).json == {"a": {"is": "beagle"}, "1": {"is": "poodle"}}
    assert beagle.seen[0].json == asked, "a node gets the request unless $response is asked for"
    stopped = router.ask("animals", {"instances": [{"modelId": "1"}]})
    assert (stopped.status, stopped.json, len(beagle.seen)) == (200, CAT, 1)


@pytest.mark.parametrize(
    ("first", "dependency", "condition", "status", "body"),
    [
        # A condition that is not met ends the sequence with 200, whatever the status of the answer was.
        (CAT, None, IS_DOG, 200, CAT),
        ((503, CAT), None, IS_DOG, 200, CAT),
        # A hard step that failed ends it with its own answer.
        (FAILED, "Hard", None, 418, {"error": "no tea"}),
        ((302, {"to": 1}), "Hard", None, 302, {"to": 1}),
        # A soft one does not.
        (FAILED, "Soft", None, 200, TWO),
        (FAILED, None, None, 200, TWO),
        ((201, DOG), "Hard", IS_DOG, 200, TWO),
        # What is not JSON fulfils nothing: an error, not an end.
        (b"{broken", None, IS_DOG, 500, {"error": "Failed to process request", "cause": "invalid response"}),
    ],
)
def test_what_a_sequence_answers(
    router: Router,
    serve: Serve,
    first: Any,
    dependency: str | None,
    condition: str | None,
    status: int,
    body: Any,
) -> None:
    steps: list[dict[str, Any]] = [{"serviceUrl": serve(lambda seen: first).url}]
    steps.append({"serviceUrl": serve(lambda seen: TWO).url})
    if dependency:
        steps[0]["dependency"] = dependency
    if condition:
        steps[1]["condition"] = condition
    router.graph("answers", sequence(*steps))
    answer = router.ask("answers", {})
    assert (answer.status, answer.json) == (status, body)


def test_the_last_answers_status_is_the_sequences(router: Router, serve: Serve) -> None:
    router.graph("last", sequence({"serviceUrl": serve(lambda seen: FAILED).url, "dependency": "Soft"}))
    assert router.ask("last", {}).status == 418


@pytest.mark.parametrize(
    ("body", "status", "answer"),
    [
        ({"a": None, "b": 1}, 200, ONE),
        ({"b": False}, 200, TWO),
        ({"c": 1}, 418, {"error": "no tea"}),
        ({"d": 1}, 404, None),
        (b'{"a": 1', 404, None),
    ],
)
def test_a_switch_takes_the_first_step_that_fits(
    router: Router, serve: Serve, body: Any, status: int, answer: Any
) -> None:
    steps = (
        {"serviceUrl": serve(lambda seen: ONE).url, "condition": "a"},
        {"serviceUrl": serve(lambda seen: TWO).url, "condition": "b"},
        {"serviceUrl": serve(lambda seen: FAILED).url, "condition": "c", "dependency": "Hard"},
    )
    router.graph("switch", {"root": node("Switch", *steps)})
    found = router.ask("switch", body)
    assert found.status == status
    cause = "None of the routes matched with the switch condition"
    assert found.json == (
        {"error": "Failed to process request", "cause": cause} if answer is None else answer
    )


def test_a_switch_below_the_root_that_takes_nothing_is_500(router: Router, serve: Serve) -> None:
    switch = node("Switch", {"serviceUrl": serve(lambda seen: ONE).url, "condition": "never"})
    router.graph("below", {**sequence({"nodeName": "switch"}), "switch": switch})
    answer = router.ask("below", {})
    assert (answer.status, answer.json["error"]) == (500, "Failed to process request")


def test_a_splitter_keeps_its_weights(router: Router, serve: Serve) -> None:
    first, second, never = serve(lambda seen: ONE), serve(lambda seen: TWO), serve(lambda seen: FAILED)
    weights = ((first, 20), (never, 0), (second, 80))
    router.graph(
        "split", {"root": node("Splitter", *({"serviceUrl": s.url, "weight": w} for s, w in weights))}
    )
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: router.ask("split", {}).status, range(400)))
    assert set(answers) == {200}
    assert not never.seen
    # 400 draws at 0.2: mean 80, deviation 8; the bounds are four deviations, and the seed is fixed.
    assert 48 <= len(first.seen) <= 112
    assert len(first.seen) + len(second.seen) == 400


def test_a_splitter_hands_a_failure_on(router: Router, serve: Serve) -> None:
    step = {"serviceUrl": serve(lambda seen: FAILED).url, "weight": 100, "dependency": "Hard"}
    router.graph("split", {"root": node("Splitter", step)})
    assert router.ask("split", {}).status == 418


@pytest.mark.parametrize(
    ("answers", "status", "body"),
    [
        ([ONE, TWO], 200, {"a": ONE, "1": TWO}),
        ([{"n": 9007199254740993}, {}], 200, {"a": {"n": 9007199254740993}, "1": {}}),
        ([None, TWO], 500, "a: the connection broke before the answer was whole"),
        # A soft failure is merged, and the whole is a success.
        ([FAILED, TWO], 200, {"a": {"error": "no tea"}, "1": TWO}),
        # A hard one is the answer.
        ([ONE, FAILED], 418, {"error": "no tea"}),
        ([[1], TWO], 500, "the answer of step a is not a JSON object"),
        ([b"{broken", TWO], 500, "the answer of step a is not JSON"),
    ],
)
def test_what_an_ensemble_answers(
    router: Router, serve: Serve, answers: list[Any], status: int, body: Any
) -> None:
    first, second = (serve(lambda seen, answer=answer: answer) for answer in answers)
    steps = ({"name": "a", "serviceUrl": first.url}, {"serviceUrl": second.url, "dependency": "Hard"})
    router.graph("ensemble", {"root": node("Ensemble", *steps)})
    found = router.ask("ensemble", {"instances": [1]})
    assert found.status == status
    if isinstance(body, str):
        assert found.json["cause"].startswith(body)
    else:
        assert found.json == body


def test_an_ensemble_asks_all_at_once(router: Router, serve: Serve) -> None:
    together = threading.Barrier(3, timeout=10)

    def meet(seen: Any) -> Any:
        together.wait()
        return ONE

    steps = ({"serviceUrl": serve(meet).url} for _ in range(3))
    router.graph("together", {"root": node("Ensemble", *steps)})
    assert router.ask("together", {}).json == {"0": ONE, "1": ONE, "2": ONE}


def test_the_first_hard_failure_in_the_documents_order_decides(router: Router, serve: Serve) -> None:
    second_answered = threading.Event()

    def slow(seen: Any) -> Any:
        second_answered.wait(10)
        return (500, {"is": "first"})

    def quick(seen: Any) -> Any:
        second_answered.set()
        return (400, {"is": "second"})

    steps = ({"serviceUrl": serve(handler).url, "dependency": "Hard"} for handler in (slow, quick))
    router.graph("order", {"root": node("Ensemble", *steps)})
    answer = router.ask("order", {})
    assert (answer.status, answer.json) == (500, {"is": "first"})


def test_headers_go_along_where_a_pattern_finds_their_name(router: Router, serve: Serve) -> None:
    step = serve(lambda seen: ONE)
    router.graph("headers", sequence({"serviceUrl": step.url}, {"serviceUrl": step.url}))
    sent = {"Authorization": "Bearer x", "test-header-1": "1", "Test-Header-2": "2", "Other": "3"}
    sent |= {
        "x-request-id": "mine",
        "traceparent": "00-1",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    answer = router.ask("headers", {}, headers=sent)
    assert answer.headers["x-request-id"] == "mine"
    for seen in step.seen:
        got = {name: value for name, value in seen.headers.items() if name not in ("host", "content-length")}
        assert got == {
            "authorization": "Bearer x",
            "test-header-1": "1",
            "test-header-2": "2",
            "x-request-id": "mine",
            "traceparent": "00-1",
            "content-type": "application/json",
            "user-agent": "millpond-router",
        }


def test_a_graph_names_headers_of_its_own(router: Router, serve: Serve) -> None:
    step = serve(lambda seen: ONE)
    annotations = {"serving.millpond.dev/propagate-headers": "^Other$, ^User-Agent$"}
    router.graph("own", sequence({"serviceUrl": step.url}), annotations=annotations)
    router.ask("own", {}, headers={"Other": "3", "Another": "4", "User-Agent": "me"})
    assert step.seen[0].headers["other"] == "3"
    assert step.seen[0].headers["user-agent"] == "me"
    assert "another" not in step.seen[0].headers


def test_bad_patterns_are_told(router: Router) -> None:
    assert "the pattern of a header's name is ignored: *Trace-Id*" in router.log
    assert "the pattern of a header's name is ignored: [0-9" in router.log


def test_binary_tensors_pass_through(router: Router, serve: Serve) -> None:
    more = {"content-type": "application/octet-stream", "inference-header-content-length": "2"}
    first = serve(lambda seen: (200, b"{}\0\1", more))
    second = serve(lambda seen: (200, b"{}" + bytes(range(256)), more))
    router.graph(
        "binary", sequence({"serviceUrl": first.url}, {"serviceUrl": second.url, "data": "$response"})
    )
    headers = {"Inference-Header-Content-Length": "4", "Content-Type": "application/octet-stream"}
    answer = router.ask("binary", b"{  }\xff\xfe", headers=headers)
    assert answer.body == b"{}" + bytes(range(256))
    assert answer.headers["inference-header-content-length"] == "2"
    assert answer.headers["content-type"] == "application/octet-stream"
    assert [server.seen[0].headers["inference-header-content-length"] for server in (first, second)] == [
        "4",
        "2",
    ]
    assert first.seen[0].body == b"{  }\xff\xfe"


def test_an_answer_that_is_not_json_keeps_its_type(router: Router, serve: Serve) -> None:
    steps = [(200, b"a,b\n", {"content-type": "text/csv"}), (200, b'{"a":1}', {"content-type": "text/plain"})]
    kinds = []
    for given in steps:
        router.graph("kind", sequence({"serviceUrl": serve(lambda seen, given=given: given).url}))
        kinds.append(router.ask("kind", {}).headers["content-type"])
    assert kinds == ["text/csv", "application/json"]


@pytest.mark.parametrize("dependency", ["Hard", "Soft"])
def test_a_step_without_any_answer_ends_the_graph(router: Router, serve: Serve, dependency: str) -> None:
    step = {"name": "gone", "serviceUrl": f"http://{unused_address()}/x", "dependency": dependency}
    router.graph("gone", sequence(step, {"serviceUrl": serve(lambda seen: ONE).url}))
    answer = router.ask("gone", {})
    assert answer.status == 500
    assert answer.json["error"] == "Failed to process request"
    assert answer.json["cause"].startswith("gone: no connection")


def test_a_service_without_an_address_is_told(router: Router) -> None:
    router.graph("nowhere", sequence({"serviceName": "nobody"}))
    answer = router.ask("nowhere", {})
    assert answer.status == 503
    assert answer.json["cause"] == "the service nobody has no address yet"


def test_any_path_and_method_is_the_graphs(router: Router, serve: Serve) -> None:
    step = serve(lambda seen: ONE)
    router.graph("paths", sequence({"serviceUrl": f"{step.url}/fixed?a=1"}))
    for path, method in (
        ("/", "GET"),
        ("/v2/models/other/infer", "POST"),
        ("/healthz", "PUT"),
        ("/a?b=c", "POST"),
    ):
        assert router.ask("paths", b"x", path=path, method=method).json == ONE
    assert router.ask(None, {}, path="/graphs/paths").json == ONE
    assert router.ask(None, {}, path="/graphs/paths/v2/models/paths/infer").json == ONE
    assert {(seen.method, seen.path) for seen in step.seen} == {("POST", "/fixed?a=1")}
    assert router.ask(None, {}, path="/graphs/none").status == 404
    assert router.ask(None, {}, path="/graphs/..%2f..%2fx").status == 404


def test_names_below_localhost_need_no_resolver(router: Router, serve: Serve) -> None:
    step = serve(lambda seen: ONE)
    router.graph("names", sequence({"serviceUrl": f"http://some.model.localhost:{step.port}/x"}))
    assert router.ask("names", {}).json == ONE
    assert step.seen[0].headers["host"] == f"some.model.localhost:{step.port}"


def test_a_changed_file_is_the_next_requests_graph(router: Router, serve: Serve) -> None:
    first, second = serve(lambda seen: ONE), serve(lambda seen: TWO)
    router.graph("change", sequence({"serviceUrl": first.url}))
    assert router.ask("change", {}).json == ONE
    router.graph("change", sequence({"serviceUrl": second.url}))
    assert router.ask("change", {}).json == TWO
    router.graph("change", {})
    broken = router.ask("change", {})
    assert (broken.status, "there is no node root" in broken.error) == (500, True)
    (router.folder / "router/graphs/change.json").unlink()
    assert router.ask(None, {}, path="/graphs/change").status == 404


def test_connections_to_steps_are_kept(router: Router, serve: Serve) -> None:
    step = serve(lambda seen: ONE)
    router.graph("kept", sequence({"serviceUrl": step.url}, {"serviceUrl": step.url}))
    for _ in range(10):
        assert router.ask("kept", {}).status == 200
    assert step.connections == 1


def test_a_slow_step_holds_nobody_else_up(router: Router, serve: Serve) -> None:
    release = threading.Event()
    slow, quick = serve(lambda seen: (release.wait(20), ONE)[1]), serve(lambda seen: TWO)
    router.graph("slow", sequence({"serviceUrl": slow.url}))
    router.graph("quick", sequence({"serviceUrl": quick.url}))
    with ThreadPoolExecutor(40) as pool:
        held = [pool.submit(router.ask, "slow", {}) for _ in range(30)]
        until(lambda: len(slow.seen) == 30)
        assert [router.ask("quick", {}).status for _ in range(20)] == [200] * 20
        assert not any(each.done() for each in held)
        release.set()
        assert [each.result().status for each in held] == [200] * 30


def test_a_client_that_leaves_ends_the_calls(router: Router, serve: Serve) -> None:
    release = threading.Event()
    slow, after = serve(lambda seen: (release.wait(20), b"x" * 10_000_000)[1]), serve(lambda seen: ONE)
    router.graph("left", sequence({"serviceUrl": slow.url}, {"serviceUrl": after.url}))
    with pytest.raises(OSError):
        router.ask("left", {}, timeout=0.3)
    until(lambda: router.metric('millpond_router_graph_requests_total{graph="left",status="499"}') == 1)
    release.set()
    until(lambda: slow.broken == 1)
    assert not after.seen


@pytest.mark.parametrize(
    ("spec", "status", "cause"),
    [
        ({"routerTimeouts": {"serviceClient": 1}}, 500, "slow: no answer in time"),
        ({"routerTimeouts": {"serverWrite": 1}}, 504, "no answer within 1 s"),
        ({"timeout": 1, "routerTimeouts": {"serverWrite": 50}}, 504, "no answer within 1 s"),
    ],
)
def test_steps_and_graphs_have_a_time_limit(
    router: Router, serve: Serve, spec: dict[str, Any], status: int, cause: str
) -> None:
    release = threading.Event()
    slow = serve(lambda seen: (release.wait(20), ONE)[1])
    router.graph("late", sequence({"name": "slow", "serviceUrl": slow.url}), **spec)
    answer = router.ask("late", {}, timeout=10)
    release.set()
    assert (answer.status, answer.json["cause"]) == (status, cause)


def test_json_of_any_kind_is_an_error_object(router: Router, serve: Serve) -> None:
    router.graph("error", sequence({"serviceUrl": serve(lambda seen: None).url}))
    answer = router.ask("error", {})
    assert (answer.status, sorted(json.loads(answer.body))) == (500, ["cause", "error"])
    assert ask(router.port, "/nothing").error == "neither the host nor the path names a graph or a model"


def test_what_is_in_graphs_is_bounded(science_python: Path, tmp_path: Path, serve: Serve) -> None:
    release = threading.Event()
    slow = serve(lambda seen: (release.wait(20), ONE)[1])
    bounds = ("--max-graph-requests", "2", "--max-graph-bytes", "1000")
    router = Router(science_python, tmp_path, *bounds).wait_ready()
    router.graph("full", sequence({"serviceUrl": slow.url}))
    try:
        with ThreadPoolExecutor(2) as pool:
            held = [pool.submit(router.ask, "full", b"x" * 600)]
            until(lambda: len(slow.seen) == 1)
            assert (
                router.ask("full", b"x" * 600).error == "the requests that are in graphs hold too many bytes"
            )
            held.append(pool.submit(router.ask, "full", b"x"))
            until(lambda: len(slow.seen) == 2)
            refused = router.ask("full", b"x")
            assert (refused.status, refused.error) == (503, "2 requests are in graphs, no more can")
            release.set()
            assert [each.result().status for each in held] == [200, 200]
    finally:
        release.set()
        router.stop()
