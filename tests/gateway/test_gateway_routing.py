"""What reaches which upstream, through a real Envoy."""

from __future__ import annotations

import json
import socket
from collections import Counter
from pathlib import Path

import pytest
import requests
from millpond_gateway import Gateway, Upstream, wait_until

from millpond.gateway.client import GatewayClient, GatewayError


def open_route(host: str, upstream: Upstream, **more: object) -> dict[str, object]:
    return {"host": host, "upstreams": [{"address": upstream.address}], "sign_in": False, **more}


def test_a_host_leads_to_its_upstream_and_the_host_header_stays(gateway: Gateway, upstream: Upstream) -> None:
    urls = gateway.client.put_routes("flights", [open_route("flights", upstream)])
    assert urls == [f"http://flights.localhost:{gateway.port}"]
    found = gateway.request("flights", "/v2/models/flights/infer?x=1", "POST", data=b"{}").json()
    assert (found["method"], found["path"]) == ("POST", "/v2/models/flights/infer?x=1")
    assert found["headers"]["host"] == f"flights.localhost:{gateway.port}"
    assert found["headers"]["x-request-id"]


def test_the_listener_also_answers_on_the_other_loopback(gateway: Gateway, upstream: Upstream) -> None:
    gateway.client.put_routes("flights", [open_route("flights", upstream)])
    found = requests.get(f"http://[::1]:{gateway.port}/", headers={"host": "flights.localhost"}, timeout=5)
    assert found.json()["upstream"] == "first"


def test_a_name_that_nothing_has_lists_those_that_are_there(gateway: Gateway, upstream: Upstream) -> None:
    gateway.client.put_routes("flights", [open_route("flights", upstream)])
    found = gateway.request("flihgts")
    assert found.status_code == 404
    assert found.json()["known"] == [gateway.origin("flights")]
    page = gateway.request("flihgts", headers={"accept": "text/html"})
    assert page.status_code == 404
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert gateway.origin("flights") in page.text


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "pond.example.com", "flights.localhost.example.com", "localhost.evil"]
)
def test_a_foreign_name_learns_nothing(gateway: Gateway, upstream: Upstream, host: str) -> None:
    gateway.client.put_routes("flights", [open_route("flights", upstream)])
    found = requests.get(f"http://127.0.0.1:{gateway.port}/", headers={"host": host}, timeout=5)
    assert found.status_code == 421
    assert "flights" not in found.text


def test_paths_match_whole_segments_and_the_longest_wins(
    gateway: Gateway, upstream: Upstream, second_upstream: Upstream
) -> None:
    gateway.client.put_routes(
        "serving",
        [
            open_route("serving", upstream, paths=["/v2/models/a"]),
            open_route("serving", second_upstream, paths=["/v2/models/a/versions", "/v2/models/b"]),
        ],
    )
    assert gateway.request("serving", "/v2/models/a/infer").json()["upstream"] == "first"
    assert gateway.request("serving", "/v2/models/a/versions/1").json()["upstream"] == "second"
    assert gateway.request("serving", "/v2/models/ab").status_code == 404


@pytest.mark.parametrize(
    ("rewrite", "asked", "got"),
    [
        ("/", "/v2/models/a/infer?q=1", "/infer?q=1"),
        ("/", "/v2/models/a", "/"),
        ("/v2/models/b", "/v2/models/a/infer", "/v2/models/b/infer"),
    ],
)
def test_a_rewrite_replaces_the_matched_prefix(
    gateway: Gateway, upstream: Upstream, rewrite: str, asked: str, got: str
) -> None:
    gateway.client.put_routes("x", [open_route("x", upstream, paths=["/v2/models/a"], rewrite=rewrite)])
    assert gateway.request("x", asked).json()["path"] == got


def test_weights_split_the_traffic(gateway: Gateway, upstream: Upstream, second_upstream: Upstream) -> None:
    parts = [
        {"address": upstream.address, "weight": 80},
        {"address": second_upstream.address, "weight": 20},
    ]
    gateway.client.put_routes("canary", [{"host": "canary", "upstreams": parts, "sign_in": False}])
    with requests.Session() as session:
        seen = Counter(gateway.request("canary", session=session).json()["upstream"] for _ in range(300))
    assert seen["first"] > 180
    assert seen["second"] > 20
    parts[1]["weight"] = 0
    gateway.client.put_routes("canary", [{"host": "canary", "upstreams": parts, "sign_in": False}])
    assert {gateway.request("canary").json()["upstream"] for _ in range(20)} == {"first"}


def test_what_only_the_gateway_may_say_is_removed(gateway: Gateway, upstream: Upstream) -> None:
    gateway.client.put_routes("x", [open_route("x", upstream)])
    forged = {
        "x-millpond-user": "somebody",
        "X-Millpond-Other": "1",
        "x-envoy-retry-on": "5xx",
        "x-envoy-auth-headers-to-remove": "host",
        "x-forwarded-for": "203.0.113.9",
        "x-forwarded-host": "evil.example",
        "x-kept": "yes",
    }
    found = gateway.request("x", headers=forged).json()["headers"]
    assert found["x-kept"] == "yes"
    # Envoy's own word for whom it talks to is the one that may be there.
    own = {name for name in found if name.startswith(("x-millpond-", "x-envoy-"))}
    assert own <= {"x-envoy-external-address"}
    assert {"x-forwarded-for", "x-forwarded-host"} & set(found) == set()
    assert found["x-forwarded-proto"] == "http"


