"""What a user sees of a service: it is gated, restarted, given up, stopped in order, and leaves nothing."""

from __future__ import annotations

import dataclasses
import os
import signal
import socket
import sys
import time

import pytest

from loopback import free_port
from millpond.targets.local.supervisor.listeners import listeners
from millpond.targets.local.supervisor.protocol import (
    ServiceFailedError,
    ServiceNotReadyError,
    SupervisorError,
    UnknownServiceError,
)
from millpond.targets.local.supervisor.service import Backoff
from millpond.targets.local.supervisor.spec import Probe

from .conftest import SERVER, SLEEPER, Platform, alive, until


def test_http_readiness_waits_for_the_answer(platform: Platform) -> None:
    port = free_port()
    spec = platform.spec(
        "web",
        SERVER,
        str(port),
        env={"DELAY": "0.4", "WORD": "open-sesame"},
        ready=Probe(http=f"http://127.0.0.1:{port}/", headers={"Authorization": "Bearer ${WORD}"}),
    )
    assert platform.supervisor.start(spec).state in ("waiting", "starting")
    found = platform.supervisor.ready("web", 20)
    assert found.state == "ready"
    assert found.started_at and found.ready_at and found.asked_at
    assert found.asked_at <= found.started_at <= found.ready_at - 0.4
    assert listeners(port).startswith(f"{found.pid} (")


def test_readiness_by_tcp_command_and_log_line(platform: Platform) -> None:
    port = free_port()
    command = (sys.executable, "-S", "-c", "import os,sys; sys.exit(not os.path.exists('there'))")
    for spec in (
        platform.spec("tcp", SERVER, str(port), ready=Probe(tcp=("localhost", port))),
        platform.spec(
            "command",
            "import time; time.sleep(0.3); open('there', 'w'); time.sleep(600)",
            ready=Probe(command=command),
        ),
        platform.spec(
            "log",
            "import time; time.sleep(0.2); print('now open 7'); time.sleep(600)",
            ready=Probe(log=r"open \d$"),
        ),
    ):
        platform.supervisor.start(spec)
    for name in ("tcp", "command", "log"):
        assert platform.supervisor.ready(name, 20).state == "ready"


def test_start_timeout_names_the_probe_and_shows_the_log(platform: Platform) -> None:
    port = free_port()
    code = "import time; print('still thinking'); time.sleep(600)"
    probe = Probe(http=f"http://127.0.0.1:{port}/health")
    platform.supervisor.start(platform.spec("slow", code, ready=probe, start_timeout=0.7))
    with pytest.raises(ServiceNotReadyError):
        platform.supervisor.ready("slow", 0.1)
    with pytest.raises(ServiceFailedError) as caught:
        platform.supervisor.ready("slow", 20)
    assert "slow has failed: not ready within 0.7 s" in caught.value.message
    assert "/health" in caught.value.message
    assert "still thinking" in caught.value.details
    assert "slow.log" in (caught.value.hint or "")


def test_a_port_that_somebody_else_holds_is_told(platform: Platform) -> None:
    with socket.socket() as other:
        port = free_port()
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        platform.supervisor.start(
            platform.spec("web", SERVER, str(port), ready=Probe(tcp=("127.0.0.1", port)))
        )
        with pytest.raises(ServiceFailedError, match=rf"port {port} is taken by {os.getpid()} \("):
            platform.supervisor.ready("web", 20)


def test_comes_back_after_kill_9(platform: Platform) -> None:
    platform.supervisor.start(platform.spec("one"))
    first = platform.supervisor.ready("one", 20).pid
    os.kill(first, signal.SIGKILL)
    found = until(lambda: (s := platform.status("one")).pid not in (first, None) and s.state == "ready" and s)
    assert found.restarts == 1
    assert "was ended by SIGKILL; starts again in 0.2 s" in platform.told()


def test_gives_up_on_what_never_works(platform: Platform) -> None:
    platform.supervisor.start(platform.spec("bad", "print('no such option'); raise SystemExit(3)", give_up=3))
    with pytest.raises(ServiceFailedError) as caught:
        platform.supervisor.ready("bad", 20)
    assert "exited with code 3, 3 times in a row" in caught.value.message
    assert caught.value.details == ("no such option",)
    assert platform.log("bad").count("no such option") == 3
    # Asked for again, it is tried again.
    platform.supervisor.start(platform.spec("bad", "print('no such option'); raise SystemExit(3)", give_up=3))
    until(lambda: platform.log("bad").count("no such option") == 6)


