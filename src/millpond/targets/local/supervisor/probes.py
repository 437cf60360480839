"""Asking a service whether it works.

A connection to a loopback port on which nobody listens can succeed: when the system happens to give the
client that very port as its own, the socket is connected to itself, and the service that wants the port
finds it taken. So the client's port is bound, and compared, before it connects.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import socket
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from millpond.model.errors import MillpondError
from millpond.targets.local.supervisor import logs, spawn
from millpond.targets.local.supervisor.spec import Probe, ServiceSpec

Watch = Callable[[int, Callable[[int], None]], None]

_MOST_READ = 65536


class ProbeFailedError(Exception):
    """Why a try did not pass, in a few words."""


class Prober:
    """Tries the probes of one service.

    Args:
        spec: the service.
        since: tells the size that the log had when the process was started.
        watch: of the reaper, for command probes.
    """

    def __init__(self, spec: ServiceSpec, since: Callable[[], int], watch: Watch) -> None:
        self._spec = spec
        self._since = since
        self._watch = watch

    async def ask(self, probe: Probe) -> None:
        """One try.

        Raises:
            ProbeFailedError: it did not pass.
        """
        try:
            async with asyncio.timeout(probe.timeout):
                if probe.http is not None:
                    await self._http(probe.http, probe.headers)
                elif probe.tcp is not None:
                    (await connect(*probe.tcp)).close()
                elif probe.command is not None:
                    await self._command(probe.command)
                elif probe.log is not None:
                    self._log(probe.log)
        except TimeoutError:
            raise ProbeFailedError(f"{probe}: no answer within {probe.timeout:g} s") from None
        except OSError as error:
            raise ProbeFailedError(f"{probe}: {error.strerror or error}") from None

    async def _http(self, url: str, headers: Mapping[str, str]) -> None:
        parts = urlsplit(url)
        path = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
        lines = [f"GET {path} HTTP/1.1", "Connection: close", "Accept: */*", "User-Agent: millpond-probe"]
        if not any(name.lower() == "host" for name in headers):
            lines.append(f"Host: {parts.netloc}")
        lines += [f"{name}: {self._filled(value)}" for name, value in headers.items()]
        loop = asyncio.get_running_loop()
        with await connect(parts.hostname or "", parts.port or 80) as client:
            await loop.sock_sendall(client, ("\r\n".join(lines) + "\r\n\r\n").encode())
            answer = b""
            while b"\n" not in answer:
                chunk = await loop.sock_recv(client, 4096)
                if not chunk or len(answer) > _MOST_READ:
                    raise ProbeFailedError(f"{url}: no HTTP answer")
                answer += chunk
            found = re.match(rb"HTTP/\d\S* (\d{3})", answer)
            if not found:
                raise ProbeFailedError(f"{url}: no HTTP answer")
            if int(found[1]) >= 400:
                raise ProbeFailedError(f"{url}: answered {int(found[1])}")
            # Taking the rest spares the server a reset connection in its log.
            with contextlib.suppress(TimeoutError, OSError):
                async with asyncio.timeout(0.2):
                    while len(answer) < _MOST_READ and (chunk := await loop.sock_recv(client, 4096)):
                        answer += chunk

    def _filled(self, value: str) -> str:
        return re.sub(r"\$\{(\w+)\}", lambda found: self._spec.env.get(found[1], ""), value)

    async def _command(self, argv: tuple[str, ...]) -> None:
        spec = self._spec
        ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        read, write = os.pipe()
        os.set_blocking(read, False)
        try:
            try:
                pid = spawn.start(argv, spec.env, spec.cwd, spec.user, write, spec.name)
            except MillpondError as error:
                raise ProbeFailedError(error.message) from None
            finally:
                os.close(write)
            self._watch(pid, lambda code: None if ended.done() else ended.set_result(code))
            try:
                code = await ended
            finally:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(pid, signal.SIGKILL)
            if code:
                said = b""
                with contextlib.suppress(BlockingIOError):
                    said = os.read(read, _MOST_READ)
                last = logs.redact(said.decode(errors="replace").strip().splitlines()[-1:], spec.env)
                raise ProbeFailedError(
                    f"{argv[0].rpartition('/')[2]}: {' '.join(last) or f'exit code {code}'}"
                )
        finally:
            os.close(read)

    def _log(self, pattern: str) -> None:
        try:
            with open(self._spec.log, "rb") as file:  # noqa: PTH123
                file.seek(self._since())
                text = file.read().decode(errors="replace")
        except OSError:
            text = ""
        if not re.search(pattern, text, re.MULTILINE):
            raise ProbeFailedError(f"its log does not have /{pattern}/ yet")


async def connect(host: str, port: int) -> socket.socket:
    """A connection that is never one to itself.

    Raises:
        OSError: nobody accepts it.
    """
    loop = asyncio.get_running_loop()
    failure: OSError = ConnectionRefusedError(f"nothing listens on {host}:{port}")
    for family, kind, protocol, _, address in await _resolve(host, port):
        client = socket.socket(family, kind, protocol)
        try:
            client.setblocking(False)
            client.bind(("", 0))
            if client.getsockname()[1] == port:
                raise ConnectionRefusedError(f"nothing listens on {host}:{port}")
            await loop.sock_connect(client, address)
        except OSError as error:
            client.close()
            failure = error
        except BaseException:
            client.close()
            raise
        else:
            return client
    raise failure


async def _resolve(
    host: str, port: int
) -> list[
    tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[str, int] | tuple[str, int, int, int]]
]:
    for family, name in ((socket.AF_INET, host), (socket.AF_INET6, host)):
        with contextlib.suppress(OSError):
            socket.inet_pton(family, name)
            return [(family, socket.SOCK_STREAM, 0, "", (host, port))]
    return await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)  # type: ignore[return-value]
