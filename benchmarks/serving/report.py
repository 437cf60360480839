"""The figures as tables, and our goals beside what was reached."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

GOALS = (
    "Goals (iris, 16 connections): uncompiled at least 3 times the best peer, compiled at least 10 times, "
    "p99 at most 0.4 of its p99, at least 0.8 of the limit (a bare server around the same predict)"
)
HEADS = (
    *("server", "connections", "req/s", "of best peer", "p50 ms", "p99 ms", "p99 of its", "CPU us/req"),
    *("MB", "ready s"),
)
Figures = dict[str, Any]


def table(figures: Figures) -> Iterator[str]:
    """One table for each model; ratios are to the best peer at the same number of connections."""
    for model, found in figures["models"].items():
        yield f"\n### {model} (bare model: {found['bare_mb']:.0f} MB)\n"
        yield f"| {' | '.join(HEADS)} |"
        yield "|---" * len(HEADS) + "|"
        for name, server in found["servers"].items():
            for connections, run in server["runs"].items():
                best = best_peer(found, connections)
                rate = f"{run['rate'] / best['rate']:.2f}" if best else "-"
                tail = f"{run['p99'] / best['p99']:.2f}" if best else "-"
                cpu = f"{run['cpu_us']:.0f}" if run["cpu_us"] else "-"
                note = f" ({run['errors']})" if run["errors"] else ""
                yield (
                    f"| {name}{note} | {connections} | {run['rate']:.0f} | {rate} | {run['p50']:.2f} "
                    f"| {run['p99']:.2f} | {tail} | {cpu} | {server['mb']:.0f} | {server['ready']:.1f} |"
                )
        for name, reason in found["missing"].items():
            yield f"\nnot measured: {name}: {reason}"


def best_peer(found: Figures, connections: str) -> Figures | None:
    """The run of the peer with the most requests per second."""
    runs = [
        server["runs"][connections]
        for server in found["servers"].values()
        if server["peer"] and connections in server["runs"]
    ]
    return max(runs, key=lambda run: run["rate"]) if runs else None


def goals(figures: Figures) -> Iterator[str]:
    """Each goal with its figure."""
    yield f"\n{GOALS}\n"
    found = figures["models"].get("iris")
    if found is None or not all("16" in server["runs"] for server in found["servers"].values()):
        yield "They need the iris model at 16 connections."
        return
    best = best_peer(found, "16")
    runs = {name: server["runs"]["16"] for name, server in found["servers"].items()}
    for name, times, limit in (
        ("millpond, uncompiled", 3.0, "limit, same predict"),
        ("millpond", 10.0, "limit, compiled"),
    ):
        run = runs.get(name)
        if run is None:
            continue
        if best is not None:
            yield _line(f"{name}: requests of the best peer's", run["rate"] / best["rate"], times, least=True)
            yield _line(f"{name}: p99 of its p99", run["p99"] / best["p99"], 0.4, least=False)
        if limit in runs:
            yield _line(
                f"{name}: requests of the {limit}", run["rate"] / runs[limit]["rate"], 0.8, least=True
            )
        beside = found["servers"][name]["mb"] - found["bare_mb"]
        yield f"- {name}: memory beside the bare model's: {beside:+.0f} MB"


def _line(what: str, reached: float, goal: float, *, least: bool) -> str:
    met = reached >= goal if least else reached <= goal
    bound = "at least" if least else "at most"
    return f"- {what}: {reached:.2f} ({bound} {goal:g}: {'met' if met else 'NOT met'})"
