"""The supervisor: all services of one platform, and the verbs that clients may use on them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from millpond.targets.local.supervisor import logs, processes, protocol
from millpond.targets.local.supervisor.processes import Leader
from millpond.targets.local.supervisor.protocol import SupervisorError
from millpond.targets.local.supervisor.reaper import Reaper
from millpond.targets.local.supervisor.register import Register
from millpond.targets.local.supervisor.service import Service
from millpond.targets.local.supervisor.spec import ENDED, ServiceSpec, StateChange

Listener = Callable[[StateChange], None]

_HOUSEKEEPING = 1.0
_OWN_LOG_SIZE = 2_000_000


class Daemon:
    """All services of one run directory."""

    def __init__(self, run: Path) -> None:
        self.run = run
        self.since = time.time()
        self.closing = False
        self.closed = asyncio.Event()
        self.listeners: set[Listener] = set()
        self._services: dict[str, Service] = {}
        self._reaper = Reaper()
        self._register = Register(run, self._reaper.watch)
        self._housekeeper: asyncio.Task[None] | None = None
        self._shutting: asyncio.Task[None] | None = None
        self.verbs: dict[str, Callable[[dict[str, Any]], Awaitable[Any]]] = {
            "start": self._start,
            "stop": self._stop,
            "restart": self._restart,
            "remove": self._remove,
            "status": self._status,
            "ready": self._ready,
            "shutdown": self._shutdown,
        }

    def open(self) -> None:
        """Begin: collect children, start the guardian."""
        self._reaper.open()
        self._register.open()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.shut_down)
        # Handled, not ignored: children would inherit that they ignore it.
        loop.add_signal_handler(signal.SIGHUP, lambda: None)
        self._housekeeper = asyncio.create_task(self._keep_house())

    def shut_down(self) -> asyncio.Task[None]:
        """Stop everything in order; ``closed`` is set once nothing is left."""
        if self._shutting is None:
            self.closing = True
            self._shutting = asyncio.create_task(self._end())
        return self._shutting

    # What services need

    def watch(self, pid: int, ended: Callable[[int], None]) -> None:
        """Have a child collected."""
        self._reaper.watch(pid, ended)

    def add(self, leader: Leader) -> None:
        """A process has been started."""
        self._register.add(leader)

    def remove(self, leader: Leader) -> None:
        """Nothing of it is left."""
        self._register.remove(leader)

    def changed(self, change: StateChange) -> None:
        """Tell everybody who listens, and the log."""
        note(f"{change.name}: {change.new}" + (f", {change.message}" if change.message else ""))
        for listener in list(self.listeners):
            listener(change)

    def find(self, name: str) -> Service | None:
        """A service by its name."""
        return self._services.get(name)

    def is_ours(self, pid: int) -> bool:
        """Whether a process belongs to one of the services."""
        try:
            group = os.getpgid(pid)
        except OSError:
            return True  # it has gone: nothing of anybody else's
        groups = {service.leader.pid for service in self._services.values() if service.leader}
        return group in groups or pid in processes.marked(str(self.run))

    # Verbs

    async def _start(self, request: dict[str, Any]) -> Any:
        self._refuse_when_closing()
        try:
            spec = ServiceSpec.from_json(request["spec"])
        except (TypeError, ValueError, KeyError) as error:
            raise SupervisorError(f"this is no specification of a service: {error}") from None
        self._check_order(spec)
        service = self._services.get(spec.name)
        if service is None:
            service = self._services[spec.name] = Service(spec, self)
        await service.start(spec)
        return service.status.to_json()

    async def _stop(self, request: dict[str, Any]) -> Any:
        found = [self._get(name) for name in request["names"]]
        await self._stop_in_order(found)
        return [service.status.to_json() for service in found]

    async def _restart(self, request: dict[str, Any]) -> Any:
        self._refuse_when_closing()
        service = self._get(request["name"])
        await service.restart()
        return service.status.to_json()

    async def _remove(self, request: dict[str, Any]) -> Any:
        service = self._services.get(request["name"])
        if service is None:
            return None
        if service.state not in ENDED:
            raise SupervisorError(f"{service.spec.name} is {service.state}", hint="stop it first")
        del self._services[service.spec.name]
        return None

    async def _status(self, request: dict[str, Any]) -> Any:
        return [service.status.to_json() for service in self._services.values()]

    async def _ready(self, request: dict[str, Any]) -> Any:
        service = self._get(request["name"])
        seconds = float(request["timeout"])
        try:
            async with asyncio.timeout(seconds):
                while service.state != "ready":
                    if service.state in ENDED:
                        status = service.status
                        raise protocol.ServiceFailedError(
                            f"{status.name} has {status.state}"
                            + (f": {status.message}" if status.message else ""),
                            hint=f"its whole log is {status.log}",
                            details=service.last_lines(),
                        )
                    await service.next_change()
        except TimeoutError:
            status = service.status
            raise protocol.ServiceNotReadyError(
                f"{status.name} is not ready after {seconds:g} s, it is {status.state}"
                + (f": {status.message}" if status.message else ""),
                hint=f"its whole log is {status.log}",
                details=service.last_lines(),
            ) from None
        return service.status.to_json()

    async def _shutdown(self, request: dict[str, Any]) -> Any:
        await asyncio.shield(self.shut_down())
        return None

    def hello(self) -> dict[str, Any]:
        """Who this is; greeting and answer to ``ping``."""
        from millpond import __version__

        return {
            "supervisor": protocol.PROTOCOL,
            "version": __version__,
            "pid": os.getpid(),
            "guardian": self._register.guardian,
            "run": str(self.run),
            "since": self.since,
            "closing": self.closing,
            "services": len(self._services),
        }

    # Inside

    def _get(self, name: str) -> Service:
        try:
            return self._services[name]
        except KeyError:
            raise protocol.UnknownServiceError(
                f"there is no service {name}", hint=protocol.known(self._services)
            ) from None

    def _refuse_when_closing(self) -> None:
        if self.closing:
            raise SupervisorError("the platform is going down", hint="wait for it, then `millpond up`")

    def _check_order(self, spec: ServiceSpec) -> None:
        trail = [(spec.name, [spec.name])]
        while trail:
            name, path = trail.pop()
            service = self._services.get(name)
            for other in spec.after if name == spec.name else service.spec.after if service else ():
                if other == spec.name:
                    raise SupervisorError(f"services wait for each other: {' → '.join([*path, other])}")
                if other not in path:
                    trail.append((other, [*path, other]))

    async def _stop_in_order(self, chosen: Iterable[Service]) -> None:
        """Each one after those among them that want to stop earlier; the others at once."""
        left = {service.spec.name: service for service in chosen}
        tasks: dict[str, asyncio.Task[None]] = {}

        async def stop(service: Service) -> None:
            earlier = [tasks[name] for name, other in left.items() if service.spec.name in other.spec.after]
            if earlier:
                await asyncio.wait(earlier)
            await service.stop()

        for name, service in left.items():
            tasks[name] = asyncio.create_task(stop(service))
        await asyncio.gather(*tasks.values())

    async def _end(self) -> None:
        note("going down")
        try:
            # Again for what was being started when this was asked for.
            while running := [found for found in self._services.values() if found.state not in ENDED]:
                await self._stop_in_order(running)
        finally:
            await self._end_strays()
            if self._housekeeper:
                self._housekeeper.cancel()
            protocol.remove_socket(self.run)
            self._register.close()
            note("gone")
            self.closed.set()

    async def _end_strays(self) -> None:
        """End adopted processes that have left group, session and mark behind (Linux)."""
        for _ in range(100):
            strays = [pid for pid in processes.children(os.getpid()) if pid != self._register.guardian]
            if not strays:
                return
            for pid in strays:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            await asyncio.sleep(0.02)

    async def _keep_house(self) -> None:
        while True:
            await asyncio.sleep(_HOUSEKEEPING)
            if not (self.run / protocol.LOCK).exists():
                note("the run directory is gone, and nobody can reach what runs here any more")
                self.shut_down()
                return
            for service in list(self._services.values()):
                try:
                    if logs.size(service.spec.log) > service.spec.log_size:
                        await asyncio.to_thread(service.rotate_log)
                except OSError as error:
                    note(f"{service.spec.name}: cannot rotate its log: {error.strerror}")
            with contextlib.suppress(OSError):
                if logs.size(self.run / protocol.LOG) > _OWN_LOG_SIZE:
                    logs.rotate(self.run / protocol.LOG, 1)


def note(text: str) -> None:
    """A line in the supervisor's own log, with its time."""
    sys.stderr.write(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}Z {text}\n")
    sys.stderr.flush()
