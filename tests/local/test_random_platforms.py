"""Platforms that nobody thought of: random graphs of components, brought up, edited and brought up again."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest
import yaml

from .conftest import CATALOGUE, Project


def _component(folder: Path, name: str, needs: list[str]) -> None:
    """A component that needs the named ones; its wiring is given by the flavour."""
    (folder / name).mkdir(parents=True)
    document: dict[str, Any] = {
        "name": name,
        "summary": "A part",
        "version": "1",
        "licence": "none",
        "options": {
            "word": {"type": "string", "default": "a", "help": "A word"},
            "delay": {"type": "number", "default": 0, "help": "Seconds"},
        },
        "requires": {f"on_{other}": {"interface": "postgres"} for other in needs},
        "provides": {
            "sql": {
                "interface": "postgres",
                "host": "${endpoints.http.host}",
                "port": "${endpoints.http.port}",
                "database": "x",
                "username": "${options.word}",
                "password": "${secrets.own}",
            }
        },
        "service": {
            "secrets": {"own": {}},
            "ports": {"http": 20600},
            "env": {
                "WORD": "${options.word}",
                "DELAY": "${options.delay}",
                **{f"ON_{other.upper()}": f"${{on_{other}.username}}" for other in needs},
            },
            "command": ["python", "-S", "-E", str(CATALOGUE / "server.py"), "${ports.http}"],
            "ready": {"http": "/", "interval": 0.02},
            "stop": {"timeout": 2},
        },
    }
    (folder / name / "component.yaml").write_text(yaml.safe_dump(document))


class _World:
    """A random graph, and what is chosen of it."""

    def __init__(self, project: Project, seed: int) -> None:
        self.chance = random.Random(seed)
        self.project = project
        project.catalogue = ["parts"]
        self.needs: dict[str, list[str]] = {}
        for number in range(6):
            earlier = list(self.needs)
            needs = self.chance.sample(earlier, k=min(len(earlier), self.chance.choice([0, 1, 1, 2])))
            self.needs[f"p{number}"] = needs
            _component(project.folder / "parts", f"p{number}", needs)
        self.words = dict.fromkeys(self.needs, "a")
        self.chosen = list(self.needs)
        self.chance.shuffle(self.chosen)

    def write(self) -> None:
        self.project.flavour(
            **{
                name: {
                    "word": self.words[name],
                    "delay": self.chance_delay(name),
                    "uses": {f"on_{other}": other for other in self.needs[name]},
                }
                for name in self.chosen
            }
        )

    def chance_delay(self, name: str) -> float:
        return (int(name[1:]) * 7 % 3) / 20

    def edit(self) -> tuple[set[str], set[str]]:
        """Change words, and let one leave that nobody needs; returns who restarts and who stops."""
        changed = set(self.chance.sample(self.chosen, k=2))
        for name in changed:
            self.words[name] += "b"
        leaves = [
            name
            for name in self.chosen
            if not any(name in self.needs[other] for other in self.chosen) and len(self.chosen) > 3
        ]
        gone = {self.chance.choice(leaves)} if leaves else set()
        self.chosen = [name for name in self.chosen if name not in gone]
        # The word is the user name that the others are told.
        touched = {name for name in self.chosen if changed & {name, *self.needs[name]}}
        return touched, gone


@pytest.mark.parametrize(
    "seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (2, 3, 4, 5, 6))]
)
def test_random_platforms(project: Project, seed: int) -> None:
    world = _World(project, seed)
    world.write()
    project.up()
    processes = project.processes()
    for name in world.chosen:
        for other in world.needs[name]:
            ready, started = processes[other].ready_at, processes[name].started_at
            assert ready and started and ready <= started
    for _ in range(3):
        assert project.ready() == set(world.chosen)
        assert project.target().plan().empty
        for name in world.chosen:
            env = project.env(name)
            assert {other: env[f"ON_{other.upper()}"] for other in world.needs[name]} == {
                other: world.words[other] for other in world.needs[name]
            }
        before = project.pids()
        touched, gone = world.edit()
        world.write()
        plan = project.target().plan()
        assert {change.component for change in plan.changes if change.act == "restart"} == touched
        assert {change.component for change in plan.changes if change.act == "stop"} == gone
        project.up()
        after = project.pids()
        assert {name for name in after if after[name] != before[name]} == touched
    asyncio.run(project.target().down())
    assert project.marked() == []
