"""Documents from files, applied one after the other, and what a change came to."""

from __future__ import annotations

import time
from typing import Any

from millpond.cli.busy import busy
from millpond.cli.deployment_files import Part, parts
from millpond.cli.deployment_views import served
from millpond.cli.manner import Manner, text_of
from millpond.cli.serving import Serving
from millpond.cli.style import note, out

_PATIENCE = 300.0
_PAUSE = 0.3


def apply_file(serving: Serving, name: str, manner: Manner) -> None:
    """Apply all documents of a file, once all of them have been read.

    Raises:
        MillpondError: one is wrong, or is refused, or does not serve; those after it are not applied.
    """
    text, source = text_of(serving.session.folder, name)
    found = parts(text, source)
    for origin in dict.fromkeys(part.origin for part in found if part.origin):
        made: list[str] = []
        for part in found:
            if part.origin == origin:
                said = f"{part.kind} {part.name}"
                made.append("its second revision" if said in made else said)
        note(f"{origin} is translated to {', then '.join(made)}")
    for index, part in enumerate(found):
        if manner.dry_run:
            if index:
                out("---")
            out(_text(serving, part).rstrip("\n"))
            continue
        # One document may need what an earlier one makes, so only the last need not be waited for.
        last = index == len(found) - 1
        if part.kind == "InferenceGraph":
            apply_graph(serving, part.document, manner.wait)
            continue
        patience = manner.wait if last or manner.wait is not None else _PATIENCE
        show(serving, serving.change(part.document, Manner(patience), _text(serving, part)))


def _text(serving: Serving, part: Part) -> str:
    """What the deployment's own file shall say: a translation goes into the words that stand there."""
    if part.kind == "InferenceService" and part.origin:
        return serving.files.text(part.name, part.document)
    return part.text


def apply_graph(serving: Serving, document: dict[str, Any], wait: float | None = None) -> None:
    """Apply an ``InferenceGraph`` and say where it answers.

    Args:
        serving: the deployments.
        document: the graph.
        wait: seconds until it has to answer; None does not wait. On one machine it answers at once.
    """
    found = serving.client.apply_graph(document)
    deadline = time.monotonic() + (wait or 0)
    with busy(f"graph {document['metadata']['name']}:", lambda: _ready(found).get("message", "")):
        while _ready(found)["status"] == "Unknown" and time.monotonic() < deadline:
            time.sleep(_PAUSE)
            found = serving.client.graph(found["metadata"]["name"], found["metadata"]["namespace"])
    if serving.session.json:
        serving.show_json(found)
        return
    name, status = found["metadata"]["name"], found["status"]
    ready = _ready(found)
    good = ready["status"] == "True"
    note(f"graph {name} answers" if good else f"graph {name} is not ready: {ready.get('message', '')}")
    if status.get("url"):
        out(status["url"])


def _ready(found: dict[str, Any]) -> dict[str, Any]:
    return next(item for item in found["status"]["conditions"] if item["type"] == "Ready")


def show(serving: Serving, found: dict[str, Any] | None) -> None:
    """What a change came to; nothing after a dry run."""
    if found is None:
        return
    if serving.session.json:
        serving.show_json(found)
    elif found["status"].get("observedGeneration", 0) < found["metadata"]["generation"]:
        name = found["metadata"]["name"]
        note(f"asked for; `millpond deployments {name}` tells how far it is")
    else:
        served(found)
