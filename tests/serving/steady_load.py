"""Requests without a pause over kept connections, in a process of its own.

Usage: ``python steady_load.py PORT HOST PATH BODY COUNT``. It ends when COUNT requests were sent and its
standard input is closed, and prints one JSON line: how many answers there were by status, and what else
happened.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Callable


async def ask_on(port: int, request: bytes, more: Callable[[], bool], seen: Counter[str]) -> None:
    """One connection, one request after the other."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while more():
        writer.write(request)
        try:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            seen[head.split(b" ", 2)[1].decode()] += 1
        except (OSError, asyncio.IncompleteReadError, TimeoutError, IndexError) as error:
            seen[type(error).__name__] += 1
            writer.close()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.close()


async def main() -> None:
    port, host, path, body, count = sys.argv[1:]
    data = body.encode()
    lines = [f"POST {path} HTTP/1.1", f"Host: {host}", "Content-Type: application/json"]
    head = "\r\n".join([*lines, f"Content-Length: {len(data)}", "", ""])
    seen = Counter[str]()
    told = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)

    def more() -> bool:
        return not told.done() or sum(seen.values()) < int(count)

    await asyncio.gather(*(ask_on(int(port), head.encode() + data, more, seen) for _ in range(8)))
    sys.stdout.write(json.dumps(seen) + "\n")


asyncio.run(main())
