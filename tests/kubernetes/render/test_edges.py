"""The network has the wiring's edges and no others: the policies against what processes here are told."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from millpond.catalogue import Catalogue
from millpond.model.platform import Platform
from millpond.model.scope import bound
from millpond.targets.kubernetes.bundle import Bundle
from millpond.targets.kubernetes.render import render
from millpond.targets.local.house import House
from millpond.targets.local.workspace import Workspace

from .conftest import FLAVOURS, STARTER, resolved

INSTANCE = "app.kubernetes.io/instance"


def policies(bundle: Bundle) -> dict[str, set[tuple[str, str, int]]]:
    """What NetworkPolicies open between two components, as (from, to, port), seen from either end."""
    found: dict[str, set[tuple[str, str, int]]] = {"ingress": set(), "egress": set()}
    for policy in (each for each in bundle if each["kind"] == "NetworkPolicy"):
        own = policy["spec"]["podSelector"]["matchLabels"].get(INSTANCE)
        for way, peers in (("ingress", "from"), ("egress", "to")):
            for rule in policy["spec"].get(way, []):
                for peer in rule.get(peers, []):
                    other = peer.get("podSelector", {}).get("matchLabels", {}).get(INSTANCE)
                    if other is None or other == own:
                        continue
                    pair = (other, own) if way == "ingress" else (own, other)
                    found[way] |= {(*pair, port["port"]) for port in rule["ports"]}
    return found


def told_here(platform: Platform, catalogue: Catalogue, folder: Path) -> set[tuple[str, str]]:
    """Who is told where whom to find, read from the texts that processes on this machine get."""
    house = House(platform, catalogue, Workspace(folder))
    owners = {
        str(number): name for name, state in house.state.nodes.items() for number in state.ports.values()
    }
    found = set()
    for name, node in platform.nodes.items():
        for binding in node.bindings.values():
            for key in platform.interfaces[binding.interface].properties:
                text = house.realiser.text(bound(platform, name, binding, key))
                found |= {(name, owners[word]) for word in re.findall(r"\d+", text) if word in owners}
    return {(asker, provider) for asker, provider in found if asker != provider}


def opened(platform: Platform) -> Iterator[tuple[str, str]]:
    """The gateway leads to each component that a browser opens."""
    for entrance, _ in platform.providers("gateway"):
        for name, node in platform.nodes.items():
            if node.component.service.open and name != entrance:
                yield entrance, name


def check(folder: Path, flavour: dict[str, Any]) -> None:
    platform, catalogue = resolved(folder, flavour)
    found = policies(render(platform, catalogue))
    assert found["ingress"] == found["egress"]
    edges = {(source, target) for source, target, _ in found["ingress"]}
    assert edges == told_here(platform, catalogue, folder) | set(opened(platform))


@pytest.mark.parametrize("name", ["starter", "no gateway", "ingress"])
def test_policies_open_what_processes_here_are_told_of(name: str, tmp_path: Path) -> None:
    check(tmp_path, yaml.safe_load(FLAVOURS[name]))


@pytest.mark.parametrize("seed", range(20))
def test_policies_of_platforms_that_nobody_thought_of(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    needs: dict[str, list[str]] = {}
    for number in range(8):
        earlier = list(needs)
        needs[f"p{number}"] = chance.sample(earlier, k=min(len(earlier), chance.choice([0, 1, 2, 3])))
    for name, others in needs.items():
        folder = tmp_path / "parts" / name
        folder.mkdir(parents=True)
        # Some tell their own address, some pass on that of who they got theirs from.
        host = (
            "${endpoints.http.host}" if not others or chance.random() < 0.7 else f"${{on_{others[0]}.host}}"
        )
        port = host.replace("host", "port")
        document = {
            "name": name,
            "summary": "A part",
            "version": "1",
            "licence": "none",
            "requires": {f"on_{other}": {"interface": "postgres"} for other in others},
            "provides": {
                "sql": {
                    "interface": "postgres",
                    "host": host,
                    "port": port,
                    "database": "x",
                    "username": "x",
                    "password": "${secrets.own}",
                }
            },
            "service": {"secrets": {"own": {}}, "ports": {"http": 21000}, "command": ["true"]},
        }
        (folder / "component.yaml").write_text(yaml.safe_dump(document))
    components = {
        name: {"uses": {f"on_{other}": other for other in others}} for name, others in needs.items()
    }
    check(tmp_path, {"name": "random", "catalogue": ["parts"], "components": components})


def test_everything_else_is_closed(tmp_path: Path) -> None:
    """One policy takes every pod of the platform, opens nothing inwards, and outwards names alone."""
    platform, catalogue = resolved(tmp_path, STARTER)
    closed = next(
        each
        for each in render(platform, catalogue)
        if each["kind"] == "NetworkPolicy" and INSTANCE not in each["spec"]["podSelector"]["matchLabels"]
    )
    assert closed["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in closed["spec"]
    assert {port["port"] for rule in closed["spec"]["egress"] for port in rule["ports"]} == {53}
    for found in render(platform, catalogue):
        template = found.get("spec", {}).get("template")
        if template:
            selector = closed["spec"]["podSelector"]["matchLabels"].items()
            assert selector <= template["metadata"]["labels"].items()


def test_a_service_of_ones_own_is_reached_on_its_port(tmp_path: Path) -> None:
    platform, catalogue = resolved(tmp_path, FLAVOURS["own services"])
    bundle = render(platform, catalogue)
    policy = next(p for p in bundle if p["kind"] == "NetworkPolicy" and p["metadata"]["name"] == "mlflow")
    ports = {port["port"] for rule in policy["spec"]["egress"] for port in rule.get("ports", [])}
    assert ports == {443, 5432}


def test_the_flavour_may_leave_the_network_open(tmp_path: Path) -> None:
    platform, catalogue = resolved(tmp_path, STARTER + "kubernetes: {network_policies: false}\n")
    assert not [each for each in render(platform, catalogue) if each["kind"] == "NetworkPolicy"]
