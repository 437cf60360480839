"""One request to a model or a graph from here: by its address, else through a port that kubectl forwards."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any

from millpond.serving.client import Answer, ServingError

_FORWARDING = re.compile(r"Forwarding from 127\.0\.0\.1:(\d+)")
_PATIENCE = 60.0


def ask(
    url: str | None,
    context: str,
    place: tuple[str, str, int],
    paths: tuple[str, str],
    payload: Any,
    headers: Mapping[str, str] | None,
) -> Answer:
    """Ask a model or a graph.

    Args:
        url: its public address; where nothing answers there, the port is forwarded.
        context: the kubeconfig's context.
        place: namespace, Service and its port.
        paths: of the request, at its address and at the Service.
        payload: its JSON body; None asks with GET.
        headers: more headers.

    Raises:
        ServingError: with the sentence and status of an answer from 400 on, or when nothing answers.
    """
    if url:
        try:
            return _asked(url + paths[0], payload, headers)
        except ServingError as error:
            if error.status:
                raise
    with forwarded(context, *place) as port:
        return _asked(f"http://127.0.0.1:{port}{paths[1]}", payload, headers)


@contextlib.contextmanager
def forwarded(context: str, namespace: str, service: str, port: int) -> Iterator[int]:
    """A port of this machine that leads to a Service's, while it is needed.

    Raises:
        ServingError: kubectl cannot forward it, in its own words.
        MillpondError: there is no kubectl.
    """
    from millpond.targets.kubernetes.tools import kubectl

    where = ["--context", context] if context else []
    command = [str(kubectl()), *where, "-n", namespace, "port-forward", f"service/{service}", f":{port}"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline() if process.stdout else ""
        found = _FORWARDING.search(line)
        if found is None:
            said = process.stderr.read().strip() if process.stderr and process.poll() is not None else line
            raise ServingError(f"the port of {service} cannot be forwarded: {said}", hint="millpond status")
        yield int(found[1])
    finally:
        process.terminate()
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream:
                stream.close()


def _asked(url: str, payload: Any, headers: Mapping[str, str] | None) -> Answer:
    body = None if payload is None else json.dumps(payload).encode()
    request = urllib.request.Request(
        url, data=body, headers={"content-type": "application/json", **(headers or {})}
    )
    opener = urllib.request.build_opener(*([urllib.request.ProxyHandler({})] if "127.0.0.1" in url else []))
    try:
        with opener.open(request, timeout=_PATIENCE) as answer:
            found = {name.lower(): value for name, value in answer.headers.items()}
            return Answer(answer.status, found, answer.read())
    except urllib.error.HTTPError as error:
        with error:
            text = error.read().decode(errors="replace")
        try:
            said = json.loads(text)
            message = str(said.get("message") or said["error"])
        except (ValueError, KeyError, AttributeError):
            message = f"answer {error.code}: {text.strip()[:200]}"
        raise ServingError(message, status=error.code) from None
    except OSError as error:
        raise ServingError(f"nothing answers at {url}: {getattr(error, 'reason', error)}") from error
