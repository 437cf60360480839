"""The supervisor's socket: many clients, none of which can hold up another or the services."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from pathlib import Path
from typing import Any

from millpond.model.errors import MillpondError
from millpond.targets.local.supervisor import protocol
from millpond.targets.local.supervisor.daemon import Daemon, note
from millpond.targets.local.supervisor.protocol import SupervisorError
from millpond.targets.local.supervisor.spec import StateChange

_MOST_BEHIND = 2000
_PATIENCE = 10.0


async def serve(run: Path) -> None:
    """Be the supervisor of a run directory until it is shut down."""
    daemon = Daemon(run)
    daemon.open()
    protocol.remove_socket(run)
    path = protocol.make_socket_path(run)
    server = await asyncio.start_unix_server(
        lambda reader, writer: _attend(daemon, reader, writer), path, limit=protocol.LONGEST_LINE
    )
    path.chmod(0o600)
    note(f"listening, process {os.getpid()}")
    await daemon.closed.wait()
    server.close()
    await asyncio.sleep(0.05)  # the answer to whoever asked for this is still on its way


async def _attend(daemon: Daemon, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        connection: socket.socket = writer.get_extra_info("socket")
        if protocol.peer_uid(connection) != os.geteuid():
            note("turned somebody else away")
            return
        await _say(writer, daemon.hello())
        while said := await reader.readline():
            request = _understood(said)
            if request.get("verb") == "events":
                await _stream(daemon, reader, writer)
                return
            await _say(writer, await _answer(daemon, request))
    except (OSError, TimeoutError, ValueError):
        pass  # the client is gone, or too slow, or talks nonsense: its loss alone
    finally:
        writer.transport.abort() if writer.transport.get_write_buffer_size() else writer.close()


async def _answer(daemon: Daemon, request: dict[str, Any]) -> dict[str, Any]:
    verb = request.get("verb")
    try:
        if verb == "ping":
            return {"ok": daemon.hello()}
        if verb not in daemon.verbs:
            raise SupervisorError(f"the supervisor does not know the verb {verb}")
        return {"ok": await daemon.verbs[verb](request)}
    except MillpondError as error:
        return protocol.refusal(error)
    except (KeyError, TypeError, ValueError) as error:
        return protocol.refusal(SupervisorError(f"{verb}: wrong arguments: {error!r}"))


async def _stream(daemon: Daemon, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send state changes until the client leaves, or falls too far behind to be told the truth."""
    queue: asyncio.Queue[StateChange | None] = asyncio.Queue()

    def put(change: StateChange) -> None:
        if queue.qsize() < _MOST_BEHIND:
            queue.put_nowait(change)
        else:
            writer.transport.abort()

    daemon.listeners.add(put)
    leaves = asyncio.create_task(reader.read(1))
    leaves.add_done_callback(lambda _: queue.put_nowait(None))
    closing = asyncio.create_task(daemon.closed.wait())
    closing.add_done_callback(lambda _: queue.put_nowait(None))
    try:
        await _say(writer, {"ok": await daemon.verbs["status"]({})})
        while change := await queue.get():
            writer.write(protocol.line(change.to_json()))
            await writer.drain()
    finally:
        daemon.listeners.discard(put)
        for task in (leaves, closing):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError):
                await task


async def _say(writer: asyncio.StreamWriter, message: Any) -> None:
    writer.write(protocol.line(message))
    async with asyncio.timeout(_PATIENCE):
        await writer.drain()


def _understood(said: bytes) -> dict[str, Any]:
    request = json.loads(said)
    if not isinstance(request, dict):
        raise TypeError("a request is an object")
    return request
