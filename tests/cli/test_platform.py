"""The life of a platform through the command line, on real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from millpond.cli.exit_codes import ExitCode

from .conftest import Run, environment, write_flavour


def test_status_tells_state_and_address(look: Run) -> None:
    found = look("status")
    assert found.returncode == 0
    assert [line.split()[:2] for line in found.stdout.splitlines()] == [
        ["NAME", "STATE"],
        ["store", "ready"],
        ["page", "ready"],
    ]
    data = json.loads(look("status", "--json").stdout)
    assert [component["state"] for component in data["components"]] == ["ready", "ready"]
    assert len(data["components"][1]["processes"]) == 2


def test_a_second_up_has_nothing_to_do(look: Run) -> None:
    found = look("up")
    assert found.returncode == 0
    assert "nothing to do: 2 components up" in found.stderr
    assert "http://127.0.0.1:" in found.stdout
    assert found.stderr.count("hint:") == 1
    assert "nothing to do" in look("plan").stdout
    assert json.loads(look("plan", "--json").stdout)["changes"][0]["act"] == "keep"


def test_a_change_is_planned_with_its_reason(look: Run, shared: Path) -> None:
    text = (shared / "millpond.yaml").read_text()
    try:
        (shared / "millpond.yaml").write_text(text.replace("  page:\n", "  page:\n    greeting: bye\n"))
        found = look("plan")
        assert "restart  page   greeting hello → bye" in found.stdout
    finally:
        (shared / "millpond.yaml").write_text(text)


def test_logs_of_several_processes(look: Run) -> None:
    found = look("logs", "page")
    assert "page.helper │ helping with hello" in found.stdout
    assert "helping with hello" in look("logs", "page/helper").stdout
    assert "did you mean page?" in look("logs", "pgae").stderr


def test_env_is_what_a_shell_can_take(look: Run, shared: Path) -> None:
    found = json.loads(look("env", "--format", "json").stdout)
    script = f'{look("env").stdout}\nprintf %s "$AWS_SECRET_ACCESS_KEY"'
    said = subprocess.run(["sh", "-c", script], capture_output=True, text=True).stdout
    assert said == found["AWS_SECRET_ACCESS_KEY"]
    assert f"AWS_ACCESS_KEY_ID={found['AWS_ACCESS_KEY_ID']}" in look("env", "--format", "dotenv").stdout


def test_shell_runs_a_program_with_the_platforms_environment(look: Run) -> None:
    program = "import os; print(os.environ['AWS_ENDPOINT_URL'], os.environ.get('OWN_NAME'))"
    plain = look("shell", "--env", "python3", "-c", program).stdout
    assert plain.startswith("http://127.0.0.1:")
    assert plain.endswith("None\n")
    assert look("shell", "store", "python3", "-c", program).stdout.endswith("store\n")
    assert look("shell", "--env", "no-such-program").returncode == 127


def test_secrets_are_printed_where_they_are_asked_for_and_nowhere_else(look: Run, shared: Path) -> None:
    password = json.loads(look("credentials", "store", "--json").stdout)["password"]
    assert look("credentials", "store").stdout == f"username: somebody\npassword: {password}\n"
    for words in (
        ["status", "--json"],
        ["plan", "--json"],
        ["up", "--json"],
        ["why", "store"],
        ["logs", "store"],
    ):
        found = look(*words)
        assert password not in found.stdout + found.stderr


def test_why_open_and_wait(look: Run) -> None:
    assert "page gets s3 (lake) from store" in look("why", "store").stdout
    assert json.loads(look("why", "page", "--json").stdout)["component"] == "page"
    url = look("open", "page").stdout.strip()
    assert url.startswith("http://127.0.0.1:")
    assert "store has no page for a browser" in look("open", "store").stderr
    assert look("wait", "--timeout", "5").returncode == 0
    assert "store is ready" in look("wait", "store").stderr


def test_restart(look: Run) -> None:
    def pids() -> list[int]:
        data = json.loads(look("status", "--json").stdout)
        return [process["pid"] for process in data["components"][0]["processes"]]

    before = pids()
    assert "store is ready" in look("restart", "store").stderr
    assert pids() != before


def test_doctor_makes_every_check(look: Run) -> None:
    found = look("doctor", "--json")
    checks = {check["name"]: check for check in json.loads(found.stdout)}
    assert {"python", "uv", "memory", "ports", "socket", "supervisor", "leftovers", "clock"} <= set(checks)
    assert checks["supervisor"]["reason"].startswith("answers")
    assert checks["flavour"]["state"] == "ok"


def test_one_broken_check_stops_no_other(project: Path, millpond: Run) -> None:
    (project / "millpond.yaml").write_text("komponents:\n")
    found = millpond("doctor", "--json")
    checks = {check["name"]: check["state"] for check in json.loads(found.stdout)}
    assert found.returncode == ExitCode.FAILED
    assert checks["flavour"] == "fail"
    assert checks["clock"] == checks["socket"] == "ok"
    plain = millpond("doctor")
    assert "fail  flavour" in plain.stdout


@pytest.mark.slow
def test_from_nothing_to_nothing(project: Path, millpond: Run) -> None:
    assert "start  store  new" in millpond("plan").stdout
    events = [json.loads(line) for line in millpond("up", "--json").stdout.splitlines()]
    assert [e["phase"] for e in events if e.get("component") == "store"] == ["starting", "ready"]
    assert events[-1]["status"] == "ready"
    pid = json.loads(millpond("status", "--json").stdout)["components"][0]["processes"][0]["pid"]
    (project / ".millpond" / "data" / "store" / "data" / "kept").write_text("yes")

    stopped = millpond("down")
    assert "stopped 2 components" in stopped.stderr
    assert not _alive(pid)
    assert "nothing was running" in millpond("down").stderr
    assert "hint: `millpond up` starts it" in millpond("status").stderr

    refused = millpond("destroy")
    assert refused.returncode == ExitCode.USAGE
    assert "hint: `millpond destroy --yes` does not ask" in refused.stderr
    assert (project / ".millpond" / "data" / "store" / "data" / "kept").exists()
    gone = millpond("destroy", "--yes")
    assert gone.returncode == 0
    assert str(project / ".millpond") in gone.stderr
    assert not (project / ".millpond").exists()
    assert (project / "millpond.yaml").exists()


def test_down_needs_no_correct_flavour(project: Path, millpond: Run) -> None:
    assert millpond("up", "store").returncode == 0
    (project / "millpond.yaml").write_text("komponents:\n")
    assert "stopped 1 component" in millpond("down").stderr


def test_a_named_flavour_file_is_remembered(project: Path, millpond: Run) -> None:
    (project / "millpond.yaml").rename(project / "other.yaml")
    assert millpond("up", "-f", "other.yaml", "store").returncode == 0
    assert "store  ready" in millpond("status").stdout
    assert millpond("destroy", "--yes").returncode == 0


@pytest.mark.slow
def test_what_breaks_is_told_with_its_log_and_the_rest_comes_up(project: Path, millpond: Run) -> None:
    write_flavour(project, "store", "page", "broken")
    found = millpond("up")
    assert found.returncode == ExitCode.NOT_READY
    assert "the disk of this component is gone" in found.stderr
    assert "error: not everything came up; what did not: broken" in found.stderr
    states = {c["name"]: c["state"] for c in json.loads(millpond("status", "--json").stdout)["components"]}
    assert states["store"] == states["page"] == "ready"
    assert states["broken"] != "ready"


@pytest.mark.slow
def test_ctrl_c_leaves_nothing_half_started(project: Path, millpond: Run, cache: Path) -> None:
    write_flavour(project, "store", "slow")
    process = subprocess.Popen(
        [sys.executable, "-m", "millpond", "up"],
        cwd=project,
        env=environment(cache),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.split()[:2] == ["slow", "starting"]:
            break
    process.send_signal(signal.SIGINT)
    said = process.stderr.read()
    assert process.wait(20) == ExitCode.INTERRUPTED
    assert "interrupted: 1 of 2 components are up; `millpond up` goes on from here" in said
    assert "Traceback" not in said
    states = {c["name"]: c["state"] for c in json.loads(millpond("status", "--json").stdout)["components"]}
    assert states == {"store": "ready", "slow": "stopped"}


def test_a_pipeline_needs_a_platform_that_is_up(project: Path, millpond: Run) -> None:
    pipeline = project / "pipeline.yaml"
    pipeline.write_text("name: p\nsteps:\n  one: {use: command, run: 'true'}\n")
    found = millpond("run", "pipeline.yaml")
    assert found.returncode == ExitCode.NOT_READY
    assert "the platform is not ready: store is stopped" in found.stderr
    assert "hint: `millpond up` brings it up" in found.stderr
    assert millpond("run", "pipeline.yaml", "-p", "x").returncode == ExitCode.USAGE


def test_up_warns_of_a_machine_that_is_too_small(project: Path, millpond: Run) -> None:
    folder = project / "own" / "huge"
    folder.mkdir(parents=True)
    (folder / "component.yaml").write_text(
        "name: huge\nsummary: Wants all of it\nversion: '1'\nlicence: none\n"
        "service:\n  command: [sleep, '100']\n  resources: {memory: 4000000Gi}\n"
    )
    (project / "millpond.yaml").write_text("name: big\ncatalogue: [own]\ncomponents:\n  huge:\n")
    found = millpond("up")
    assert "warning: big wants" in found.stderr
    assert found.returncode == 0


def test_a_live_view_on_a_terminal(project: Path, millpond: Run, cache: Path) -> None:
    import pty

    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "millpond", "up"],
        cwd=project,
        env=environment(cache, TERM="xterm"),
        stdin=follower,
        stdout=follower,
        stderr=follower,
    )
    os.close(follower)
    shown = b""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            chunk = os.read(leader, 4096)
        except OSError:
            break
        if not chunk:
            break
        shown += chunk
    os.close(leader)
    assert process.wait(10) == 0
    text = shown.decode()
    assert "\x1b[" in text
    assert "tiny" in text
    assert "up after" in text


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
