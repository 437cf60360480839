"""``python -m millpond.serving.server``: serve one model folder until told to stop.

Exit codes: 0 after a graceful stop, 1 when the model cannot be loaded, the port is taken, or the
process needs more memory than it may have.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable

from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server

from millpond.model.errors import MillpondError
from millpond.serving.predictionlog import SegmentWriter
from millpond.serving.server.app import Application
from millpond.serving.server.arguments import Limits, parse
from millpond.serving.server.dataplane import DataPlane
from millpond.serving.server.engine import Batching, Engine
from millpond.serving.server.extensions import Extensions
from millpond.serving.server.loading import compiles_later, loaded, recompiled
from millpond.serving.server.memory import watch
from millpond.serving.server.metrics import Metrics

log = logging.getLogger("millpond.serving")


def main(argv: list[str] | None = None) -> int:
    """Read the arguments, serve, and return the exit code."""
    options = parse(argv)
    logging.basicConfig(
        level=os.environ.get("MILLPOND_LOG", "info").upper(),
        format="%(asctime)s %(levelname)s %(message)s",
        stream=sys.stderr,
    )
    for noisy in ("mlflow", "_granian", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    for port in (options.port, options.grpc_port):
        if port and not _free(options.host, port):
            log.error("port %s of %s is taken", port, options.host)
            return 1
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(_serve(options))
    except MillpondError as error:
        log.error("%s%s", error.message, f" ({error.hint})" if error.hint else "")
        return 1


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's, which takes half the time of asyncio's own for a request; that, where it is not installed."""
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


async def _serve(options: argparse.Namespace) -> int:
    plane = DataPlane(options.name, options.version, options.revision)
    plane.log = _log(options)
    metrics = Metrics(options.name, options.version)
    limits = Limits(options.max_body, options.body_timeout, options.max_waiting, options.head_timeout)
    plane.engine = engine = Engine(
        plane, threads=options.threads, timeout=options.timeout, batching=_batching(options)
    )
    application = Application(plane, metrics, limits, engine)
    server = Server(
        application,
        address=options.host,
        port=options.port,
        interface=Interfaces.RSGI,
        http=HTTPModes.http1,
        websockets=False,
        backlog=1024,
        backpressure=options.max_waiting + 1000,
        http1_settings=HTTP1Settings(header_read_timeout=round(limits.head_seconds * 1000)),
        log_enabled=False,
    )
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    rpc = await _grpc(application, options, stopping)

    code = 0

    def stop() -> None:
        server.stop()
        stopping.set()
        loop.call_later(options.grace, lambda: os._exit(code))

    def too_large(used: int) -> None:
        nonlocal code
        code = 1
        log.error("the process has %d bytes in memory, %d are allowed: it ends", used, options.memory)
        stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    watching = loop.create_task(watch(options.memory, too_large)) if options.memory else None
    serving = loop.create_task(server.serve())
    loading = loop.create_task(_load(application, plane, options))
    await asyncio.wait({serving, loading}, return_when=asyncio.FIRST_COMPLETED)
    try:
        if not serving.done():
            await loading
        await serving
    finally:
        server.stop()
        # After a model that does not load, the server would find itself cancelled, and log that as the error.
        await asyncio.wait({serving}, timeout=5)
        stopping.set()
        await rpc
        if watching is not None:
            watching.cancel()
        engine.pool.shutdown(wait=False, cancel_futures=True)
        if plane.log is not None:
            plane.log.close()
        if engine.busy or not loading.done():
            logging.shutdown()
            os._exit(code)  # the interpreter would wait for a thread that nobody waits for any more
    return code


def _batching(options: argparse.Namespace) -> Batching:
    rows = options.batch if isinstance(options.batch, int) else None
    return Batching(rows, options.batch_wait, off=options.batch == "off")


async def _grpc(
    application: Application, options: argparse.Namespace, stopping: asyncio.Event
) -> Awaitable[None]:
    """Listen for gRPC, if a port for it is given; the result ends when, `stopping` set, all is answered."""

    async def until_stopped() -> None:
        await stopping.wait()
        await server.stop(options.grace)

    if not options.grpc_port:
        return asyncio.sleep(0)
    from millpond.serving.server.grpc_server import GrpcServer  # grpcio is for those who ask for it

    server = GrpcServer(application.exchange, application.limits)
    await server.start(options.host, options.grpc_port)
    return asyncio.create_task(until_stopped())


def _log(options: argparse.Namespace) -> SegmentWriter | None:
    if options.log_dir is None:
        return None
    return SegmentWriter(
        options.log_dir,
        deployment=options.name,
        namespace=options.namespace,
        revision=options.revision,
        version=options.version,
    )


def _extensions(options: argparse.Namespace) -> Extensions:
    return Extensions(
        options.name, options.model_dir, options.transformer, options.explainer, options.timeout
    )


async def _load(application: Application, plane: DataPlane, options: argparse.Namespace) -> None:
    loop = asyncio.get_running_loop()
    model = await loop.run_in_executor(application.engine.pool, loaded, options)
    gc.collect()
    gc.freeze()  # what is loaded stays: the collector need not walk it at every turn
    gc.set_threshold(20_000, 20, 50)  # a request leaves hardly anything that only the collector can free
    if options.transformer or options.explainer:
        plane.extensions = await loop.run_in_executor(application.engine.pool, _extensions, options)
    plane.model = model
    application.metrics.load_seconds.set(model.load_seconds)
    application.metrics.ready.set(1)
    at = f"http://{options.host}:{options.port}/v2/models/{plane.name}"
    log.info(
        "model %s version %s is ready after %.1f s at %s", plane.name, plane.version, model.load_seconds, at
    )
    if compiles_later(options):
        plane.model = await loop.run_in_executor(None, recompiled, model, options)


def _free(host: str, port: int) -> bool:
    """Whether the port can be had; the server's own socket would share it with another server's."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


if __name__ == "__main__":
    sys.exit(main())
