"""Routes change while requests run; either half of the gateway may go and come back."""

from __future__ import annotations

import json
import os
import threading
import time

import pytest
import requests
from millpond_gateway import PASSWORD, USER, Gateway, Upstream, wait_until

from millpond.gateway.client import GatewayError


def route(host: str, *addresses: str, **more: object) -> dict[str, object]:
    upstreams = [{"address": address} for address in addresses]
    return {"host": host, "upstreams": upstreams, "sign_in": False, **more}


class Load:
    """Clients that predict without a pause, and what they were answered."""

    def __init__(self, gateway: Gateway, host: str, count: int = 4) -> None:
        self.failures: list[str] = []
        self.answers: list[str] = []
        self._gateway, self._host = gateway, host
        self._stop = threading.Event()
        self._askers = [threading.Thread(target=self._ask) for _ in range(count)]

    def _ask(self) -> None:
        with requests.Session() as session:
            while not self._stop.is_set():
                try:
                    found = self._gateway.request(self._host, "/predict", "POST", data=b"{}", session=session)
                    session.cookies.clear()
                    if found.status_code == 200:
                        self.answers.append(found.json()["upstream"])
                    else:
                        self.failures.append(f"{found.status_code} {found.text[:200]}")
                except requests.RequestException as error:
                    self.failures.append(repr(error))

    def __enter__(self) -> Load:
        for asker in self._askers:
            asker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for asker in self._askers:
            asker.join()

    def goes_on(self, requests: int = 20) -> None:
        """Wait until so many more are answered."""
        before = len(self.answers)
        wait_until(lambda: len(self.answers) >= before + requests, 20, "requests go on")


def test_twenty_reloads_lose_no_request(
    gateway: Gateway, upstream: Upstream, second_upstream: Upstream
) -> None:
    gateway.client.put_routes("flights", [route("flights", upstream.address)])
    longest = 0.0
    with Load(gateway, "flights") as load:
        for turn in range(20):
            address = (second_upstream if turn % 2 == 0 else upstream).address
            before = time.monotonic()
            gateway.client.put_routes("flights", [route("flights", address)])
            longest = max(longest, time.monotonic() - before)
            # From the moment the call returns, the new upstream answers.
            name = "second" if turn % 2 == 0 else "first"
            assert gateway.request("flights").json()["upstream"] == name
    assert load.failures == []
    assert {"first", "second"} <= set(load.answers)
    assert longest < 2.0


def test_replicas_come_and_go_without_a_lost_request(gateway: Gateway) -> None:
    kept = Upstream("kept")
    gateway.client.put_routes("scaled", [route("scaled", kept.address)])
    with Load(gateway, "scaled") as load:
        for turn in range(8):
            added = [Upstream(f"added-{turn}-{index}") for index in range(1 + turn % 2)]
            addresses = [kept.address, *(replica.address for replica in added)]
            several = {"addresses": addresses, "name": "scaled-1"}
            gateway.client.put_routes("scaled", [route("scaled") | {"upstreams": [several]}])
            load.goes_on()
            gateway.client.put_routes("scaled", [route("scaled", kept.address)])
            for replica in added:
                # As a process that is asked to stop: nothing new, and what is under way is finished.
                replica.shutdown()
                replica.server_close()
            load.goes_on()
    assert load.failures == []
    assert {name.partition("-")[0] for name in load.answers} == {"kept", "added"}
    kept.shutdown()
    kept.server_close()


def test_every_kind_of_change_loses_no_request(
    gateway: Gateway, upstream: Upstream, second_upstream: Upstream
) -> None:
    one, two = ({"address": found.address} for found in (upstream, second_upstream))
    halves = [{**one, "weight": 95}, {**two, "weight": 5}]
    kinds: list[list[dict[str, object]]] = [
        [route("flights", upstream.address)],
        [route("flights", upstream.address, mirrors=[{**two, "percent": 100}])],
        [route("flights") | {"upstreams": halves, "sticky": {"cookie": "arm"}}],
        [route("flights") | {"upstreams": halves[::-1]}],
        [
            route("flights", upstream.address),
            route("flights", second_upstream.address, when={"header": "x-a"}),
        ],
        [route("flights", second_upstream.address, timeout=5, max_body=1000)],
        [route("flights") | {"upstreams": [{"addresses": [upstream.address, second_upstream.address]}]}],
        [route("flights") | {"upstreams": [{**one, "name": "flights-1"}]}],
    ]
    gateway.client.put_routes("flights", kinds[0])
    with Load(gateway, "flights") as load:
        for turn in range(24):
            gateway.client.put_routes("flights", kinds[turn * 3 % len(kinds)])
            load.goes_on(5)
    assert load.failures == []


def test_a_removed_replica_finishes_its_requests(
    gateway: Gateway, upstream: Upstream, second_upstream: Upstream
) -> None:
    both = [{"addresses": [upstream.address, second_upstream.address]}]
    gateway.client.put_routes("slow", [route("slow") | {"upstreams": both}])
    found: list[tuple[int, str]] = []

    def ask() -> None:
        answer = gateway.request("slow", "/slow", "POST", data=b"{}")
        found.append((answer.status_code, answer.json()["upstream"]))

    upstream.seen.clear()
    second_upstream.seen.clear()
    askers = [threading.Thread(target=ask) for _ in range(8)]
    for asker in askers:
        asker.start()
    wait_until(lambda: len(upstream.seen) + len(second_upstream.seen) == 8, 5, "all are under way")
    gateway.client.put_routes("slow", [route("slow", second_upstream.address)])
    assert gateway.request("slow").json()["upstream"] == "second"
    assert len(found) < 8
    for asker in askers:
        asker.join()
    assert [status for status, _ in found] == [200] * 8
    assert {name for _, name in found} == {"first", "second"}