def test_pauses_double_and_begin_again_after_a_minute() -> None:
    backoff = Backoff()
    pauses = [backoff.pause(1) for _ in range(10)]
    assert pauses[:4] == [0.2, 0.4, 0.8, 1.6]
    assert pauses[-1] == 30
    assert backoff.pause(61) == 0.2
    assert backoff.pause(1) == 0.4


def test_what_cannot_be_started_fails_at_once(platform: Platform) -> None:
    platform.supervisor.start(platform.spec("ghost", argv=("/no/such/program",)))
    with pytest.raises(ServiceFailedError, match="there is no program /no/such/program"):
        platform.supervisor.ready("ghost", 5)


def test_restart_policies_tell_clean_from_failed(platform: Platform) -> None:
    platform.supervisor.start(platform.spec("done", "pass", restart="on-failure"))
    platform.supervisor.start(platform.spec("broken", "raise SystemExit(1)", restart="never"))
    platform.supervisor.start(platform.spec("ended", restart="on-failure"))
    platform.supervisor.start(platform.spec("java", "raise SystemExit(143)", restart="on-failure"))
    os.kill(platform.supervisor.ready("ended", 20).pid, signal.SIGTERM)
    expected = {"done": "stopped", "broken": "failed", "ended": "stopped", "java": "stopped"}
    until(lambda: {found.name: found.state for found in platform.supervisor.status()} == expected)


def test_liveness_restarts_a_sick_service(platform: Platform) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    spec = platform.spec(
        "web",
        SERVER,
        str(port),
        ready=Probe(tcp=("127.0.0.1", port)),
        live=Probe(http=url, interval=0.1, failures=2),
    )
    platform.supervisor.start(spec)
    first = platform.supervisor.ready("web", 20).pid
    sick = spec.cwd / "sick"
    sick.touch()
    until(lambda: platform.status("web").restarts == 1)
    sick.unlink()
    found = until(lambda: (s := platform.status("web")).state == "ready" and s.pid != first and s)
    assert found.restarts == 1
    assert "answered 503 (2 of 2)" in platform.told()


def test_after_gates_the_start_and_turns_the_stop_around(platform: Platform) -> None:
    ready = Probe(log="here")
    late = "import time; time.sleep(0.4); print('here'); time.sleep(600)"
    platform.supervisor.start(platform.spec("base", late, ready=ready))
    platform.supervisor.start(platform.spec("middle", ready=ready, after=("base", "somewhere-else")))
    platform.supervisor.start(platform.spec("top", ready=ready, after=("middle",)))
    platform.supervisor.start(platform.spec("beside", ready=ready))
    platform.supervisor.ready("beside", 20)
    assert platform.status("top").state == "waiting"
    platform.supervisor.ready("top", 20)
    found = {status.name: status for status in platform.supervisor.status()}
    assert found["middle"].started_at >= found["base"].ready_at
    assert found["top"].started_at >= found["middle"].ready_at
    platform.supervisor.stop("base", "middle", "top", "beside")
    told = platform.told()
    ends = [told.index(f"{name}: stopped") for name in ("top", "middle", "base")]
    assert ends == sorted(ends)
    assert told.index("middle: stopping") > told.index("top: stopped")
    assert told.index("beside: stopping") < told.index("top: stopped")


def test_waiting_in_a_circle_is_refused_and_waiting_for_a_failure_ends(platform: Platform) -> None:
    platform.supervisor.start(
        platform.spec("a", "raise SystemExit(1)", restart="never", after=("b",), ready=Probe(log="never"))
    )
    with pytest.raises(SupervisorError, match="b → a → b"):
        platform.supervisor.start(platform.spec("b", after=("a",)))
    platform.supervisor.start(platform.spec("c", after=("a",)))
    with pytest.raises(ServiceFailedError, match="waits for a, which has failed"):
        platform.supervisor.ready("c", 20)


def test_a_stubborn_family_is_killed_as_a_whole(platform: Platform) -> None:
    code = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
kinds = [os.getpid()]
for kind in ("child", "other session"):
    if not os.fork():
        if kind == "other session":
            os.setsid()
            if os.fork(): os._exit(0)
        with open("pids", "a") as file: file.write(f"{os.getpid()}\\n")
        time.sleep(600)
