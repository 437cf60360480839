"""The supervisor itself: one per platform, hard to kill without a trace, silent on secrets."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from millpond.targets.local.supervisor import processes, protocol
from millpond.targets.local.supervisor.blocking import BlockingSupervisor, ensure
from millpond.targets.local.supervisor.protocol import NotRunningError, OtherVersionError, ServiceFailedError
from millpond.targets.local.supervisor.spec import Probe

from .conftest import SLEEPER, Platform, alive, until

FAMILY = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN if "stubborn" in sys.argv else signal.SIG_DFL)
if not os.fork():
    os.setsid() if "apart" in sys.argv else None
    time.sleep(600)
print("here")
time.sleep(600)
"""


def start_three(platform: Platform) -> list[int]:
    """Three families: a tame one, a stubborn one, and one with a child in another session."""
    for name in ("tame", "stubborn", "apart"):
        platform.supervisor.start(platform.spec(name, FAMILY, name, ready=Probe(log="here")))
    for name in ("tame", "stubborn", "apart"):
        platform.supervisor.ready(name, 20)
    found = until(lambda: len(pids := platform.left()) == 6 and pids)
    assert len(found) == 6
    return found


def test_needs_the_standard_library_only() -> None:
    code = """
import sys
before = set(sys.modules)
import millpond.targets.local.supervisor.server, millpond.targets.local.supervisor.client
names = {name.split('.')[0] for name in set(sys.modules) - before}
print(sorted(names - set(sys.stdlib_module_names) - {'millpond'}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_is_detached_and_private(platform: Platform) -> None:
    hello = platform.supervisor.ping()
    assert os.getsid(hello["pid"]) not in (os.getsid(0), hello["pid"])
    os.kill(hello["pid"], signal.SIGHUP)
    assert platform.supervisor.ping()["pid"] == hello["pid"]
    assert stat.S_IMODE(platform.run.stat().st_mode) == 0o700
    path = protocol.socket_path(platform.run)
    assert path is not None and stat.S_IMODE(path.stat().st_mode) == 0o600


def test_one_daemon_out_of_many_calls(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with ThreadPoolExecutor(4) as pool:
        clients = list(pool.map(lambda _: ensure(run), range(4)))
    assert len({client.ping()["pid"] for client in clients}) == 1
    pid = clients[0].ping()["pid"]
    clients[0].shutdown()
    clients[0].shutdown()
    until(lambda: not alive(pid))
    assert not clients[1].running()
    with pytest.raises(NotRunningError):
        clients[1].status()
    assert sorted(entry.name for entry in run.iterdir()) == ["supervisor.lock", "supervisor.log"]


def test_ends_when_its_folder_is_removed(platform: Platform) -> None:
    platform.supervisor.start(platform.spec("one"))
    pids = [platform.supervisor.ready("one", 20).pid, platform.supervisor.ping()["pid"]]
    shutil.rmtree(platform.run)
    until(lambda: not any(map(alive, pids)))


def test_a_call_during_the_shutdown_gets_a_new_daemon(platform: Platform) -> None:
    code = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('here'); time.sleep(600)"
    )
    platform.supervisor.start(platform.spec("slow", code, stop_timeout=1, ready=Probe(log="here")))
    platform.supervisor.ready("slow", 20)
    old = platform.supervisor.ping()["pid"]
    down = threading.Thread(target=platform.supervisor.shutdown)
    down.start()
    until(lambda: platform.supervisor.ping()["closing"])
    assert platform.up().ping()["pid"] != old
    down.join()
    assert platform.supervisor.status() == []


def test_a_long_path_gets_a_short_socket(tmp_path: Path) -> None:
    run = tmp_path / ("deep" * 20) / ("folder" * 10) / "run"
    client = ensure(run)
    path = protocol.socket_path(run)
    assert path is not None and len(str(path)) <= 100
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert client.ping()["run"] == str(run)
    client.shutdown()
    assert not path.parent.exists()
    assert not (run / "supervisor.addr").exists()


@pytest.mark.slow
def test_nothing_survives_a_killed_supervisor_for_long(platform: Platform) -> None:
    pids = start_three(platform)
    guardian = platform.supervisor.ping()["guardian"]
    platform.kill("pid")
    until(lambda: not any(map(alive, pids)), 5)
    until(lambda: not alive(guardian), 5)
    assert platform.up().status() == []


def test_the_next_one_cleans_up_when_both_were_killed(platform: Platform) -> None:
    platform.supervisor.start(platform.spec("apart", FAMILY, "apart", ready=Probe(log="here")))
    platform.supervisor.ready("apart", 20)
    pids = until(lambda: len(found := platform.left()) == 2 and found)
    platform.kill("guardian", "pid")
    # Somebody else's process, whose id a dead one of ours once had.
    with subprocess.Popen([sys.executable, "-S", "-c", SLEEPER], start_new_session=True) as bystander:
        path = platform.run / "processes.json"
        found = json.loads(path.read_text())
        found["services"].append({"name": "x", "pid": bystander.pid, "started": "1", "stop_signal": 15})
        path.write_text(json.dumps(found))
        assert platform.up().status() == []
        assert not any(map(alive, pids))
        assert alive(bystander.pid)
        bystander.kill()
    assert "ended" in platform.told()


def test_a_killed_guardian_is_replaced_and_knows_everything(platform: Platform) -> None:
    platform.supervisor.start(platform.spec("one"))
    pid = platform.supervisor.ready("one", 20).pid
    first = platform.supervisor.ping()["guardian"]
    platform.kill("guardian")
    until(lambda: platform.supervisor.ping()["guardian"] not in (0, first))
    platform.kill("pid")
    until(lambda: not alive(pid), 5)


def test_a_terminated_supervisor_stops_everything_in_order(platform: Platform) -> None:
    platform.supervisor.start(platform.spec("base"))
    platform.supervisor.start(platform.spec("top", after=("base",)))
    platform.supervisor.ready("top", 20)
    os.kill(platform.supervisor.ping()["pid"], signal.SIGTERM)
    until(lambda: not platform.supervisor.running())
    told = until(lambda: "gone" in platform.told() and platform.told())
    assert told.index("top: stopped") < told.index("base: stopping")


def test_secrets_are_told_to_nobody(platform: Platform) -> None:
    secret = "swordfish-4711"
    spec = platform.spec(
        "one",
        "import os; print(os.environ['DB_PASSWORD']); raise SystemExit(1)",
        env={"DB_PASSWORD": secret},
        restart="never",
    )
    assert secret not in repr(spec)
    platform.supervisor.start(platform.spec("two", env={"DB_PASSWORD": secret}))
    platform.supervisor.ready("two", 20)
    platform.supervisor.start(spec)
    with pytest.raises(ServiceFailedError) as caught:
        platform.supervisor.ready("one", 20)
    assert caught.value.details == ("***",)
    assert secret not in repr(platform.supervisor.status())
    for path in platform.run.iterdir():
        if path.is_file():
            assert secret not in path.read_text(), path


def test_logs_are_rotated_by_size(platform: Platform) -> None:
    code = """
