"""The gateway as a pod has it: another domain, TLS in front, the platform's routes from a file."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from millpond_gateway import PASSWORD, USER, Gateway, Upstream

from millpond.gateway import static
from millpond.gateway.client import GatewayError
from millpond.gateway.clusters import clusters
from millpond.gateway.routes import RouteError, RouteTable
from millpond.model.errors import MillpondError


@pytest.fixture(scope="module")
def in_a_pod(
    gateway_python: Path, tmp_path_factory: pytest.TempPathFactory, upstream: Upstream
) -> Iterator[Gateway]:
    """A gateway for data.example.org behind TLS, whose routes a file says."""
    folder = tmp_path_factory.mktemp("pod")
    routes = folder / "routes.json"
    credentials = {"username_env": "UPSTREAM_USER", "password_env": "UPSTREAM_PASSWORD"}
    found = {
        "routes": [
            {"host": "mlflow", "upstreams": [{"address": upstream.address}], "credentials": credentials},
            {
                "host": "docs",
                "upstreams": [{"address": upstream.address.replace("127.0.0.1", "localhost")}],
                "sign_in": False,
            },
        ]
    }
    routes.write_text(json.dumps(found))
    gateway = Gateway(gateway_python, folder)
    gateway.environment |= {
        "MILLPOND_GATEWAY_DOMAIN": "data.example.org",
        "MILLPOND_GATEWAY_BIND": "0.0.0.0",
        "MILLPOND_GATEWAY_HTTPS": "true",
        "MILLPOND_GATEWAY_ROUTES": str(routes),
        "UPSTREAM_USER": "keeper",
        "UPSTREAM_PASSWORD": 'quo"te: $(X)',
    }
    try:
        gateway.start()
        yield gateway
    finally:
        gateway.stop()


def get(gateway: Gateway, host: str, path: str = "/", **options) -> requests.Response:
    headers = {"host": host, **options.pop("headers", {})}
    return requests.get(
        f"http://127.0.0.1:{gateway.port}{path}",
        headers=headers,
        allow_redirects=False,
        timeout=10,
        **options,
    )


def test_hosts_are_names_of_the_domain(in_a_pod: Gateway) -> None:
    seen = get(in_a_pod, "docs.data.example.org").json()["headers"]
    assert seen["x-forwarded-proto"] == "https", "or an application would write links that lead nowhere"
    assert get(in_a_pod, "docs.localhost").status_code == 421
    assert get(in_a_pod, "data.example.com").status_code == 421
    unknown = get(in_a_pod, "nothing.data.example.org")
    assert unknown.status_code == 404
    assert unknown.json()["known"] == ["https://docs.data.example.org", "https://mlflow.data.example.org"]


def test_the_sign_in_leads_over_https_and_back(in_a_pod: Gateway) -> None:
    asked = get(in_a_pod, "mlflow.data.example.org", "/a", headers={"accept": "text/html"})
    assert asked.status_code == 302
    assert asked.headers["location"].startswith(
        "https://gateway.data.example.org/sign-in?next=https%3A%2F%2Fmlflow.data.example.org%2Fa"
    )
    signed = requests.post(
        f"http://127.0.0.1:{in_a_pod.port}/sign-in",
        headers={"host": "gateway.data.example.org", "origin": "https://gateway.data.example.org"},
        data={"user": USER, "password": PASSWORD, "next": "https://mlflow.data.example.org/a"},
        allow_redirects=False,
        timeout=10,
    )
    assert signed.status_code == 303
    assert "Secure" in signed.headers["set-cookie"]
    ticket = signed.headers["location"].removeprefix("https://mlflow.data.example.org")
    session = get(in_a_pod, "mlflow.data.example.org", ticket)
    assert session.headers["location"] == "https://mlflow.data.example.org/a"
    cookie = session.headers["set-cookie"].partition(";")[0]
    seen = get(in_a_pod, "mlflow.data.example.org", "/a", headers={"cookie": cookie}).json()
    expected = base64.b64encode(b'keeper:quo"te: $(X)').decode()
    assert seen["headers"]["authorization"] == f"Basic {expected}"


def test_what_a_file_says_nobody_puts_and_others_put_theirs(in_a_pod: Gateway, upstream: Upstream) -> None:
    with pytest.raises(GatewayError, match="come from a file"):
        in_a_pod.client.put_routes("platform", [])
    urls = in_a_pod.client.put_routes(
        "flights", [{"host": "flights", "upstreams": [{"address": upstream.address}], "sign_in": False}]
    )
    assert urls == ["https://flights.data.example.org"]
    assert get(in_a_pod, "flights.data.example.org").status_code == 200
    in_a_pod.client.delete_routes("flights")


def test_a_wrong_file_is_told_with_its_place(in_a_pod: Gateway, tmp_path: Path) -> None:
    wrong = tmp_path / "routes.json"
    wrong.write_text('{"routes": [{"host": "mlflow", "upstreams": [], "sign_in": false}]}')
    environment = {**in_a_pod.environment, "MILLPOND_GATEWAY_ROUTES": str(wrong)}
    command = in_a_pod.command("prepare")
    command[command.index("--data") + 1] = str(tmp_path / "data")
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 1
    assert "routes[0] (mlflow): upstreams is not a list of at least one" in ended.stderr


def test_a_name_is_looked_up_by_envoy(tmp_path: Path) -> None:
    file = tmp_path / "routes.json"
    file.write_text('{"routes": [{"host": "mlflow", "upstreams": [{"address": "mlflow.demo.svc:5000"}]}]}')
    routes = static.read({"MILLPOND_GATEWAY_ROUTES": str(file)})
    assert routes is not None
    (cluster,) = clusters(RouteTable({static.OWNER: routes}))
    assert cluster["type"] == "STRICT_DNS"


@pytest.mark.parametrize(
    ("pair", "reason"),
    [
        ({"username": "a"}, "one of password and password_env"),
        ({"username": "a", "password": "b", "password_env": "C"}, "one of password and password_env"),
        ({"username": "a", "password_env": "NOT_SET"}, "NOT_SET is not set"),
        ({"user": "a"}, "unknown key 'user'"),
        ({"username": "a:b", "password": "c"}, "no colon"),
    ],
)
def test_a_pair_that_makes_no_header_is_refused(tmp_path: Path, pair: dict[str, str], reason: str) -> None:
    file = tmp_path / "routes.json"
    route = {"host": "mlflow", "upstreams": [{"address": "mlflow:5000"}], "credentials": pair}
    file.write_text(json.dumps({"routes": [route]}))
    with pytest.raises(RouteError, match=reason):
        static.read({"MILLPOND_GATEWAY_ROUTES": str(file)})


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MillpondError, match="is not there"):
        static.read({"MILLPOND_GATEWAY_ROUTES": str(tmp_path / "routes.json")})
    assert static.read({}) is None, "without the variable the platform's routes are put"
