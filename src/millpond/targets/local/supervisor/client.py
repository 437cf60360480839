"""The supervisor for programs with an event loop."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from millpond.targets.local.supervisor import blocking, protocol
from millpond.targets.local.supervisor.protocol import NotRunningError, SupervisorError
from millpond.targets.local.supervisor.spec import ServiceSpec, ServiceStatus, StateChange


async def ensure(run: Path, timeout: float = 60.0) -> Supervisor:
    """The supervisor of a run directory, started if there is none; see ``blocking.ensure``."""
    await asyncio.to_thread(blocking.ensure, run, timeout)
    return Supervisor(run)


class Supervisor:
    """The supervisor of a run directory; each call is a connection of its own, and may be cancelled.

    A verb that was asked for is carried out, even if the caller does not wait for the answer. Every method
    raises ``NotRunningError`` if there is no supervisor, ``OtherVersionError`` if it is too old or too
    new to be understood, and ``SupervisorError`` if it refuses.
    """

    def __init__(self, run: Path) -> None:
        self.run = Path(run).absolute()

    async def ping(self) -> dict[str, Any]:
        """Who is there: ``version``, ``pid``, ``guardian``, ``run``, ``since``, ``closing``, ``services``."""
        return dict(await self._call("ping"))

    async def start(self, spec: ServiceSpec) -> ServiceStatus:
        """Bring a service to run with this specification; does not wait until it is ready.

        One that runs with the same specification is left alone; with another, it is stopped and started.
        One that has stopped or failed is started.
        """
        return ServiceStatus.from_json(await self._call("start", {"spec": spec.to_json()}))

    async def stop(self, *names: str) -> list[ServiceStatus]:
        """Stop services: each after those of them that name it in ``after``, the others at the same time.

        Returns when nothing of them is left.

        Raises:
            UnknownServiceError: nothing was stopped.
        """
        return [ServiceStatus.from_json(found) for found in await self._call("stop", {"names": names})]

    async def restart(self, name: str) -> ServiceStatus:
        """Stop a service and start it again; does not wait until it is ready."""
        return ServiceStatus.from_json(await self._call("restart", {"name": name}))

    async def remove(self, name: str) -> None:
        """Forget a service that has stopped or failed; no error if it is not known."""
        await self._call("remove", {"name": name})

    async def status(self) -> list[ServiceStatus]:
        """All services, in the order in which they were first started."""
        return [ServiceStatus.from_json(found) for found in await self._call("status")]

    async def ready(self, name: str, timeout: float = 60.0) -> ServiceStatus:
        """Wait until a service is ready.

        Raises:
            ServiceFailedError: it will not be; details are its last log lines.
            ServiceNotReadyError: it is not after ``timeout`` seconds; details are its last log lines.
        """
        return ServiceStatus.from_json(await self._call("ready", {"name": name, "timeout": timeout}))

    def events(self) -> EventStream:
        """State changes, as an async iterator; ``async with`` listens from its beginning on.

        Old and new state are the same where only the message has changed.
        """
        return EventStream(self.run)

    async def shutdown(self) -> None:
        """Stop everything in order; returns when the supervisor is gone. No error if there is none."""
        with contextlib.suppress(NotRunningError):
            pid = int((await self.ping())["pid"])
            with contextlib.suppress(NotRunningError):
                await self._call("shutdown")
            await asyncio.to_thread(blocking.await_end, pid)

    async def _call(self, verb: str, arguments: Mapping[str, Any] | None = None) -> Any:
        connection = _Connection()
        try:
            await connection.open(self.run, verb)
            return protocol.result(await connection.ask({"verb": verb, **(arguments or {})}))
        finally:
            connection.close()


class EventStream:
    """State changes as they happen; ends when the supervisor does.

    ``statuses`` holds what all services were when it began to listen.
    """

    def __init__(self, run: Path) -> None:
        self.statuses: list[ServiceStatus] = []
        self._run = run
        self._connection: _Connection | None = None

    async def __aenter__(self) -> EventStream:
        connection = self._connection = _Connection()
        try:
            await connection.open(self._run, "events")
            found = protocol.result(await connection.ask({"verb": "events"}))
        except BaseException:
            connection.close()
            raise
        self.statuses = [ServiceStatus.from_json(status) for status in found]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __aiter__(self) -> EventStream:
        return self

    async def __anext__(self) -> StateChange:
        if self._connection is None:
            await self.__aenter__()
        assert self._connection is not None
        try:
            return StateChange.from_json(await self._connection.read())
        except NotRunningError:
            await self.aclose()
            raise StopAsyncIteration from None

    async def aclose(self) -> None:
        """Stop listening."""
        if self._connection is not None:
            self._connection.close()


class _Connection:
    def __init__(self) -> None:
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def open(self, run: Path, verb: str) -> None:
        path = protocol.socket_path(run)
        try:
            if path is None:
                raise FileNotFoundError
            async with asyncio.timeout(10):
                self._reader, self._writer = await asyncio.open_unix_connection(
                    path, limit=protocol.LONGEST_LINE
                )
                if protocol.peer_uid(self._writer.get_extra_info("socket")) != os.geteuid():
                    raise SupervisorError(f"{path} is somebody else's")
                protocol.check_greeting(await self.read(), verb)
        except OSError as error:
            raise blocking.not_running(error) from None

    async def ask(self, request: dict[str, Any]) -> Any:
        assert self._writer is not None
        try:
            self._writer.write(protocol.line(request))
            await self._writer.drain()
        except OSError as error:
            raise blocking.not_running(error) from None
        return await self.read()

    async def read(self) -> Any:
        assert self._reader is not None
        try:
            said = await self._reader.readline()
        except OSError as error:
            raise blocking.not_running(error) from None
        if not said.endswith(b"\n"):
            raise NotRunningError("the supervisor is gone", hint="`millpond up` starts it again")
        return json.loads(said)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