with open("pids", "a") as file: file.write(f"{os.getpid()}\\n")
time.sleep(600)
"""
    spec = platform.spec("family", code, stop_timeout=0.3)
    platform.supervisor.start(spec)
    platform.supervisor.ready("family", 20)
    pids = until(
        lambda: len(found := (spec.cwd / "pids").read_text().split()) == 3 and [int(p) for p in found]
    )
    (status,) = platform.supervisor.stop("family")
    assert status.state == "stopped"
    assert "had to be killed, SIGTERM did not end it within 0.3 s" in status.message
    left = pids if sys.platform.startswith("linux") else pids[:1]
    assert not any(alive(pid) for pid in left)


def test_a_launcher_that_leaves_first_takes_its_children_along(platform: Platform) -> None:
    spec = platform.spec("launcher", argv=("/bin/sh", "-c", "sleep 600 & echo $! > child; wait"))
    platform.supervisor.start(spec)
    platform.supervisor.ready("launcher", 20)
    child = int(until(lambda: (spec.cwd / "child").read_text().strip()))
    platform.supervisor.stop("launcher")
    assert not alive(child)


def test_each_service_has_its_own_stop_signal(platform: Platform) -> None:
    code = """
import signal, sys, time
signal.signal(signal.SIGINT, lambda *_: (print("interrupted"), sys.exit(0)))
print("here")
time.sleep(600)
"""
    platform.supervisor.start(platform.spec("db", code, stop_signal="SIGINT", ready=Probe(log="here")))
    platform.supervisor.ready("db", 20)
    (status,) = platform.supervisor.stop("db")
    assert (status.state, status.message, status.exit_code) == ("stopped", "", 0)
    assert "interrupted" in platform.log("db")


def test_start_is_idempotent_and_a_change_restarts(platform: Platform) -> None:
    spec = platform.spec("one", env={"A": "1"})
    platform.supervisor.start(spec)
    first = platform.supervisor.ready("one", 20).pid
    assert platform.supervisor.start(spec).pid == first
    platform.supervisor.start(dataclasses.replace(spec, env={"A": "2"}))
    second = platform.supervisor.ready("one", 20).pid
    assert second != first and not alive(first)
    platform.supervisor.restart("one")
    assert platform.supervisor.ready("one", 20).pid != second
    with pytest.raises(SupervisorError, match="one is ready"):
        platform.supervisor.remove("one")
    platform.supervisor.stop("one")
    platform.supervisor.remove("one")
    platform.supervisor.remove("one")
    assert platform.supervisor.status() == []
    with pytest.raises(UnknownServiceError, match="no service one"):
        platform.supervisor.stop("one")


def test_stop_ends_a_pause_at_once(platform: Platform) -> None:
    platform.supervisor.start(platform.spec("bad", "raise SystemExit(1)", give_up=50))
    until(lambda: platform.status("bad").restarts >= 3)
    begun = time.monotonic()
    assert platform.supervisor.stop("bad")[0].state == "stopped"
    assert time.monotonic() - begun < 1
    platform.supervisor.stop("bad")


def test_children_get_plain_signals_and_a_clean_environment(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = """
import os, signal, time
ignored = [n for n in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) == signal.SIG_IGN]
print(ignored, signal.pthread_sigmask(signal.SIG_BLOCK, ()), os.getsid(0) == os.getpid())
print(sorted(os.environ))
time.sleep(600)
"""
    env = {"PYTHONDONTWRITEBYTECODE": "1", "MINE": "1"}
    platform.supervisor.start(platform.spec("one", code, env=env, ready=Probe(log="HOME")))
    platform.supervisor.ready("one", 20)
    first, second = platform.log("one").splitlines()
    assert first == "[] set() True"
    assert "'DO_NOT_TRACK'" in second and "'MINE'" in second and "'PYTHONUNBUFFERED'" in second
    assert "PYTHONDONTWRITEBYTECODE" not in second and "PYTEST" not in second


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_root_becomes_the_user(platform: Platform) -> None:
    code = "import os, time; print(os.getuid(), os.getgroups(), os.environ['USER']); time.sleep(600)"
    spec = platform.spec("db", code, user="nobody", cwd="/tmp", ready=Probe(log="nobody"))
    spec = dataclasses.replace(spec, argv=("/usr/bin/env", "python3", "-S", "-c", code))
    platform.supervisor.start(spec)
    platform.supervisor.ready("db", 20)
    assert platform.log("db").startswith("65534 [65534] nobody")
    platform.supervisor.start(platform.spec("who", SLEEPER, user="no-such-user"))
    with pytest.raises(ServiceFailedError, match="there is no user no-such-user"):
        platform.supervisor.ready("who", 5)


def test_what_a_service_leaves_elsewhere_is_removed_when_it_has_ended(platform: Platform) -> None:
    left = platform.run.parent / "elsewhere.sock"
    code = f"open({str(left)!r}, 'w').close(); print('open', flush=True); import time; time.sleep(600)"
    platform.supervisor.start(platform.spec("messy", code, leaves=(left,), ready=Probe(log="open")))
    platform.supervisor.ready("messy", 20)
    assert left.exists()
    platform.supervisor.stop("messy")
    assert not left.exists()
