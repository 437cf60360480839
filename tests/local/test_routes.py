"""What the gateway is told: where the components listen that a browser opens, and when."""

from __future__ import annotations

import json

from millpond.model.events import Phase

from .conftest import Project


def _routes(project: Project) -> dict[str, str]:
    told = json.loads(project.data("gate", "routes"))["routes"]
    return {route["host"]: route["upstreams"][0]["address"] for route in told}


def _address(project: Project, name: str) -> str:
    return f"127.0.0.1:{project.port(name)}"


def test_routes_follow_the_flavour_without_a_restart_of_the_gateway(project: Project) -> None:
    project.flavour("gate", "ledger").up()
    assert _routes(project) == {"ledger": _address(project, "ledger")}
    gate = project.pids()["gate"]

    project.flavour("gate", "ledger", "shop")
    assert not project.target().plan().empty
    project.up()
    assert _routes(project) == {name: _address(project, name) for name in ("ledger", "shop")}
    assert project.target().plan().empty

    project.up(new_ports=["ledger"])
    assert _routes(project)["ledger"] == _address(project, "ledger")

    project.flavour("gate", "ledger").up()
    assert set(_routes(project)) == {"ledger"}
    assert project.pids()["gate"] == gate


def test_a_gateway_that_refuses_is_told_again(project: Project) -> None:
    project.flavour("gate", "ledger").up()
    closed = project.workspace.data("gate") / "closed"
    closed.touch()
    came = project.flavour("gate", "ledger", "shop").try_up()
    assert came.ends == {"gate": Phase.FAILED, "ledger": Phase.READY, "shop": Phase.READY} or came.ends == {
        "gate": Phase.FAILED, "ledger": Phase.KEPT, "shop": Phase.READY
    }  # fmt: skip
    assert came.end("gate").message == "gate refuses the platform's routes: the gate is rusty"
    closed.unlink()
    assert not project.target().plan().empty
    project.up()
    assert set(_routes(project)) == {"ledger", "shop"}
    assert project.target().plan().empty


def test_addresses_go_through_the_gateway(project: Project) -> None:
    project.flavour("gate", "ledger").up()
    public = project.port("gate", "public")
    target = project.target()
    assert target.url("ledger") == f"http://ledger.localhost:{public}/"
    assert target.url("gate") == f"http://localhost:{public}/"
    assert project.flavour("ledger").target().url("ledger") == f"http://127.0.0.1:{project.port('ledger')}/"


def test_the_gateway_is_told_without_the_machines_proxy(project: Project) -> None:
    nowhere = "http://127.0.0.1:9"
    done = project.flavour("gate", "ledger").run("up", "--yes", http_proxy=nowhere, HTTP_PROXY=nowhere)
    assert done.returncode == 0, done.stderr
    assert _routes(project) == {"ledger": _address(project, "ledger")}
