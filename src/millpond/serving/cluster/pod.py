"""What runs in a pod beside the model server: ``python -m millpond.serving.cluster.pod WHAT``.

``fetch`` brings a model's files to a folder, as an init container does. ``resolve`` says what a URI means
today, ``publish`` puts a deployment's routes at the platform's own gateway, ``ask`` answers a question about
its predictions; these are Jobs. The answer, or one sentence of what went wrong, is the container's
termination message, which the cluster's API tells; the answer to a question is in its log, in lines that
begin with `ANSWER`.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import os
import shutil
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from millpond.model.errors import MillpondError
from millpond.targets.kubernetes.images.places import ORIGIN

MESSAGE = Path("/dev/termination-log")
"""Where the kubelet looks for a container's last words; at most 4096 bytes of them."""

ROUTES = "MILLPOND_SERVING_ROUTES"
ANSWER = "answer:"
_LINE = 8000  # the kubelet keeps lines of 16 KiB whole
_MOST = 4000


def main(argv: list[str] | None = None) -> int:
    """Do one of them; returns the exit code."""
    parser = argparse.ArgumentParser(prog="millpond.serving.cluster.pod", description=__doc__)
    parser.add_argument("what", choices=("fetch", "resolve", "publish", "ask"))
    parser.add_argument("--uri", default="")
    parser.add_argument("--format", default="mlflow")
    parser.add_argument("--into", type=Path, default=Path("/models/model"))
    parser.add_argument("--origin", type=Path, default=Path(ORIGIN))
    parser.add_argument("--owner", default="")
    parser.add_argument("--question", default="{}", help="of `ask`, as JSON")
    options = parser.parse_args(argv)
    try:
        answer = _WORK[options.what](options)
    except MillpondError as error:
        return _failed(error.message + (f" ({error.hint})" if error.hint else ""))
    except Exception as error:
        first = (str(error).strip().splitlines() or [""])[0]
        return _failed(f"{options.uri or options.what}: {type(error).__name__}: {first[:300]}")
    _say(json.dumps(answer))
    return 0


def fetch(options: argparse.Namespace) -> dict[str, Any]:
    """Bring the files of a model, whole or not at all; they are there after a restart of the container.

    An image of a model has them, and needs neither the registry nor the lake.

    Raises:
        MillpondError: there is no such model, or the image has another one.
    """
    if options.into.is_dir():
        return {"into": str(options.into)}
    if options.origin.is_file():
        return _unpacked(options)
    from millpond.serving.controller.fetch import fetch as fetched

    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=options.into.parent) as store:
        found = fetched(options.uri, Path(store), {}, model_format=options.format)
        (Path(store) / found["digest"]).rename(options.into)
    return {key: found[key] for key in ("uri", "digest", "size", "files")}


def _unpacked(options: argparse.Namespace) -> dict[str, Any]:
    """Put what the image has where the server looks."""
    origin: dict[str, Any] = json.loads(options.origin.read_text())
    if origin["uri"] != options.uri:
        raise MillpondError(
            f"the image has {origin['uri']}, and {options.uri} is to be served",
            hint=f"`millpond images --model {options.uri} --push REGISTRY` makes the one of this model",
        )
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=options.into.parent) as store:
        copy = shutil.copytree(options.origin.parent / "model", Path(store) / "model")
        copy.rename(options.into)
    return origin


def resolve(options: argparse.Namespace) -> dict[str, Any]:
    """What a URI of the registry means today, and where its files are.

    Raises:
        MillpondError: the registry has no such model.
    """
    from millpond.serving.controller.fetch import resolve as resolved

    found = resolved(options.uri)
    return {**asdict(found), "source": _source(found.uri)}


def _source(uri: str) -> str:
    """The place of a registered version's files, for those who do not know the registry."""
    if not uri.startswith("models:/"):
        return uri
    from mlflow import MlflowClient

    client = MlflowClient()
    name, slash, version = uri.removeprefix("models:/").partition("/")
    place = str(client.get_model_version_download_uri(name, version)) if slash else uri
    if place.startswith("models:/m-"):
        place = str(client.get_logged_model(place.removeprefix("models:/")).artifact_location)
    return place


def publish(options: argparse.Namespace) -> dict[str, Any]:
    """Put the routes of ``MILLPOND_SERVING_ROUTES``; none removes them.

    Raises:
        MillpondError: the gateway refuses them or does not answer.
    """
    from millpond.gateway.client import GatewayClient

    return {"urls": GatewayClient.from_env().put_routes(options.owner, json.loads(os.environ[ROUTES]))}


def ask(options: argparse.Namespace) -> dict[str, Any]:
    """Answer a question from the log of predictions in the lake.

    Raises:
        MillpondError: nothing was noted, or the question is wrong.
    """
    from millpond.lake.store import open_store
    from millpond.serving.monitor.asked import answer

    asked = json.loads(options.question)
    lake = (open_store(), os.environ.get("MILLPOND_LOG_BUCKET") or "predictions")
    found = base64.b64encode(
        answer(asked["what"], asked["name"], asked["settings"], asked["query"], asked["since"], lake)
    ).decode()
    lines = [found[start : start + _LINE] for start in range(0, len(found), _LINE)]
    sys.stdout.write("".join(f"{ANSWER}{line}\n" for line in lines))
    sys.stdout.flush()
    return {"lines": len(lines)}


_WORK = {"fetch": fetch, "resolve": resolve, "publish": publish, "ask": ask}


def _failed(sentence: str) -> int:
    _say(sentence)
    sys.stderr.write(f"{sentence}\n")
    return 1


def _say(text: str) -> None:
    # The kubelet puts the file there; elsewhere there is nobody to tell.
    with contextlib.suppress(OSError):
        if MESSAGE.exists():
            MESSAGE.write_text(text[:_MOST])


if __name__ == "__main__":
    sys.exit(main())