def test_a_large_upload_streams_through(gateway: Gateway, upstream: Upstream) -> None:
    gateway.client.put_routes("x", [open_route("x", upstream)])
    size = 64 << 20
    found = gateway.request("x", "/artifacts", "PUT", data=bytes(size))
    assert found.status_code == 200
    assert found.json()["size"] == size


def test_an_upstream_that_is_not_there_is_named(gateway: Gateway) -> None:
    gateway.client.put_routes(
        "gone", [{"host": "gone", "upstreams": [{"address": "127.0.0.1:9"}], "sign_in": False}]
    )
    found = gateway.request("gone")
    assert found.status_code == 503
    assert found.json()["error"] == f"gone.localhost:{gateway.port} is not answering"
    page = gateway.request("gone", headers={"accept": "text/html"})
    assert "This part is not answering" in page.text


def test_a_path_of_another_owners_host_is_refused_by_name(gateway: Gateway, upstream: Upstream) -> None:
    gateway.client.put_routes("mlflow", [open_route("mlflow", upstream)])
    with pytest.raises(GatewayError, match="already mlflow's, so flights cannot have it") as refusal:
        gateway.client.put_routes("flights", [open_route("mlflow", upstream, paths=["/x"])])
    assert refusal.value.status == 409
    assert list(gateway.client.routes()) == ["mlflow"]


def test_header_values_are_shown_to_nobody_and_kept_for_the_owner_alone(
    gateway: Gateway, upstream: Upstream
) -> None:
    route = open_route("mlflow", upstream, headers={"authorization": "Basic c2VjcmV0"}) | {"sign_in": True}
    gateway.client.put_routes("mlflow", [route])
    assert gateway.client.routes()["mlflow"][0]["headers"] == {"authorization": "***"}
    kept = gateway.folder / "data/routes.json"
    assert "c2VjcmV0" in kept.read_text()
    assert kept.stat().st_mode & 0o777 == 0o600
    others = [path for path in gateway.folder.rglob("*") if path.is_file() and path != kept]
    assert not [path for path in others if b"c2VjcmV0" in path.read_bytes()]


def test_the_interface_asks_for_its_token(gateway: Gateway) -> None:
    stranger = GatewayClient(gateway.api, "guess", gateway.client.url)
    with pytest.raises(GatewayError, match="needs its token") as refusal:
        stranger.put_routes("x", [])
    assert refusal.value.status == 401
    for path in ("routes", "statistics"):
        assert requests.get(f"{gateway.api}/{path}", timeout=5).status_code == 401
    # And it is on the agent's own port, not behind the gateway.
    assert gateway.request("gateway", "/routes").status_code == 404


def test_the_environment_names_the_gateway() -> None:
    with pytest.raises(GatewayError, match="MILLPOND_GATEWAY_TOKEN"):
        GatewayClient.from_env({"MILLPOND_GATEWAY_API": "http://127.0.0.1:1"})
    with pytest.raises(GatewayError, match="does not answer"):
        GatewayClient("http://127.0.0.1:9", "x", "http://localhost:9").routes()


def test_the_access_log_has_no_query_and_no_secret(gateway: Gateway, upstream: Upstream) -> None:
    gateway.client.put_routes("logged", [open_route("logged", upstream)])
    headers = {"authorization": "Bearer hush-hush", "cookie": "a=hush-hush"}
    gateway.request("logged", "/a/path?ticket=hush-hush", headers=headers)
    log = gateway.folder / "envoy.log"

    def lines() -> list[str]:
        return [line for line in log.read_text().splitlines() if '"logged.localhost' in line]

    wait_until(lambda: bool(lines()), 10, "the request is logged")
    entry = json.loads(lines()[0])
    assert (entry["path"], entry["status"], entry["upstream"]) == ("/a/path", 200, upstream.address)
    assert "hush-hush" not in log.read_text()


def test_bytes_of_a_web_socket_pass_both_ways(gateway: Gateway, upstream: Upstream) -> None:
    gateway.client.put_routes("notebook", [open_route("notebook", upstream)])
    status, echoed = web_socket(gateway, "notebook", {})
    assert status == 101
    assert echoed == b"hello"


def web_socket(gateway: Gateway, host: str, headers: dict[str, str]) -> tuple[int, bytes]:
    lines = {
        "host": f"{host}.localhost:{gateway.port}",
        "connection": "Upgrade",
        "upgrade": "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
        **headers,
    }
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=5) as connection:
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        connection.sendall(f"GET /socket HTTP/1.1\r\n{head}\r\n".encode())
        file = connection.makefile("rb")
        status = int(file.readline().split()[1])
        while file.readline().strip():
            pass
        if status != 101:
            return status, b""
        connection.sendall(b"hello")
        return status, file.read(5)


def test_the_files_of_the_agent_are_the_owners_alone(gateway: Gateway) -> None:
    data = gateway.folder / "data"
    assert data.stat().st_mode & 0o777 == 0o700
    loose = [path for path in Path(data).rglob("*") if not path.is_dir() and path.stat().st_mode & 0o077]
    assert loose == []
