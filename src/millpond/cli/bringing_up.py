"""Bringing a platform up before somebody's eyes: warnings first, the live view, then where things are."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from millpond.cli.exit_codes import ExitCode
from millpond.cli.style import columns, hint, note, out, paint, plural, seconds_text, strong, warn
from millpond.cli.views import View, tell_failures, view_for

if TYPE_CHECKING:
    from millpond.targets.target import Target


def bring_up(
    target: Target,
    *,
    offline: bool = False,
    only: Iterable[str] = (),
    yes: bool = False,
    as_json: bool = False,
    next_step: str | None = None,
) -> None:
    """Apply the platform, show how it goes, and end with its addresses and one next step.

    Args:
        target: the platform.
        offline: never try the network.
        only: these components and what they wait for.
        yes: do not ask where the machine is too small.
        as_json: print events as JSON lines.
        next_step: what to tell at the end; None for the usual, empty for nothing.

    Raises:
        NotReadyError: not everything came up; why has been printed.
    """
    from millpond.model.errors import NotReadyError

    only = list(only)
    for line in target.platform.notes:
        note(line)
    _warn_if_small(target, yes=yes or as_json)
    begun = time.monotonic()
    with view_for(only or target.platform.order, as_json=as_json) as view:
        try:
            plan = asyncio.run(target.apply(view, offline=offline, only=only))
        except KeyboardInterrupt:
            view.close()
            _interrupted(view, target)
        except NotReadyError:
            view.close()
            if not as_json:
                tell_failures(view)
                note()
            raise
    if as_json:
        out(json.dumps({"platform": target.platform.name, "status": "ready", "urls": _urls(target)}))
        return
    took = seconds_text(time.monotonic() - begun)
    if view.board.rows and any(row.begun for row in view.board.rows.values()):
        note()
        # Of a part only that part is said to be up.
        what = ", ".join(only) or target.platform.name
        note(f"{paint(what, 'ready', sys.stderr, bold=True)} up after {took}")
    else:
        count = plural(len(plan.changes), "component")
        note(f"nothing to do: {count} up as {target.platform.name} wants")
    show_addresses(target)
    if next_step != "":
        hint(next_step or _next_step(target))


def _interrupted(view: View, target: Target) -> None:
    """One line about what was reached."""
    ready = sum(found.state == "ready" for found in target.status())
    note(
        f"interrupted: {ready} of {len(target.platform.nodes)} components are up; "
        "`millpond up` goes on from here"
    )
    raise click.exceptions.Exit(ExitCode.INTERRUPTED)


def _urls(target: Target) -> dict[str, str]:
    """What a browser can open now, by component."""
    ready = [found for found in target.status() if found.state == "ready"]
    return {found.name: found.url for found in ready if found.url}


def show_addresses(target: Target) -> None:
    """What a browser opens, and how to get at the credentials."""
    urls = _urls(target)
    if urls:
        rows = []
        for name, url in urls.items():
            opened = target.platform.nodes[name].component.service.open
            rows.append((name, url, (opened.title if opened else "") or ""))
        note()
        # The last lines of `up` are what a person copies from, so they are data.
        for line in columns(rows, paints={0: strong}):
            out(line)
    entrance = [name for name, _ in target.platform.providers("gateway")]
    having = [name for name, node in target.platform.nodes.items() if node.component.service.credentials]
    if urls and having:
        name = next((name for name in entrance if name in having), having[0])
        note()
        note(f"sign in with what `millpond credentials {name}` prints")


def _next_step(target: Target) -> str:
    provided = {found for found in ("s3", "mlflow", "dask", "inference") if target.platform.providers(found)}
    if len(provided) == 4:
        return "`millpond demo flights` runs a model's whole life on it"
    return "`millpond status` shows how it is, `millpond env` what programs find there"


def _warn_if_small(target: Target, *, yes: bool) -> None:
    """Say so when the machine is too small; ask where somebody can answer."""
    from millpond.cli.machine import shortages
    from millpond.targets.local.target import LocalTarget

    if not isinstance(target, LocalTarget):
        # A cluster says itself, pod by pod, what it has too little of.
        return
    found = shortages(target)
    for line in found:
        warn(line)
    answered = yes or not found or not (sys.stdin.isatty() and sys.stderr.isatty())
    if not answered and not click.confirm("Go on?", default=True, err=True):
        raise click.exceptions.Exit(ExitCode.FAILED)
