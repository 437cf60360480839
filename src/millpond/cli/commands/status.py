"""``millpond status``: every component as it is now."""

from __future__ import annotations

import json
import time
from typing import Any

import click

from millpond.cli.session import Session, file_option, json_option, pass_session, target_options
from millpond.cli.style import columns, faint, hint, out, paint, seconds_text


@click.command("status")
@file_option
@target_options
@json_option
@pass_session
def command(session: Session) -> None:
    """Show every component: its state, for how long, where it answers, and what is wrong."""
    target = session.target()
    found = target.status()
    if session.json:
        data: list[dict[str, Any]] = [
            {
                "name": each.name,
                "component": each.component,
                "state": each.state,
                "since": each.since,
                "url": each.url,
                "endpoints": each.endpoints,
                "message": each.message,
                "processes": [process.to_json() for process in each.processes],
            }
            for each in found
        ]
        out(json.dumps({"platform": target.platform.name, "components": data}))
        return
    now = time.time()
    rows = [
        (
            each.name,
            each.state,
            seconds_text(max(now - each.since, 0)) if each.since else "",
            each.url or next(iter(each.endpoints.values()), ""),
            each.message,
        )
        for each in found
    ]
    heads = ("NAME", "STATE", "SINCE", "ADDRESS", "MESSAGE")
    for line in columns(rows, heads=heads, paints={1: lambda cell: paint(cell, cell.strip()), 2: faint}):
        out(line)
    if found and all(each.state == "stopped" for each in found):
        hint("`millpond up` starts it")
    elif any(each.state in ("failed", "backoff", "unhealthy") for each in found):
        sick = next(each.name for each in found if each.state in ("failed", "backoff", "unhealthy"))
        hint(f"`millpond logs {sick}` shows its log")
