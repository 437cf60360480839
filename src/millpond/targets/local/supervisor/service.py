"""One service: started, gated, watched, restarted with growing pauses, stopped.

A service that should run has a keeper, a task that goes through its states; stopping it ends the keeper
first. Nothing here knows of sockets or clients.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from millpond.model.errors import MillpondError
from millpond.targets.local.supervisor import listeners, logs, processes, spawn
from millpond.targets.local.supervisor.probes import ProbeFailedError, Prober, connect
from millpond.targets.local.supervisor.processes import Leader
from millpond.targets.local.supervisor.spec import (
    ENDED,
    ServiceSpec,
    ServiceStatus,
    State,
    StateChange,
)

_SETTLE = 0.25
_GROUP_GRACE = 2.0


@dataclass
class Backoff:
    """Pauses between starts: 0.2 s, doubled up to 30 s, from the beginning after a minute without an exit."""

    first: float = 0.2
    factor: float = 2.0
    most: float = 30.0
    reset_after: float = 60.0
    _next: float = 0.0

    def pause(self, up: float) -> float:
        """The pause after a process that was up for so many seconds."""
        if up >= self.reset_after or not self._next:
            self._next = self.first
        pause, self._next = self._next, min(self._next * self.factor, self.most)
        return pause


@dataclass(frozen=True)
class _End:
    """Why a process is not there any more; ``final`` when another start would change nothing."""

    message: str
    clean: bool = False
    final: bool = False


class House(Protocol):
    """What a service needs from the daemon around it."""

    run: Path

    def watch(self, pid: int, ended: Callable[[int], None]) -> None:
        """Have a child collected."""

    def add(self, leader: Leader) -> None:
        """A process has been started."""

    def remove(self, leader: Leader) -> None:
        """Nothing of it is left."""

    def changed(self, change: StateChange) -> None:
        """A service has changed its state."""

    def find(self, name: str) -> Service | None:
        """Another service."""

    def is_ours(self, pid: int) -> bool:
        """Whether a process belongs to one of the services."""


class Service:
    """One service and all that is known of it. Made stopped; ``start`` sets it going."""

    def __init__(self, spec: ServiceSpec, house: House) -> None:
        self.spec = spec
        self.state: State = "stopped"
        self._house = house
        self._since = time.time()
        self._message = ""
        self._leader: Leader | None = None
        self._exit: asyncio.Future[int] | None = None
        self._exit_code: int | None = None
        self._restarts = 0
        self._asked_at: float | None = None
        self._started_at: float | None = None
        self._ready_at: float | None = None
        self._ever_ready = False
        self._log_since = 0
        self._keeper: asyncio.Task[None] | None = None
        self._busy = asyncio.Lock()
        self._waiters: set[asyncio.Future[None]] = set()

    @property
    def status(self) -> ServiceStatus:
        """What is known of it, without anything secret."""
        return ServiceStatus(
            name=self.spec.name,
            component=self.spec.component,
            state=self.state,
            since=self._since,
            message=self._message,
            pid=self._leader.pid if self._alive and self._leader else None,
            restarts=self._restarts,
            exit_code=self._exit_code,
            asked_at=self._asked_at,
            started_at=self._started_at,
            ready_at=self._ready_at,
            after=self.spec.after,
            log=str(self.spec.log),
        )

    @property
    def leader(self) -> Leader | None:
        """Its first process, as long as anything of it may be left."""
        return self._leader

    def last_lines(self, lines: int = 15) -> list[str]:
        """The end of its log since its last start, secrets of its environment blotted out."""
        return logs.redact(logs.tail(self.spec.log, lines, self._log_since), self.spec.env)

    def rotate_log(self) -> None:
        """Rotate its log if that has grown too large; blocks for the time of copying it.

        Raises:
            OSError: the disk is full, or the folder not writable.
        """
        if logs.size(self.spec.log) > self.spec.log_size:
            logs.rotate(self.spec.log, self.spec.log_keep)
            self._log_since = 0

    async def start(self, spec: ServiceSpec | None = None) -> None:
        """Bring it to run with this specification; returns before it is ready."""
        async with self._busy:
            if spec is not None and spec != self.spec:
                await self._stop()
                self.spec = spec
            if self.state in ENDED:
                self._start()

    async def stop(self) -> None:
        """End it, and keep it ended; returns when nothing of it is left."""
        async with self._busy:
            await self._stop()

    async def restart(self) -> None:
        """End it and start it again; returns before it is ready."""
        async with self._busy:
            await self._stop()
            self._start()

    async def next_change(self) -> None:
        """Wait until its state changes."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)

    # The keeper

    def _start(self) -> None:
        self._asked_at, self._started_at, self._ready_at = time.time(), None, None
        self._restarts, self._exit_code, self._ever_ready = 0, None, False
        self._set("waiting")
        self._keeper = asyncio.create_task(self._keep(), name=self.spec.name)

    async def _keep(self) -> None:
        backoff, quick = Backoff(), 0
        try:
            await self._wait_for_others()
            while True:
                await self._check_port_is_free()
                begun = time.monotonic()
                self._launch()
                end = await self._attend()
                await self._sweep()
                quick = 0 if self._ever_ready else quick + 1
                if end.clean and self.spec.restart != "always":
                    self._set("stopped", end.message)
                    return
                if end.final or self.spec.restart == "never":
                    self._set("failed", end.message)
                    return
                if quick >= self.spec.give_up:
                    self._set("failed", f"{end.message}, {quick} times in a row without ever being ready")
                    return
                pause = backoff.pause(time.monotonic() - begun)
                self._restarts += 1
                self._set("backoff", f"{end.message}; starts again in {pause:g} s")
                await asyncio.sleep(pause)
        except MillpondError as error:
            self._set("failed", error.message)
        except Exception as error:
            await self._terminate()
            self._set("failed", f"the supervisor has a fault: {type(error).__name__}: {error}")
            raise

    async def _wait_for_others(self) -> None:
        for name in self.spec.after:
            while (other := self._house.find(name)) is not None and other.state != "ready":
                if other.state in ENDED:
                    raise MillpondError(f"waits for {name}, which has {other.state}")
                self._note(f"waits for {name}")
                await other.next_change()

    async def _check_port_is_free(self) -> None:
        # An answer by somebody else's process would pass for readiness.
        address = self.spec.ready.address if self.spec.ready else None
        if address is None or not _is_loopback(address[0]):
            return
        for left in range(3, -1, -1):
            try:
                (await asyncio.wait_for(connect(*address), 1)).close()
            except (OSError, TimeoutError):
                return
            found = await asyncio.to_thread(listeners.holder, address[1])
            if found and self._house.is_ours(found[0]):
                return
            if left:
                await asyncio.sleep(0.2)
        by = f" by {found[0]} ({found[1]})" if found else ""
        raise MillpondError(f"port {address[1]} is taken{by}")

    def _launch(self) -> None:
        spec = self.spec
        try:
            output = logs.open_log(spec.log, spawn.owner(spec.user))
        except OSError as error:
            raise MillpondError(f"{spec.name}: cannot write its log {spec.log}: {error.strerror}") from None
        try:
            self._log_since = os.fstat(output).st_size
            env = {**spec.env, processes.MARK: f"{spec.name}@{self._house.run}"}
            pid = spawn.start(spec.argv, env, spec.cwd, spec.user, output, spec.name)
        finally:
            os.close(output)
        self._exit = asyncio.get_running_loop().create_future()
        self._house.watch(pid, self._exit.set_result)
        number = signal.Signals[spec.stop_signal].value
        self._leader = Leader(spec.name, pid, processes.started(pid) or "", number)
        self._house.add(self._leader)
        self._started_at, self._ready_at, self._exit_code = time.time(), None, None
        self._set("starting")

    async def _attend(self) -> _End:
        """Be with a process from its start to its end."""
        spec = self.spec
        tried = [""]
        try:
            async with asyncio.timeout(spec.start_timeout):
                exited = await self._unless_exited(self._until_ready(tried))
        except TimeoutError:
            await self._terminate()
            why = f" ({tried[0]})" if tried[0] else ""
            message = f"not ready within {spec.start_timeout:g} s{why}"
            return _End(message, final=not self._ever_ready)
        if exited is None:
            self._ever_ready, self._ready_at = True, time.time()
            self._set("ready")
            exited = await self._unless_exited(self._until_sick())
        if exited is None:
            message = self._message
            await self._terminate()
            return _End(message)
        return self._judge(exited)

    async def _unless_exited(self, work: Coroutine[None, None, None]) -> int | None:
        """The exit code, if the process ends before the work does."""
        assert self._exit is not None
        task = asyncio.create_task(work)
        both: set[asyncio.Future[Any]] = {task, self._exit}
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not task.done():
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        if self._exit.done():
            return self._exit.result()
        task.result()
        return None

    async def _until_ready(self, tried: list[str]) -> None:
        probe = self.spec.ready
        if probe is None:
            await asyncio.sleep(_SETTLE)
            return None
        interval = probe.interval or 0.1
        prober = self._prober()
        # A service that is there at once is seen at once: the first tries come quicker.
        pause = min(0.02, interval)
        while True:
            try:
                return await prober.ask(probe)
            except ProbeFailedError as failure:
                tried[0] = str(failure)
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, interval)

    async def _until_sick(self) -> None:
        probe = self.spec.live
        if probe is None:
            await asyncio.get_running_loop().create_future()
            return
        prober, failed = self._prober(), 0
        while failed < probe.failures:
            await asyncio.sleep(probe.interval or 10.0)
            try:
                await prober.ask(probe)
            except ProbeFailedError as failure:
                failed += 1
                self._set("unhealthy", f"{failure} ({failed} of {probe.failures})")
            else:
                failed = 0
                self._set("ready")

    def _prober(self) -> Prober:
        return Prober(self.spec, lambda: self._log_since, self._house.watch)

    def _judge(self, code: int) -> _End:
        if code == 0:
            return _End("exited with code 0", clean=True)
        number = -code if code < 0 else code - 128
        by = signal.Signals(number).name if number in set(signal.Signals) else ""
        message = f"was ended by {by or f'signal {-code}'}" if code < 0 else f"exited with code {code}"
        return _End(message, clean=by == self.spec.stop_signal)

    # The end

    async def _stop(self) -> None:
        if self._keeper is not None and not self._keeper.done():
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
        self._keeper = None
        message = ""
        if self._leader is not None:
            self._set("stopping")
            message = await self._terminate()
        if self.state != "failed" or message:
            self._set("stopped", message)

    async def _terminate(self) -> str:
        """End process and group; returns what went wrong with it, or nothing."""
        if self._leader is None or self._exit is None:
            return ""
        asked = False
        if not self._exit.done():
            asked = True
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self._leader.pid, self._leader.stop_signal)
            await asyncio.wait({self._exit}, timeout=self.spec.stop_timeout)
        stubborn = not self._exit.done()
        await self._sweep()
        if stubborn:
            tried = f"{self.spec.stop_signal} did not end it within {self.spec.stop_timeout:g} s"
            return f"had to be killed, {tried}"
        end = self._judge(self._exit.result())
        return "" if end.clean or not asked else end.message

    async def _sweep(self) -> None:
        """End what is left of the group, and what has left it with its mark on."""
        leader, exited = self._leader, self._exit
        if leader is None or exited is None:
            return
        if exited.done():
            await self._end_left(leader, leader.stop_signal)
        await self._end_left(leader, signal.SIGKILL)
        await asyncio.wait({exited}, timeout=_GROUP_GRACE)
        self._exit_code = exited.result() if exited.done() else None
        self._leader = None
        self._house.remove(leader)
        for path in self.spec.leaves:
            # Another user's file of that name is not what this service left.
            with contextlib.suppress(OSError):
                if path.lstat().st_uid == os.geteuid():
                    path.unlink()

    async def _end_left(self, leader: Leader, number: int) -> None:
        """Signal everything that is left, once each, until nothing is or the time is up."""
        told: set[int] = set()
        deadline = time.monotonic() + _GROUP_GRACE
        while time.monotonic() < deadline and (strays := self._left()) is not None:
            if not told:
                processes.signal_group(leader, number)
            for pid in {*strays} - told:
                _kill(pid, number)
            told |= {leader.pid, *strays}
            await asyncio.sleep(0.02)

    def _left(self) -> list[int] | None:
        """Strays, if any process of it is left; else None."""
        strays = processes.marked(str(self._house.run), self.spec.name)
        if strays or (self._leader and processes.group_alive(self._leader)):
            return strays
        return None

    # What is told

    @property
    def _alive(self) -> bool:
        return self._exit is not None and not self._exit.done()

    def _set(self, new: State, message: str = "") -> None:
        old = self.state
        if (old, self._message) == (new, message):
            return
        self.state, self._message, self._since = new, message, time.time()
        if new in ENDED:
            self._ready_at = None if new == "stopped" else self._ready_at
        change = StateChange(
            name=self.spec.name,
            component=self.spec.component,
            old=old,
            new=new,
            message=message,
            at=self._since,
        )
        self._house.changed(change)
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _note(self, message: str) -> None:
        self._set(self.state, message)


def _is_loopback(host: str) -> bool:
    return host.startswith("127.") or host == "::1" or host.rpartition(".")[2] == "localhost"


def _kill(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)
