"""What a person sees of the component: all pipelines, one of them, and a run with its steps."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from starlette.responses import Response

from millpond.markup import Html, code, join, policy, section
from millpond.pipelines.server.ledger import Entry, Handed
from millpond.pipelines.server.markup import (
    STYLE,
    facts,
    head,
    lines,
    link,
    moment,
    page,
    paragraph,
    state,
    table,
    took,
    value,
)
from millpond.pipelines.server.schedules import following
from millpond.pipelines.server.triggers import Triggers, name_of

_AGAIN = 2
"""Seconds after which a page of something that goes on is asked for anew."""


def index(handed: Sequence[Handed], entries: Sequence[Entry], triggers: Triggers) -> Response:
    """All pipelines that were handed over, and the latest runs."""
    rows = [
        (
            link(f"/pipelines/{quote(found.name, safe='')}", found.name),
            found.summary or "-",
            _starts(found, triggers),
            _next(found) or "-",
            _version(found.code.commit) or "-",
        )
        for found in handed
    ]
    known = (
        table("Pipelines", ("Pipeline", "What it does", "Starts", "Next", "Version"), rows)
        if rows
        else paragraph("Nothing was handed over yet; ", code("millpond pipeline submit FOLDER"), " does it.")
    )
    content = join([head("Pipelines"), section("Handed over", known), _runs("Latest runs", entries)])
    return _shown("Pipelines", content, going=any(not entry.over for entry in entries))


def pipeline(name: str, handed: Sequence[Handed], entries: Sequence[Entry], triggers: Triggers) -> Response:
    """One pipeline: what starts it, and its latest runs."""
    parts = [head(name, *(found.summary for found in handed), back=("/", "All pipelines"))]
    for found in handed:
        parameters = {**found.parameters}
        told = [
            ("Starts", _starts(found, triggers)),
            ("Next", _next(found)),
            ("Version", _version(found.code.commit)),
            ("Handed over", moment(found.at)),
            ("By", found.by),
            ("Parameters", ", ".join(f"{key}={value(one)}" for key, one in parameters.items())),
        ]
        parts.append(section("What starts it", facts(told)))
    if not handed:
        parts.append(paragraph("Nothing starts it by itself.", soft=True))
    parts.append(_runs("Runs", entries))
    return _shown(name, join(parts), going=any(not entry.over for entry in entries))


def run(view: dict[str, Any]) -> Response:
    """One run: what it was given, what each step did, what came of it."""
    name = view["pipeline"]
    ended = view["ended"] if view["over"] else time.time()
    told = [
        ("Started for", view["cause"]),
        ("At", moment(view["started"] or view["created"])),
        ("Took" if view["over"] else "Since", took(ended - (view["started"] or view["created"]))),
        ("Version", _version(view["version"])),
        ("Experiment", view["experiment"]),
        ("Parameters", ", ".join(f"{key}={value(one)}" for key, one in view["parameters"].items())),
    ]
    parts = [
        head(view["run"], state(view["state"]), back=(f"/pipelines/{quote(name, safe='')}", name)),
        section("Run", facts(told), *([paragraph(view["error"])] if view["error"] else [])),
    ]
    if view["steps"]:
        parts.append(section("Steps", _steps(view)))
    for step, found in view["steps"].items():
        if "error" in found and found["state"] == "failed":
            parts.append(section(f"Why {step} failed", *_failure(found)))
    if view["results"]:
        parts.append(section("Results", _results(view["results"])))
    return _shown(view["run"], join(parts), going=not view["over"])


def log(entry: Entry, step: str, text: str) -> Response:
    """What a step printed."""
    told = lines(text) if text else paragraph("It printed nothing.", soft=True)
    content = join([head(step, back=(f"/runs/{quote(entry.id, safe='')}", entry.id)), told])
    return _shown(f"{step} of {entry.id}", content, going=not entry.over)


def refusal(error: str, hint: str | None, status: int) -> Response:
    """An error, for a person in a browser."""
    content = join(
        [
            head("This cannot be shown", back=("/", "All pipelines")),
            paragraph(error, "; " if hint else "", hint or ""),
        ]
    )
    return _shown("Not shown", content, status=status)


def _runs(title: str, entries: Sequence[Entry]) -> Html:
    if not entries:
        return section(title, paragraph("None yet.", soft=True))
    rows = [
        (
            link(f"/runs/{quote(entry.id, safe='')}", entry.id),
            state(entry.state),
            entry.asked.cause,
            moment(entry.created),
            took((entry.ended or time.time()) - entry.created),
        )
        for entry in entries
    ]
    return section(title, table(title, ("Run", "State", "Started for", "At", "Took"), rows))


def _steps(view: dict[str, Any]) -> Html:
    rows = []
    for name, step in view["steps"].items():
        word = join([state(step["state"]), " as before" if step["cached_from"] else ""])
        log = f"/runs/{quote(view['run'], safe='')}/steps/{quote(name, safe='')}/log"
        rows.append(
            (
                name,
                word,
                step["attempts"] or "",
                took(step["seconds"]),
                ", ".join(step["needs"]),
                link(log, "log") if step["attempts"] else "",
            )
        )
    return table("Steps", ("Step", "State", "Tries", "Took", "Needs", "Log"), rows)


def _failure(step: dict[str, Any]) -> list[Html]:
    error = step["error"]
    parts = [paragraph(error.get("message", "failed"))]
    if error.get("file"):
        parts.append(paragraph(code(f"{error['file']}:{error.get('line', '')}")))
    if error.get("hint"):
        parts.append(paragraph(error["hint"], soft=True))
    if step.get("last_lines"):
        parts.append(lines("\n".join(step["last_lines"])))
    return parts


def _results(results: dict[str, Any]) -> Html:
    short = [(label, value(found)) for label, found in results.items() if "\n" not in value(found)]
    long = [(label, found) for label, found in results.items() if "\n" in value(found)]
    parts = [facts(short)] if short else []
    return join([*parts, *(join([paragraph(label), lines(str(found))]) for label, found in long)])


def _starts(handed: Handed, triggers: Triggers) -> str:
    parts = [f"{handed.schedule} {handed.timezone}"] if handed.schedule else []
    for trigger in handed.triggers:
        name = name_of(trigger)
        trouble = triggers.troubles.get((handed.name, name))
        parts.append(f"commits on {name}" + (f" ({trouble})" if trouble else ""))
    return "; ".join(parts) or "when told to"


def _next(handed: Handed) -> str:
    upcoming = following(handed, time.time())
    return f"{upcoming:%Y-%m-%d %H:%M} {handed.timezone}" if upcoming else ""


def _version(commit: str | None) -> str:
    return (commit or "")[:12]


def _shown(title: str, content: Html, *, going: bool = False, status: int = 200) -> Response:
    text = page(title, content, again=_AGAIN if going else None)
    return Response(text, status, media_type="text/html", headers=policy(STYLE))