def test_a_request_outlives_its_route(gateway: Gateway, upstream: Upstream) -> None:
    gateway.client.put_routes("slow", [route("slow", upstream.address)])
    found: list[int] = []
    asker = threading.Thread(target=lambda: found.append(gateway.request("slow", "/slow").status_code))
    asker.start()
    time.sleep(0.3)  # it has to be under way; the upstream answers after a second
    gateway.client.delete_routes("slow")
    assert gateway.request("slow").status_code == 404
    asker.join()
    assert found == [200]


def test_the_same_routes_again_change_nothing(gateway: Gateway, upstream: Upstream) -> None:
    gateway.client.put_routes("x", [route("x", upstream.address)])
    file = gateway.folder / "data/xds/rds/rds.json"
    before = file.stat().st_mtime_ns
    gateway.client.put_routes("x", [route("x", upstream.address)])
    assert file.stat().st_mtime_ns == before


@pytest.mark.slow
def test_what_envoy_refuses_changes_nothing_and_says_why(gateway: Gateway, upstream: Upstream) -> None:
    gateway.client.put_routes("good", [route("good", upstream.address)])
    many = [
        {"address": f"127.0.0.1:{20000 + turn}", "weight": 1_000_000} for turn in range(4300)
    ]  # more weight in all than Envoy can hold
    with pytest.raises(GatewayError, match=r"Envoy refused the new routes: The sum of weights") as refusal:
        gateway.client.put_routes("heavy", [{"host": "heavy", "upstreams": many, "sign_in": False}])
    assert refusal.value.status == 422
    assert gateway.request("good").status_code == 200
    assert gateway.request("heavy").status_code == 404
    assert list(gateway.client.routes()) == ["good"]
    assert "heavy" not in (gateway.folder / "data/routes.json").read_text()
    gateway.client.put_routes("next", [route("next", upstream.address)])
    assert gateway.request("next").status_code == 200


@pytest.mark.slow
def test_without_the_agent_open_routes_go_on_and_the_others_are_shut(
    own_gateway: Gateway, upstream: Upstream
) -> None:
    gateway = own_gateway
    gateway.client.put_routes(
        "both", [route("open", upstream.address), route("shut", upstream.address, sign_in=True)]
    )
    assert gateway.request("shut", auth=(USER, PASSWORD)).status_code == 200
    gateway.kill("agent")
    assert gateway.request("open").status_code == 200
    shut = gateway.request("shut", auth=(USER, PASSWORD))
    assert shut.status_code == 503
    assert "millpond status" in shut.text
    gateway.start_agent()
    assert gateway.request("shut", auth=(USER, PASSWORD)).status_code == 200
    assert list(gateway.client.routes()) == ["both"]


@pytest.mark.slow
def test_routes_outlive_both_halves(own_gateway: Gateway, upstream: Upstream) -> None:
    gateway = own_gateway
    gateway.client.put_routes("kept", [route("kept", upstream.address)])
    gateway.kill("envoy")
    gateway.start_envoy()
    gateway.wait()
    assert gateway.request("kept").status_code == 200
    gateway.kill("agent")
    gateway.kill("envoy")
    gateway.start()
    assert gateway.request("kept").status_code == 200
    gateway.client.put_routes("more", [route("more", upstream.address)])
    assert gateway.request("more").status_code == 200


@pytest.mark.slow
def test_without_envoy_a_change_is_refused(own_gateway: Gateway, upstream: Upstream) -> None:
    own_gateway.kill("envoy")
    with pytest.raises(GatewayError, match="Envoy is not running") as refusal:
        own_gateway.client.put_routes("x", [route("x", upstream.address)])
    assert refusal.value.status == 503
    assert own_gateway.client.routes() == {}


@pytest.mark.slow
def test_preparing_again_leaves_a_running_gateway_alone(own_gateway: Gateway, upstream: Upstream) -> None:
    gateway = own_gateway
    gateway.client.put_routes("kept", [route("kept", upstream.address)])
    listener = (gateway.folder / "data/xds/lds/lds.json").read_text()
    gateway.prepare()
    assert (gateway.folder / "data/xds/lds/lds.json").read_text() == listener
    assert gateway.request("kept").status_code == 200


@pytest.mark.slow
def test_a_long_path_moves_the_sockets_aside(gateway_python, tmp_path, upstream: Upstream) -> None:
    folder = tmp_path / ("long-" * 20)
    folder.mkdir()
    gateway = Gateway(gateway_python, folder)
    try:
        gateway.start()
        gateway.client.put_routes("x", [route("x", upstream.address, sign_in=True)])
        assert gateway.request("x", auth=(USER, PASSWORD)).status_code == 200
        boot = json.loads((folder / "data/envoy.json").read_text())
        socket = boot["admin"]["address"]["pipe"]["path"]
        assert len(socket) <= 100
        assert os.stat(os.path.dirname(socket)).st_mode & 0o777 == 0o700
    finally:
        gateway.stop()
    assert not os.path.exists(os.path.dirname(socket))


def test_routes_that_cannot_be_kept_are_not_served(gateway: Gateway, upstream: Upstream) -> None:
    gateway.client.put_routes("kept", [route("kept", upstream.address)])
    obstacle = gateway.folder / "data/.routes.json.new"
    obstacle.mkdir()
    try:
        with pytest.raises(GatewayError, match="cannot write its files") as refusal:
            gateway.client.put_routes("lost", [route("lost", upstream.address)])
    finally:
        obstacle.rmdir()
    assert refusal.value.status == 507
    wait_until(lambda: gateway.request("lost").status_code == 404, 5, "the route is gone again")
    assert gateway.request("kept").status_code == 200
    assert list(gateway.client.routes()) == ["kept"]
