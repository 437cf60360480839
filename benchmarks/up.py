"""What the engine costs: a warm `up` beside its slowest chain, nothing to do, memory, and `--help`.

    python benchmarks/up.py [--project FOLDER] [--rounds 3] [--flavour starter]

The chain is computed from what the supervisor has seen in the same run: a process's own time is from its
start to its readiness, and a chain adds up along the wait edges. Everything above it is the engine's: the
command itself, planning, checks, files, asking. Installs have to be there already; the first round makes them
and is not counted. Prints a table of medians, and the load of the machine, without which they mean little.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path

from millpond.targets.local.supervisor.blocking import BlockingSupervisor
from millpond.targets.local.supervisor.spec import ServiceStatus

MILLPOND = [str(Path(sys.executable).parent / "millpond")]


def run(project: Path, *arguments: str) -> float:
    """Seconds that a command took; its output is shown when it failed."""
    begun = time.monotonic()
    done = subprocess.run(
        [*MILLPOND, *arguments], cwd=project, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    seconds = time.monotonic() - begun
    if done.returncode:
        sys.exit(f"millpond {' '.join(arguments)} ended with {done.returncode}\n{done.stdout}{done.stderr}")
    return seconds


def chain(statuses: list[ServiceStatus]) -> tuple[float, list[str]]:
    """The slowest chain of starts: its seconds, and the processes on it."""
    by_name = {found.name: found for found in statuses}

    @cache
    def until_ready(name: str) -> tuple[float, tuple[str, ...]]:
        found = by_name[name]
        own = (found.ready_at or 0.0) - (found.started_at or 0.0)
        before = max((until_ready(other) for other in found.after if other in by_name), default=(0.0, ()))
        return before[0] + own, (*before[1], f"{name} {own:.2f} s")

    seconds, names = max(until_ready(name) for name in by_name)
    return seconds, list(names)


def memory(pid: int) -> tuple[float, float]:
    """Resident and proportional megabytes of a process; the second is 0 where the system does not tell."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        told = subprocess.run(
            ["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=True
        )
        return int(told.stdout) / 1024, 0.0
    sizes = {line.split(":")[0]: int(line.split()[1]) / 1024 for line in rollup.splitlines()[1:]}
    return sizes["Rss"], sizes["Pss"]


def line(what: str, value: str, limit: str = "", note: str = "") -> None:
    """One row of the table."""
    print(f"{what:<44} {value:>10}  {limit:<10} {note}".rstrip())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--project", type=Path, help="a folder to use; it is destroyed unless it had a platform"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--flavour", default="starter")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="millpond-bench-") as folder:
        project = given.project or Path(folder)
        mine = not (project / ".millpond").exists()
        if not (project / "millpond.yaml").exists():
            run(project, "init", given.flavour)
        try:
            measure(project, given.rounds)
        finally:
            run(project, *(("destroy", "--yes") if mine else ("down",)))


def measure(project: Path, rounds: int) -> None:
    """All figures of one platform."""
    run(project, "up", "--yes")
    supervisor = BlockingSupervisor(project.resolve() / ".millpond/run")
    walls, chains, ratios, slowest = [], [], [], []
    for _ in range(rounds):
        run(project, "down")
        walls.append(run(project, "up", "--yes", "--json"))
        seconds, slowest = chain(supervisor.status())
        chains.append(seconds)
        ratios.append(walls[-1] / seconds)
    nothing = [run(project, "up", "--yes") for _ in range(7)]
    plans = [run(project, "plan") for _ in range(7)]
    helps = [run(project, "--help") for _ in range(9)]
    bare = []
    for _ in range(9):
        begun = time.monotonic()
        subprocess.run([sys.executable, "-c", "pass"], check=True)
        bare.append(time.monotonic() - begun)
    hello = supervisor.ping()
    middle = statistics.median
    print(f"{platform.platform()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {rounds} rounds\n")
    line("up, warm", f"{middle(walls):.2f} s", "", json.dumps([round(wall, 2) for wall in walls]))
    line("its slowest chain of starts", f"{middle(chains):.2f} s", "", " → ".join(slowest))
    line("up / chain", f"{middle(ratios):.2f}", "<= 1.15")
    line("up, nothing to do", f"{middle(nothing):.2f} s", "<= 0.3 s", f"best {min(nothing):.2f} s")
    line("plan, nothing to do", f"{middle(plans):.2f} s", "<= 0.3 s", f"best {min(plans):.2f} s")
    line("millpond --help", f"{middle(helps):.2f} s", "<= 0.15 s", f"best {min(helps):.2f} s")
    line("python -c pass, to compare", f"{middle(bare):.2f} s")
    for name in ("pid", "guardian"):
        resident, proportional = memory(hello[name])
        what = "supervisor, resident" if name == "pid" else "its guardian, resident"
        line(
            what,
            f"{resident:.0f} MB",
            "<= 60 MB" if name == "pid" else "",
            f"{proportional:.0f} MB proportional",
        )


if __name__ == "__main__":
    main()
