"""One-shot jobs, and the asynchronous client."""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path

import pytest

from loopback import free_port
from millpond.model.errors import MillpondError
from millpond.targets.local.supervisor import client
from millpond.targets.local.supervisor.probes import connect
from millpond.targets.local.supervisor.protocol import ServiceFailedError
from millpond.targets.local.supervisor.spawn import JobSpec, run_job

from .conftest import Platform, alive, until


def job(tmp_path: Path, code: str, **rest: object) -> JobSpec:
    return JobSpec(name="job", argv=(sys.executable, "-S", "-c", code), cwd=tmp_path, **rest)  # type: ignore[arg-type]


def test_a_job_takes_a_secret_on_stdin_and_tells_how_it_ended(tmp_path: Path) -> None:
    code = "import sys, os; print('got', len(sys.stdin.read()), os.environ['TOKEN']); sys.exit(4)"
    spec = job(tmp_path, code, stdin=b"swordfish", env={"TOKEN": "abcdefgh"}, log=tmp_path / "job.log")
    assert "swordfish" not in repr(spec) and "abcdefgh" not in repr(spec)
    done = asyncio.run(run_job(spec))
    assert (done.exit_code, done.lines, done.ok, done.timed_out) == (4, ["got 9 ***"], False, False)
    assert (tmp_path / "job.log").read_text() == "got 9 abcdefgh\n"
    done = asyncio.run(run_job(job(tmp_path, "print('fine')")))
    assert done.ok and done.lines == ["fine"]
    with pytest.raises(MillpondError, match="there is no program nonesuch"):
        asyncio.run(run_job(JobSpec(name="job", argv=("nonesuch",), cwd=tmp_path)))


@pytest.mark.parametrize("user", [None, "nobody"])
def test_a_job_may_open_its_stdin_by_name_and_take_much(tmp_path: Path, user: str | None) -> None:
    argv = ("/bin/sh", "-c", "wc -c < /dev/stdin")
    done = asyncio.run(
        run_job(JobSpec(name="job", argv=argv, cwd=Path("/tmp"), user=user, stdin=b"x" * 300_000))
    )
    assert (done.exit_code, [line.strip() for line in done.lines]) == (0, ["300000"])
    done = asyncio.run(run_job(job(tmp_path, "print('deaf')", stdin=b"x" * 300_000)))
    assert done.ok


FAMILY = """
import os, time
os.fork()
with open("pids", "a") as file: file.write(f"{os.getpid()}\\n")
time.sleep(600)
"""


def test_a_job_whose_time_is_up_is_ended_with_its_children(tmp_path: Path) -> None:
    done = asyncio.run(run_job(job(tmp_path, FAMILY, timeout=0.7)))
    assert done.timed_out and not done.ok
    assert not any(alive(int(pid)) for pid in (tmp_path / "pids").read_text().split())


def test_a_cancelled_job_is_ended_with_its_children(tmp_path: Path) -> None:
    async def cancel() -> list[int]:
        task = asyncio.create_task(run_job(job(tmp_path, FAMILY)))
        path = tmp_path / "pids"
        while not path.exists() or len(path.read_text().split()) < 2:
            await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return [int(pid) for pid in path.read_text().split()]

    assert not any(alive(pid) for pid in asyncio.run(cancel()))


def test_the_asynchronous_client_has_the_same_verbs(platform: Platform) -> None:
    async def use() -> None:
        supervisor = await client.ensure(platform.run)
        async with supervisor.events() as events:
            assert events.statuses == []
            await supervisor.start(platform.spec("one"))
            assert (await supervisor.ready("one", 20)).state == "ready"
            assert [(await anext(events)).new for _ in range(3)] == ["waiting", "starting", "ready"]
        waiting = asyncio.create_task(supervisor.ready("two", 20))
        with pytest.raises(client.SupervisorError, match="no service two"):
            await waiting
        await supervisor.restart("one")
        await supervisor.stop("one")
        with pytest.raises(ServiceFailedError, match="one has stopped"):
            await supervisor.ready("one", 1)
        await supervisor.remove("one")
        assert await supervisor.status() == []
        stream = supervisor.events()
        last = asyncio.create_task(anext(stream, None))
        until(lambda: platform.supervisor.running())
        await supervisor.shutdown()
        assert await last is None

    asyncio.run(use())


def test_a_probe_never_connects_to_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    plain_bind = socket.socket.bind

    def bind(self: socket.socket, address: tuple[str, int]) -> None:
        # As a system may do that hands out the very port that is asked for.
        plain_bind(self, ("127.0.0.1", port))

    monkeypatch.setattr(socket.socket, "bind", bind)
    with pytest.raises(ConnectionRefusedError, match=f"nothing listens on 127.0.0.1:{port}"):
        asyncio.run(connect("127.0.0.1", port))


def test_a_child_asks_no_proxy_for_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "example.org")
    code = "import os; print(os.environ['NO_PROXY'], os.environ['no_proxy'] == os.environ['NO_PROXY'])"
    done = asyncio.run(run_job(job(tmp_path, code)))
    assert done.lines == ["example.org,localhost,.localhost,127.0.0.1,::1 True"]