import time
for number in range(600):
    print(f"{number:05d}", "x" * 93, flush=True)
    time.sleep(0.002)
time.sleep(600)
"""
    spec = platform.spec("chatty", code, log_size=10_000, log_keep=2)
    platform.supervisor.start(spec)
    old = [spec.log.with_name(f"chatty.log.{number}") for number in (1, 2)]
    until(lambda: all(path.exists() for path in old) or "00599" in platform.log("chatty"))
    until(lambda: spec.log.stat().st_size < 10_000 and old[0].exists())
    kept = "".join(path.read_text() for path in (*reversed(old), spec.log) if path.exists()).splitlines()
    assert stat.S_IMODE(old[0].stat().st_mode) == 0o600
    assert all(len(line) == 99 for line in kept)
    assert kept == sorted(set(kept))
    assert not spec.log.with_name("chatty.log.3").exists()


def test_events_reach_everybody_and_a_deaf_client_harms_nobody(platform: Platform) -> None:
    path = protocol.socket_path(platform.run)
    with contextlib.ExitStack() as stack:
        for _ in range(3):  # asks, never reads
            deaf = stack.enter_context(socket.socket(socket.AF_UNIX))
            deaf.connect(str(path))
            deaf.sendall(protocol.line({"verb": "events"}))
        gone = socket.socket(socket.AF_UNIX)
        gone.connect(str(path))
        gone.sendall(protocol.line({"verb": "ready", "name": "one", "timeout": 60}))
        gone.close()
        nonsense = stack.enter_context(socket.socket(socket.AF_UNIX))
        nonsense.connect(str(path))
        nonsense.sendall(b"what?\n")

        heard: list[list[str]] = [[], []]

        def listen(into: list[str]) -> None:
            into.extend(change.new for change in platform.supervisor.events())

        threads = [threading.Thread(target=listen, args=(into,)) for into in heard]
        for thread in threads:
            thread.start()
        for _ in range(50):
            platform.supervisor.start(platform.spec("one"))
            platform.supervisor.stop("one")
            if all(heard):
                break
        begun = time.monotonic()
        assert platform.supervisor.status()[0].state == "stopped"
        assert time.monotonic() - begun < 2
        platform.supervisor.shutdown()
        for thread in threads:
            thread.join(5)
            assert not thread.is_alive()
        assert all("stopping" in into and into[-1] == "stopped" for into in heard)


def test_another_version_is_told_apart_but_can_be_ended(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    greeting = {"supervisor": protocol.PROTOCOL + 1, "version": "9.9", "pid": 2**22 + 1, "closing": False}
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(run / protocol.SOCKET))
        server.listen()

        def answer() -> None:
            for _ in range(4):
                client, _ = server.accept()
                with client:
                    client.sendall(protocol.line(greeting))
                    if client.recv(1000):
                        client.sendall(protocol.line({"ok": greeting}))

        thread = threading.Thread(target=answer)
        thread.start()
        client = BlockingSupervisor(run)
        with pytest.raises(OtherVersionError, match=r"Millpond 9\.9"):
            client.status()
        assert client.ping()["version"] == "9.9"
        client.shutdown()
        thread.join()


def test_a_recycled_process_id_is_not_taken_for_ours() -> None:
    ours = processes.Leader("me", os.getpid(), processes.started(os.getpid()) or "", 15)
    assert processes.started(os.getpid()) == ours.started
    with subprocess.Popen([sys.executable, "-S", "-c", SLEEPER], start_new_session=True) as other:
        stranger = processes.Leader("x", other.pid, "not then", 15)
        assert not processes.group_alive(stranger)
        processes.signal_group(stranger, signal.SIGKILL)
        assert alive(other.pid)
        other.kill()
