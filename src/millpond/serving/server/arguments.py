"""What the process of a revision is told on its command line."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from millpond.serving.server.runtimes import FORMATS


@dataclass(frozen=True)
class Limits:
    """What one client may take.

    Bytes of a body and seconds to send it, requests that wait, and seconds to send a request's head, which
    are also those that a connection may be idle.
    """

    body: int = 64 * 1024 * 1024
    seconds: float = 60.0
    waiting: int = 1000
    head_seconds: float = 30.0


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The arguments; a wrong one ends the process with a sentence and exit code 2."""
    options = _parser().parse_args(argv)
    if options.revision is None:
        options.revision = f"{options.name}-{options.version}"
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m millpond.serving.server", description="Serve one model folder until told to stop."
    )
    add = parser.add_argument
    add("--model-dir", type=Path, required=True, help="the model's folder")
    add("--format", default="mlflow", help=f"how the folder is read: {', '.join(FORMATS)}")
    add("--name", required=True, help="the model's name in its paths")
    add("--version", default="1", help="the version in its paths")
    add("--revision", help="its name in the prediction log and in x-millpond-revision (NAME-VERSION)")
    add("--namespace", default="default", help="the deployment's namespace, for the prediction log")
    add("--host", default="127.0.0.1", help="address to listen on")
    add("--port", type=int, required=True, help="port to listen on")
    add("--grpc-port", type=int, default=0, help="port of the V2 protocol over gRPC; 0: none")
    add("--log-dir", type=Path, help="the deployment's folder of the prediction log; none: no log")
    add("--batch", type=_batch, default="auto", metavar="auto|off|N", help="rows that are predicted together")
    add(
        "--batch-wait", type=float, default=0.0, metavar="MS", help="milliseconds to wait for a batch to fill"
    )
    add("--compile", choices=("auto", "off"), default="auto", help="run the model in a faster form if proved")
    add("--tolerance", type=float, default=1e-5, help="how far the faster form's numbers may be off")
    add("--transformer", help="module:callable or path.py:callable around every prediction")
    add("--explainer", help="module:callable or path.py:callable that explains a prediction")
    add("--timeout", type=float, default=60.0, help="seconds that a prediction may take")
    add("--memory", type=int, default=0, help="bytes of resident memory above which it ends; 0: no limit")
    add("--threads", type=int, default=1, help="predictions at once")
    add("--max-body", type=int, default=Limits.body, help="bytes of a request's body")
    add("--max-waiting", type=int, default=Limits.waiting, help="requests kept waiting")
    add("--head-timeout", type=float, default=Limits.head_seconds, help="seconds to send a request's head")
    add("--body-timeout", type=float, default=Limits.seconds, help="seconds to send a body")
    add("--grace", type=float, default=30.0, help="seconds to finish requests after a stop")
    return parser


def _batch(text: str) -> str | int:
    if text in ("auto", "off"):
        return text
    try:
        rows = int(text)
    except ValueError:
        rows = 0
    if rows < 1:
        raise argparse.ArgumentTypeError(f"{text} is not auto, off or a number of rows")
    return rows
