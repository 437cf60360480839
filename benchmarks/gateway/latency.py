"""What the gateway adds to a request: the same small upstream asked directly and through it, in turns.

Usage, in the gateway's environment, with wrk on PATH and ``src`` on PYTHONPATH:

    python benchmarks/gateway/latency.py [--seconds 3] [--rounds 5] [--concurrency 1 16]

The upstream does nothing but answer. Each round asks it directly and then through one route after the other,
so that what else the machine does meets all of them; a figure is the median of its rounds. Prints one table:
p50 and p99, what the p50 has more than the direct one, requests per second, and the processor time that
Envoy takes for a request. The client shares the machine with Envoy and the upstream. With several connections
Envoy, which has one thread, is busy all the time: what is added then is the queue before it, and the last
column says how many requests it can take in a second.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import random
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from millpond.gateway.client import GatewayClient, GatewayError

HOST = "127.0.0.1"
BODY = '{"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP64", "data": [5.1, 3.5, 1.4, 0.2]}]}'
ANSWER = b'{"model_name": "x", "outputs": [{"name": "y", "shape": [1], "datatype": "INT64", "data": [0]}]}'
TOKEN = "token-of-the-benchmark"


class Nothing(asyncio.Protocol):
    """HTTP/1.1 with one answer to everything that ends in a blank line and a body of the known length."""

    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(ANSWER)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while True:
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0 or len(self.buffer) < end + 4 + len(BODY):
                return
            self.buffer = self.buffer[end + 4 + len(BODY) :]
            self.transport.write(self.head + ANSWER)  # type: ignore[attr-defined]


def upstream(port: int) -> None:
    """Serve for ever; the process is ended."""

    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(Nothing, HOST, port)
        await server.serve_forever()

    asyncio.run(serve())


def free_port() -> int:
    """One that nothing has, below the range that the system hands out by itself."""
    while True:
        port = random.randint(20000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port


@dataclass
class Running:
    """The gateway that is measured."""

    port: int
    client: GatewayClient
    envoy: int

    def processor_seconds(self) -> float:
        """What Envoy has used so far."""
        try:
            ticks = Path(f"/proc/{self.envoy}/stat").read_text().rpartition(")")[2].split()[11:13]
            return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
        except FileNotFoundError:  # macOS, in hundredths of a second
            ps = ["ps", "-o", "time=", "-p", str(self.envoy)]
            clock = subprocess.run(ps, check=True, capture_output=True, text=True).stdout.split(":")
            return sum(float(part) * 60**power for power, part in enumerate(reversed(clock)))


@contextmanager
def gateway(folder: Path) -> Iterator[Running]:
    """Envoy and its agent as a platform runs them."""
    port, api = free_port(), free_port()
    environment = os.environ | {
        "MILLPOND_GATEWAY_TOKEN": TOKEN,
        "MILLPOND_GATEWAY_USER": "miller",
        "MILLPOND_GATEWAY_PASSWORD": "grist",
    }
    agent_command = [sys.executable, "-m", "millpond.gateway.agent", "run", "--data", str(folder)]
    agent_command += ["--port", str(port), "--api-port", str(api)]
    envoy_command = [str(Path(sys.executable).with_name("envoy")), "-c", str(folder / "envoy.json")]
    envoy_command += ["--concurrency", "1", "--disable-hot-restart", "-l", "error"]
    client = GatewayClient(f"http://{HOST}:{api}", TOKEN, f"http://localhost:{port}")
    processes = []
    try:
        processes.append(subprocess.Popen(agent_command, env=environment, stderr=subprocess.DEVNULL))
        wait(client)
        processes.append(subprocess.Popen(envoy_command, stderr=subprocess.DEVNULL))
        yield Running(port, client, processes[-1].pid)
    finally:
        for process in reversed(processes):
            process.terminate()
            process.wait(10)


def wait(client: GatewayClient) -> None:
    """Until the agent answers; routes themselves wait for Envoy."""
    deadline = time.monotonic() + 20
    while True:
        try:
            client.routes()
            return
        except GatewayError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def routes(addresses: list[str]) -> dict[str, dict[str, Any]]:
    """The routes that are compared, by what they are called in the table."""
    one, other, shadow = addresses
    plain = {"upstreams": [{"address": one}], "sign_in": False}
    halves = [{"address": one, "weight": 50}, {"address": other, "weight": 50}]
    return {
        "plain": plain,
        "limits": {**plain, "max_body": 64 << 20, "timeout": 60},
        "replicas": {**plain, "upstreams": [{"addresses": [one, other]}]},
        "sticky": {**plain, "upstreams": halves, "sticky": {"cookie": "arm", "header": "x-user-id"}},
        "mirror": {**plain, "mirrors": [{"address": shadow}]},
    }


_LATENCY = re.compile(r"^\s+(50|99)%\s+([\d.]+)(us|ms|s)$", re.MULTILINE)
_RATE = re.compile(r"^Requests/sec:\s+([\d.]+)$", re.MULTILINE)
_BAD = re.compile(r"Non-2xx or 3xx responses: (\d+)|Socket errors: (.*)")


def measure(port: int, host: str, seconds: int, concurrency: int, script: Path) -> tuple[float, float, float]:
    """p50 and p99 in milliseconds, and requests per second."""
    command = ["wrk", "-t1", f"-c{concurrency}", f"-d{seconds}s", "--latency", "-s", str(script)]
    command += ["-H", f"Host: {host}.localhost", f"http://{HOST}:{port}/v2/models/x/infer"]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    bad = _BAD.search(out)
    if bad:
        raise SystemExit(f"{host}: {bad[0]}")
    unit = {"us": 0.001, "ms": 1.0, "s": 1000.0}
    latency = {match[1]: float(match[2]) * unit[match[3]] for match in _LATENCY.finditer(out)}
    rate = _RATE.search(out)
    assert rate is not None
    return latency["50"], latency["99"], float(rate[1])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What the gateway adds to a request")
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--concurrency", type=int, nargs="+", default=[1, 16])
    arguments = parser.parse_args()
    ports = [free_port() for _ in range(3)]
    upstreams = [multiprocessing.Process(target=upstream, args=(port,), daemon=True) for port in ports]
    for process in upstreams:
        process.start()
    with tempfile.TemporaryDirectory() as name, gateway(Path(name) / "data") as running:
        script = Path(name) / "post.lua"
        script.write_text(
            f"wrk.method = 'POST'\nwrk.body = [[{BODY}]]\nwrk.headers['content-type'] = 'application/json'\n"
        )
        compared = routes([f"{HOST}:{port}" for port in ports])
        running.client.put_routes("benchmark", [{"host": host, **route} for host, route in compared.items()])
        print("| at | route | p50 ms | added p50 ms | p99 ms | req/s | Envoy's µs per request |")
        print("| --- | --- | --- | --- | --- | --- | --- |")
        for concurrency in arguments.concurrency:
            found: dict[str, list[tuple[float, float, float, float]]] = defaultdict(list)
            for _ in range(arguments.rounds):
                for host in ("direct", *compared):
                    port = ports[0] if host == "direct" else running.port
                    before = running.processor_seconds()
                    p50, p99, rate = measure(port, host, arguments.seconds, concurrency, script)
                    used = running.processor_seconds() - before
                    found[host].append((p50, p99, rate, used / (rate * arguments.seconds) * 1e6))
            for host, rounds in found.items():
                p50, p99, rate, cost = (statistics.median(column) for column in zip(*rounds, strict=True))
                added = p50 - statistics.median(direct[0] for direct in found["direct"])
                print(
                    f"| {concurrency} | {host} | {p50:.3f} | {added:+.3f} | {p99:.3f} | {rate:.0f} "
                    f"| {cost:.0f} |"
                )
    for process in upstreams:
        process.terminate()


if __name__ == "__main__":
    main()
